"""Does an engine give the ids of the reference? Asked in a process of its own: a library may crash or never end."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import tokenizers

from megakor.child_process import start_child
from megakor.corpus.engines.adversarial import adversarial_texts, every_kind
from megakor.corpus.engines.compare import require_equal
from megakor.corpus.engines.definition import read_definition
from megakor.corpus.engines.failure import EngineFailureError, engine_failures
from megakor.corpus.engines.load import FAST_ENGINES
from megakor.corpus.engines.reference import TokenizersEngine
from megakor.corpus.engines.threads import use_one_thread

_SAMPLE_CHARACTERS = 250_000
_DOCUMENT_CHARACTERS = 25_000
_VOCABULARY_SAMPLE = 3000
_ADVERSARIAL_TEXTS = 6000
_SECONDS = 120.0


def prove(name: str, tokenizer: Path, sample: Sequence[str]) -> str | None:
    """None if the engine gives the reference's ids on the sample and the adversarial texts; otherwise the reason."""
    context = get_context("spawn")
    here, there = context.Pipe()
    # The sample goes through the pipe: a start with long arguments would wait for ever for a child that died in it.
    process = context.Process(target=_answer, args=(there,), daemon=True)
    start_child(process)
    there.close()
    try:
        here.send((name, tokenizer, bounded(sample)))
        if not here.poll(_SECONDS):
            return f"it did not finish the proof in {_SECONDS:.0f} seconds"
        reason: str | None = here.recv()
        return reason
    except (EOFError, OSError):
        process.join()
        return f"it crashed in the proof (exit code {process.exitcode})"
    finally:
        process.kill()
        process.join()
        here.close()


def bounded(sample: Sequence[str]) -> list[str]:
    """The beginnings of the first documents: the reference takes a quarter of a second for a megabyte."""
    kept: list[str] = []
    room = _SAMPLE_CHARACTERS
    for text in sample:
        if room <= 0:
            break
        kept.append(text[: min(_DOCUMENT_CHARACTERS, room)])
        room -= len(kept[-1])
    return kept


def spelt_tokens(encoder: tokenizers.Tokenizer, count: int = _VOCABULARY_SAMPLE) -> list[str]:
    """The added tokens, and about `count` evenly spaced tokens of the vocabulary, as text."""
    added = [token.content for token in encoder.get_added_tokens_decoder().values()]
    size = encoder.get_vocab_size(with_added_tokens=False)
    ids = range(0, size, max(1, size // count))
    return added + encoder.decode_batch([[token] for token in ids], skip_special_tokens=False)


def _answer(pipe: Connection) -> None:
    use_one_thread()
    try:
        check(*pipe.recv())
        pipe.send(None)
    except EngineFailureError as failure:
        pipe.send(str(failure))
    pipe.close()


def check(name: str, tokenizer: Path, sample: list[str]) -> None:
    """Raise EngineFailureError with the reason if the engine cannot stand for the reference."""
    definition = read_definition(tokenizer)
    with engine_failures("it does not take this tokenizer"):
        engine = FAST_ENGINES[name].make(definition)
    texts = adversarial_texts(spelt_tokens(definition.encoder), _ADVERSARIAL_TEXTS) + every_kind()
    require_equal(engine, TokenizersEngine(definition), texts + sample)
