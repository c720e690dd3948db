"""One task: a portion of the input -> sorted runs of token ids in the work directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus import metadata
from megakor.corpus.build.columns import common_schema, conformed, name_column
from megakor.corpus.build.order import document_keys
from megakor.corpus.build.problems import ProblemCounts
from megakor.corpus.build.runs import write_run
from megakor.corpus.build.settings import EncodingSettings
from megakor.corpus.build.text_steps import Documents, Losses, by_role, kept_documents
from megakor.corpus.build.values import columns_by_kind
from megakor.corpus.engines.engine import Engine
from megakor.corpus.fields.expression import Expression
from megakor.corpus.inputs.cutting import hash_portion
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import Portion, Records
from megakor.corpus.shard_writer import narrowed

RUN_BYTES = 64 << 20
"""Tokens and metadata that a worker holds in memory, once, before it writes them in order as a run."""
BOOKKEEPING_BYTES = 64
"""Memory that a document takes beside its tokens and metadata."""
Report = Callable[[int, int, int, int], None]
"""Called with bytes of the input, documents, UTF-8 bytes of their text and tokens since the last call."""


@dataclass
class TaskResult:
    """What the marker of a finished task says, as JSON."""

    pieces: list[str]
    """Hashes of the pieces of the input that belong to the portion."""
    runs: dict[str, list[str]] = field(default_factory=dict)
    """Role -> names of runs."""
    documents: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    read: int = 0
    """Documents read, whether or not they were kept."""
    lacking: dict[str, int] = field(default_factory=dict)
    """Field -> how many of them have no such field."""
    conditioned: dict[str, int] = field(default_factory=dict)
    """Documents that got text in front (prefix_tokens) and at their end (suffix_tokens)."""
    losses: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, Any] = field(default_factory=dict)


def encode_portion(
    portion: Portion,
    name: str,
    settings: EncodingSettings,
    engine: Engine,
    where: Expression | None,
    shared: Collection[int],
    report: Report,
) -> TaskResult:
    """Read, encode and write one portion. `name` is that of the task; runs are called NAME.ROLE.NUMBER.

    Raises DataError (input), StorageError (work directory).
    """
    losses, problems = Losses(), ProblemCounts()
    runs: dict[str, _RunBuilder] = {}
    read, lacking = 0, Counter[str]()
    for records in read_portion(portion, settings.fields):
        problems.extend(records.problems)
        problems.check(settings.on_error, settings.max_errors)
        read += len(records.texts)
        lacking.update(records.lacking)
        documents = kept_documents(records, settings.rules, where, losses)
        told = _Told(records, report)
        for role, chosen in by_role(documents, settings.holdout, shared, losses).items():
            builder = runs.setdefault(role, _RunBuilder(f"{name}.{role}", settings, portion))
            if chosen.texts:
                told.add(len(chosen.texts), *builder.add(chosen, engine))
        told.done()
    return _result(
        TaskResult(
            hash_portion(portion), read=read, lacking=dict(lacking), losses=vars(losses), problems=problems.to_json()
        ),
        runs,
    )


def _result(result: TaskResult, runs: dict[str, _RunBuilder]) -> TaskResult:
    """The same with what the runs hold, which are written out."""
    conditioned = Counter[str]()
    for role, builder in runs.items():
        builder.flush()
        result.runs[role], result.documents[role], result.tokens[role] = (
            builder.names,
            builder.documents,
            builder.tokens,
        )
        conditioned.update(builder.conditioned)
    result.conditioned = dict(conditioned)
    return result


class _Told:
    """What one batch adds to the progress."""

    def __init__(self, records: Records, report: Report) -> None:
        self._bytes, self._report = records.bytes_read, report
        self._documents = self._text_bytes = self._tokens = 0

    def add(self, documents: int, text_bytes: int, tokens: int) -> None:
        self._documents += documents
        self._text_bytes += text_bytes
        self._tokens += tokens

    def done(self) -> None:
        self._report(self._bytes, self._documents, self._text_bytes, self._tokens)


class _RunBuilder:
    """Collects the documents of one role until a run is full."""

    def __init__(self, name: str, settings: EncodingSettings, portion: Portion) -> None:
        self._name, self._settings, self._portion = name, settings, portion
        self.names: list[str] = []
        self.documents = self.tokens = 0
        self.conditioned: Counter[str] = Counter()
        self._tokens: np.ndarray
        self._held: int
        """Tokens at the beginning of `_tokens` that are of this run."""
        self._clear()

    def add(self, documents: Documents, engine: Engine) -> tuple[int, int]:
        """Encode documents and keep them; returns the bytes of their text and their tokens."""
        tokens, lengths, extra = encode_documents(documents, self._settings, self._portion, engine)
        text_bytes = [_utf8_bytes(text) for text in documents.texts]
        self.conditioned.update({name: int(np.count_nonzero(counts)) for name, counts in extra.items()})
        if self._held + len(tokens) > len(self._tokens):
            self.flush()
        self._keep(tokens)
        self._lengths.append(lengths)
        self._keys.append(self._keys_of(documents))
        own = {
            metadata.TEXT_BYTES: pa.array(text_bytes, pa.int64()),
            metadata.CHECKSUM: metadata.checksums(tokens, lengths),
        }
        self._rows.append(self._metadata(documents, own | {name: n.astype(np.int32) for name, n in extra.items()}))
        self._bytes += tokens.nbytes + self._rows[-1].nbytes + BOOKKEEPING_BYTES * len(lengths)
        self.documents += len(lengths)
        self.tokens += len(tokens)
        if self._bytes >= RUN_BYTES:
            self.flush()
        return sum(text_bytes), len(tokens)

    def _keep(self, tokens: np.ndarray) -> None:
        """In one place, so that a run is not copied to be sorted. Pages that nothing was written to take no memory."""
        if len(tokens) > len(self._tokens):
            self._tokens = np.empty(max(len(tokens), RUN_BYTES // tokens.itemsize), tokens.dtype)
        self._tokens[self._held : self._held + len(tokens)] = tokens
        self._held += len(tokens)

    def flush(self) -> None:
        """Write what is collected as a run."""
        if not self._lengths:
            return
        name = f"{self._name}.{len(self.names)}"
        tokens = self._tokens[: self._held]
        lengths, keys = (np.concatenate(part) for part in (self._lengths, self._keys))
        schema = common_schema(rows.schema for rows in self._rows)
        rows = pa.concat_tables([conformed(rows, schema) for rows in self._rows]).unify_dictionaries().combine_chunks()
        self._clear()
        write_run(self._settings.directory, name, tokens, lengths, keys, rows)
        self.names.append(name)

    def _clear(self) -> None:
        self._tokens = np.empty(0, np.dtype(self._settings.dtype))
        self._held = 0
        self._lengths: list[np.ndarray] = []
        self._keys: list[np.ndarray] = []
        self._rows: list[pa.Table] = []
        self._bytes = 0

    def _keys_of(self, documents: Documents) -> np.ndarray:
        return document_keys(self._portion.file, np.array(documents.positions, dtype=np.int64), self._settings.seed)

    def _metadata(self, documents: Documents, own: dict[str, Any]) -> pa.Table:
        settings, rows = self._settings, len(documents.texts)
        columns: dict[str, pa.Array] = {
            metadata.SOURCE: _names(documents, settings.source_key, settings.source or self._portion.path, rows),
            metadata.LANGUAGE: _names(documents, settings.language_key, settings.language, rows),
            metadata.POSITION: pa.array(documents.positions, pa.int64()),
        }
        chosen: dict[str, pa.Array] = {}
        for name in settings.kept_fields:
            chosen |= columns_by_kind(name, documents.metadata[name])
        return pa.table(columns | own | chosen)


def encode_documents(
    documents: Documents, settings: EncodingSettings, portion: Portion, engine: Engine
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Token ids end to end (with conditioning and end of document), lengths, and the lengths of what was put on."""
    parts = [engine.encode(documents.texts)]
    extra: dict[str, np.ndarray] = {}
    if settings.conditioning is not None:
        keys = document_keys(portion.file, np.array(documents.positions, dtype=np.int64), None)
        before, after = settings.conditioning.texts(documents.metadata, keys, portion.path, documents.positions)
        parts = [engine.encode(before), *parts, engine.encode(after)]
        extra = {"prefix_tokens": np.diff(parts[0][1]), "suffix_tokens": np.diff(parts[-1][1])}
    dtype = np.dtype(settings.dtype)
    ids = [(narrowed(tokens, dtype, str(settings.tokenizer)), starts) for tokens, starts in parts]
    tail = np.array([] if settings.eod_id is None else [settings.eod_id], dtype=dtype)
    lengths = np.sum([np.diff(starts) for _, starts in ids], axis=0) + len(tail)
    return joined(ids, tail), lengths, extra


def joined(parts: list[tuple[np.ndarray, np.ndarray]], tail: np.ndarray) -> np.ndarray:
    """Lists of documents, (tokens, starts) each, put together document by document, each with the tail at its end."""
    size, end = tail.dtype.itemsize, tail.tobytes()
    columns = []
    for tokens, starts in parts:
        view, at = np.ascontiguousarray(tokens).view(np.uint8).data, (starts * size).tolist()
        columns.append([view[a:b] for a, b in pairwise(at)])
    columns.append([memoryview(end)] * len(columns[0]))
    return np.frombuffer(b"".join(chain.from_iterable(zip(*columns, strict=True))), dtype=tail.dtype)


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _names(documents: Documents, key: str | None, constant: str, rows: int) -> pa.Array:
    if key is None:
        return name_column(constant, rows)
    return name_column(["" if value is None else str(value) for value in documents.metadata[key]], rows)
