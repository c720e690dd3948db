"""Text, tokenizer and shards of both languages, made once for all experiments that share a directory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from options import Options
from quality import perplexities
from running import say
from scale import Scale

from megakor.corpus.manifest import VALIDATION_SUFFIX
from megakor.corpus.operations.continuations import ContinuationOptions, write_items
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.sampling import prepare_user_sample
from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer
from megakor.errors import ConfigError
from megakor.lock import lock_directory
from megakor.storage import hash_file, make_directory, new_text_file, write_text

LANGUAGES = {"ko": "domain", "en": "general"}
"""Language -> the side of continued training that it stands for."""
TEXT_SEED = 1
LONGEST = 2000
"""Characters of a document: longer ones are cut at the ends of lines, so that held-out text is of many kinds."""
HELD_OUT = 0.05


@dataclass(frozen=True)
class Material:
    """Where everything is."""

    directory: Path

    @property
    def tokenizer(self) -> Path:
        """Its directory."""
        return self.directory / "tokenizer"

    def shard(self, language: str) -> Path:
        """Prefix of the text for training, with the perplexity of each document as metadata."""
        return self.directory / "shards" / language

    def held_out(self, language: str) -> Path:
        """Prefix of the text for validation."""
        return self.directory / "shards" / f"{language}{VALIDATION_SUFFIX}"

    def probe(self, language: str) -> Path:
        """Questions out of held-out text: which of four continuations is the true one?"""
        return self.directory / "probes" / f"{language}.jsonl"


def prepare(options: Options) -> Material:
    """Make what is not there. Raises ConfigError for a directory that was made from other text or in another size."""
    material = Material(options.prepared)
    made_once(material.directory, _description(options), partial(_make, options, material))
    return material


def made_once(directory: Path, wanted: Mapping[str, object], make: Callable[[], None]) -> None:
    """Make what belongs into a directory unless it is there, from the very same. Raises ConfigError for another."""
    made = directory / "made.json"
    if made.exists():
        if json.loads(made.read_text(encoding="utf-8")) != wanted:
            raise ConfigError(f"{directory} was made from other text or in another size. Choose another --prepared.")
        return
    with lock_directory(directory, "Wait for the experiment that prepares it."):
        make()
        write_text(made, json.dumps(wanted, indent=1) + "\n")


def _make(options: Options, material: Material) -> None:
    texts = _write_texts(options, material.directory / "text", options.scale)
    inputs = {language: [str(path)] for language, path in texts.items()}
    train_tokenizer(TokenizerOptions(inputs, material.tokenizer, options.scale.vocabulary), say)
    for language, path in texts.items():
        _build(material, language, path, options.scale)


def text_name(path: Path | None) -> str:
    """What a text is known by: the digest of its file."""
    return hash_file(path) if path else "sample"


def _description(options: Options) -> dict[str, object]:
    text = {"ko": text_name(options.korean), "en": text_name(options.english)}
    scale = options.scale
    return {
        "text": text,
        "megabytes": scale.megabytes,
        "vocabulary": scale.vocabulary,
        "probe items": scale.probe_items,
    }


def _write_texts(options: Options, directory: Path, scale: Scale) -> Mapping[str, Path]:
    """Language -> JSON Lines of documents that are not too long, each with its perplexity."""
    make_directory(directory)
    raw = directory / "raw"
    if options.korean is None or options.english is None:
        write_sample_corpus(raw, scale.megabytes, TEXT_SEED)
    else:
        inputs = {"ko": [options.korean], "en": [options.english]}
        prepare_user_sample(inputs, raw, scale.megabytes, TEXT_SEED)
    written = {}
    for language in LANGUAGES:
        with (raw / f"{language}.jsonl").open(encoding="utf-8") as file:
            texts = [part for line in file for part in cut(json.loads(line)["text"])]
        written[language] = directory / f"{language}.jsonl"
        with new_text_file(written[language]) as out:
            for text, perplexity in zip(texts, perplexities(texts), strict=True):
                known = {"perplexity": perplexity} if math.isfinite(perplexity) else {}
                out.write(json.dumps({"text": text, **known}, ensure_ascii=False) + "\n")
    return written


def cut(text: str) -> Iterator[str]:
    """A document as parts of at most LONGEST characters, cut at the ends of lines; a longer line stays whole."""
    part: list[str] = []
    for line in text.splitlines():
        if part and sum(map(len, part)) + len(line) > LONGEST:
            yield "\n".join(part)
            part = []
        part.append(line)
    if any(line.strip() for line in part):
        yield "\n".join(part)


def _build(material: Material, language: str, text: Path, scale: Scale) -> None:
    build = PreprocessOptions(
        (str(text),),
        material.shard(language),
        material.tokenizer,
        append_eod=True,
        language=language,
        metadata_keys=("perplexity",),
        holdout_share=HELD_OUT,
        holdout_exclusive_sentences=True,
    )
    preprocess(build, say)
    make_directory(material.probe(language).parent)
    questions = ContinuationOptions(
        items=scale.probe_items, context=20, continuation=6, language=language, domain=LANGUAGES[language]
    )
    write_items(material.held_out(language), Tokenizer.load(material.tokenizer), material.probe(language), questions)
