"""Runs of all tasks -> whole shards and their manifests in the work directory, ready to be published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from megakor.corpus.build.finish import side_files, write_side_files
from megakor.corpus.build.job import Job
from megakor.corpus.build.merge import Bucket, create_bin, plan_merge
from megakor.corpus.build.options import PreprocessOptions
from megakor.corpus.build.plan import Plan
from megakor.corpus.build.problems import ProblemCounts
from megakor.corpus.build.publish import begin_publishing, input_records
from megakor.corpus.build.sample import no_such_field
from megakor.corpus.build.stages import ENCODE, MERGE, Hashing, Merging
from megakor.corpus.build.text_steps import TRAINING, VALIDATION, Losses
from megakor.corpus.build.values import mixed_fields
from megakor.corpus.build.workers import Silence, work_through
from megakor.corpus.manifest import HoldoutRecord, InputRecord, Manifest
from megakor.corpus.shard_writer import index_bytes
from megakor.errors import ConfigError, DataError
from megakor.storage import HASH_PIECE, hash_of_pieces
from megakor.units import counted

_HASH_RANGE = 64 * HASH_PIECE
FEW_HELD_OUT = 100
"""Documents; a validation loss over fewer is mostly chance."""


@dataclass
class Totals:
    """What the markers of all tasks say together."""

    runs: dict[str, list[str]] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    documents_read: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    conditioned: Counter[str] = field(default_factory=Counter)
    mixed: set[str] = field(default_factory=set)
    losses: Losses = field(default_factory=Losses)
    problems: ProblemCounts = field(default_factory=ProblemCounts)
    pieces: dict[int, list[str]] = field(default_factory=dict)
    """File number -> hashes of its pieces."""

    @classmethod
    def read(cls, plan: Plan, job: Job) -> Totals:
        """Raises DataError for a damaged marker."""
        totals = cls()
        for task in plan.tasks:
            marker = job.read(ENCODE, task.name)
            try:
                totals._add(task.portion.file, marker)
            except (LookupError, TypeError, AttributeError, ValueError) as error:
                raise DataError(
                    f"{job.marker(ENCODE, task.name)}: not the marker of a task that is done ({error!r}). "
                    f"Remove {job.directory} and start again."
                ) from error
        return totals

    def _add(self, file: int, marker: dict[str, Any]) -> None:
        for role, names in marker["runs"].items():
            self.runs.setdefault(role, []).extend(names)
            self.documents[role] = self.documents.get(role, 0) + marker["documents"][role]
        self.documents_read += marker["read"]
        self.lacking.update(marker["lacking"])
        self.conditioned.update(marker["conditioned"])
        for reason, count in marker["losses"]["skipped"].items():
            self.losses.skip(reason, count)
        self.losses.sentences_removed += marker["losses"]["sentences_removed"]
        self.losses.documents_dropped += marker["losses"]["documents_dropped"]
        self.problems.merge(ProblemCounts.from_json(marker["problems"]))
        self.pieces.setdefault(file, []).extend(marker["pieces"])


def assemble(plan: Plan, job: Job, options: PreprocessOptions, log: Callable[[str], None]) -> None:
    """Merge, index, hash; begin to publish. Raises DataError (empty corpus, too many problems), StorageError."""
    totals = Totals.read(plan, job)
    totals.problems.check(options.on_error, options.max_errors)
    _log_losses(totals, log)
    try:
        _check_fields(totals, options)
        _check_not_empty(totals, options)
    except (ConfigError, DataError):
        job.remove()  # the same work would end the same way
        raise
    _log_conditioning(totals, options, log)
    inputs = input_records(plan.files, totals.pieces)
    roles = (TRAINING, VALIDATION) if options.holdout_share else (TRAINING,)
    manifests = {role: _assemble_role(role, plan, job, totals, inputs, options) for role in roles}
    for name in sorted(totals.mixed):
        log(f"the values of {name!r} are of several kinds: its column holds them as text")
    begin_publishing(job, manifests)


def _assemble_role(
    role: str, plan: Plan, job: Job, totals: Totals, inputs: list[InputRecord], options: PreprocessOptions
) -> Manifest:
    dtype = np.dtype(plan.settings.dtype)
    merge, buckets = plan_merge(job.directory, role, totals.runs[role], dtype.name, options.shuffle_seed is not None)
    totals.mixed.update(mixed_fields(merge.collected))
    tokens = sum(bucket.tokens for bucket in buckets)
    create_bin(merge, tokens)
    left = [bucket for bucket in buckets if not job.is_done(f"{MERGE}.{role}", bucket.name)]
    for bucket, _ in work_through(left, Merging(merge), options.workers, Silence()):
        job.mark(f"{MERGE}.{role}", bucket.name, {})
    counts = write_side_files(merge, buckets)
    files = side_files(job.directory / role)
    return Manifest(
        tokenizer_sha256=plan.record["tokenizer_sha256"],
        vocabulary_size=plan.vocabulary_size,
        language=options.language,
        tokens=tokens,
        documents=_documents(buckets),
        text_bytes=counts.text_bytes,
        dtype=dtype.name,
        bin_bytes=tokens * dtype.itemsize,
        idx_bytes=index_bytes(_documents(buckets)),
        append_eod=options.append_eod,
        inputs=inputs,
        holdout_share=options.holdout_share,
        role=role,
        json_key=plan.settings.fields.text,
        shuffle_seed=options.shuffle_seed,
        skipped=dict(sorted((totals.losses.skipped | totals.problems.counts).items())),
        holdout=_holdout(totals.losses, options),
        counts=counts.largest(),
        options=plan.record["options"],
        checksums={name: _file_hash(path, options.workers) for name, path in files.items()},
    )


def _documents(buckets: Sequence[Bucket]) -> int:
    return sum(bucket.documents for bucket in buckets)


def _file_hash(path: Path, workers: int) -> str:
    """Of a whole file, its ranges shared out to the workers if it is long."""
    size = path.stat().st_size
    spans = [(start, min(start + _HASH_RANGE, size)) for start in range(0, size, _HASH_RANGE)]
    hashed = dict(work_through(spans, Hashing(path), workers if len(spans) > workers else 1, Silence()))
    return hash_of_pieces([piece for span in spans for piece in hashed[span]])


def _holdout(losses: Losses, options: PreprocessOptions) -> HoldoutRecord | None:
    if not options.holdout_share:
        return None
    return HoldoutRecord(
        seed=options.holdout_seed,
        exclusive_sentences=options.holdout_exclusive_sentences,
        minimum_characters=options.holdout_minimum_characters if options.holdout_exclusive_sentences else 0,
        sentences_removed=losses.sentences_removed,
        documents_dropped=losses.documents_dropped,
    )


def _log_losses(totals: Totals, log: Callable[[str], None]) -> None:
    for reason, count in sorted(totals.losses.skipped.items()):
        log(f"left out {counted(count, 'document')}: {reason}")
    if totals.problems.total:
        log(f"skipped {counted(totals.problems.total, 'document')} that cannot be read:")
        for line in totals.problems.lines():
            log(f"  {line}")
    if totals.losses.sentences_removed:
        log(
            f"held out: removed {counted(totals.losses.sentences_removed, 'sentence')} that training knows, dropped "
            f"{counted(totals.losses.documents_dropped, 'document')} that became too short"
        )


def _log_conditioning(totals: Totals, options: PreprocessOptions, log: Callable[[str], None]) -> None:
    documents = sum(totals.documents.values())
    for template, column, where in (
        (options.prepend, "prefix_tokens", "before"),
        (options.append, "suffix_tokens", "after"),
    ):
        if template is not None:
            log(f"text put {where} {totals.conditioned[column]:,} of {counted(documents, 'document')}")
    held = totals.documents.get(VALIDATION, 0)
    if options.holdout_share and held < FEW_HELD_OUT:
        log(
            f"warning: {counted(held, 'document')} for validation: fewer than {FEW_HELD_OUT} say little about a run; "
            f"raise --holdout-share ({options.holdout_share})."
        )


def _check_fields(totals: Totals, options: PreprocessOptions) -> None:
    for name, option in options.read_fields().items():
        if totals.documents_read and totals.lacking[name] == totals.documents_read:
            who = f"none of the {counted(totals.documents_read, 'document')} has"
            raise ConfigError(no_such_field(option, name, who))


def _check_not_empty(totals: Totals, options: PreprocessOptions) -> None:
    inputs = ", ".join(options.inputs)
    if not any(totals.documents.values()):
        left_out = totals.losses.skipped | totals.problems.counts
        why = f" ({', '.join(f'{count:,} {reason}' for reason, count in left_out.items())})" if left_out else ""
        raise DataError(f"{inputs}: the corpus is empty: no document with text{why}.")
    if not totals.documents.get(TRAINING):
        raise DataError(f"{inputs}: every document is held out; lower --holdout-share ({options.holdout_share}).")
    if options.holdout_share and not totals.documents.get(VALIDATION):
        raise DataError(
            f"{inputs}: no document is left for validation out of {totals.documents[TRAINING]:,} "
            f"({totals.losses.documents_dropped:,} held out and dropped as too short); raise --holdout-share "
            f"({options.holdout_share}) or set it to 0."
        )
