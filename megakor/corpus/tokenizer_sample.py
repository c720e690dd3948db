"""A bounded sample of text of any size, for training and for measuring tokenizers.

Documents with the smallest keyed hash are kept, up to a number of bytes; one in HELD_OUT_ONE_IN, by the same hash, is
held out of training. Of inputs up to SEEN times the sample every document is looked at, so the sample depends on the
texts and the seed alone. Of larger ones, at most PORTIONS pieces spread over them are opened, and each is read from its
beginning as far as its share goes (of a compressed file: the beginning of the file). Memory holds the sample only.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from megakor.corpus.build.problems import ProblemCounts
from megakor.corpus.holdout import keyed_hash
from megakor.corpus.inputs.cutting import TaskSizes, cut
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import Fields, Records
from megakor.errors import DataError

MEGABYTE = 1_000_000
HELD_OUT_ONE_IN = 20
SEEN = 4
PORTIONS = 512
_PORTION_BYTES = 16 * MEGABYTE


@dataclass(frozen=True)
class Reading:
    """How documents are found in the inputs."""

    fields: Fields
    seed: int
    on_error: str = "fail"
    """`fail` at the first document that cannot be read, or `skip` those."""


@dataclass
class Sample:
    """What was kept of the inputs of one language; sizes are UTF-8 bytes of text."""

    training: Kept
    held_out: Kept
    documents_seen: int = 0
    bytes_seen: int = 0
    problems: int = 0
    """Documents that could not be read."""


class Kept:
    """The documents of the smallest hashes that fit into `budget` bytes together; one at least."""

    def __init__(self, budget: int) -> None:
        self.bytes = 0
        self._budget = budget
        self._heap: list[tuple[int, int, str]] = []
        self._end: int | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, hash_: int, size: int, text: str) -> None:
        """Offer a document of `size` bytes."""
        # Once a document had to go, no later one of a larger hash may take its room: the order would matter.
        if self._end is None or hash_ < self._end:
            heapq.heappush(self._heap, (-hash_, size, text))
            self.bytes += size
            self._drop()

    def trim(self, budget: int) -> None:
        """Keep fewer."""
        self._budget = budget
        self._drop()

    def cut(self, budget: int) -> None:
        """Keep `budget` bytes, exact to a character: the last document is cut."""
        entries, self._heap = sorted(self._heap, reverse=True), []
        self._budget, self.bytes = budget, 0
        for hash_, size, text in entries:
            room = budget - self.bytes
            if size > room:
                text = text.encode("utf-8")[:room].decode("utf-8", "ignore")
            if text:
                self.bytes += len(text.encode("utf-8"))
                heapq.heappush(self._heap, (hash_, len(text.encode("utf-8")), text))
            if size > room:
                break

    def texts(self) -> list[str]:
        """By hash: in the same order wherever they stood in the inputs."""
        return [text for _, _, text in sorted(self._heap, reverse=True)]

    def _drop(self) -> None:
        while self.bytes > self._budget and len(self._heap) > 1:
            largest, size, _ = heapq.heappop(self._heap)
            self._end = -largest
            self.bytes -= size


def take_sample(inputs: Sequence[str], budget: int, held_out_budget: int, reading: Reading) -> Sample:
    """A sample of at most `budget` bytes for training and `held_out_budget` bytes beside it.

    A `held_out_budget` of 0 holds nothing out; nor is anything held out where nothing would be left for training.
    Raises DataError for inputs that cannot be read or hold no text.
    """
    sample, problems = Sample(Kept(budget), Kept(held_out_budget)), ProblemCounts()
    for records in _read(inputs, SEEN * (budget + held_out_budget), reading):
        problems.extend(records.problems)
        problems.check(reading.on_error)
        for text in records.texts:
            if text.strip():
                _offer(sample, text, reading.seed, bool(held_out_budget))
    sample.problems = problems.total
    if not sample.documents_seen:
        raise DataError(f"{', '.join(inputs)}: the corpus is empty: no document with text.")
    if not len(sample.training):
        sample.training, sample.held_out = sample.held_out, sample.training
        sample.training.trim(budget)
    return sample


def _offer(sample: Sample, text: str, seed: int, hold_out: bool) -> None:
    size, hash_ = len(text.encode("utf-8")), keyed_hash(text, seed)
    sample.documents_seen += 1
    sample.bytes_seen += size
    kept = sample.held_out if hold_out and hash_ % HELD_OUT_ONE_IN == 0 else sample.training
    kept.add(hash_, size, text)


def _read(inputs: Sequence[str], limit: int, reading: Reading) -> Iterator[Records]:
    """Documents from everywhere in the inputs, about `limit` bytes of text at most."""
    chance = random.Random(reading.seed)
    files = list(enumerate(list_inputs(inputs)))
    few_files = chance.sample(files, PORTIONS) if len(files) > PORTIONS else files
    portions = [portion for number, file in few_files for portion in cut(number, file, TaskSizes(_PORTION_BYTES))]
    if len(portions) > PORTIONS:
        portions = chance.sample(portions, PORTIONS)
    # The smallest first: what they leave of their share goes to the larger ones.
    portions.sort(key=lambda portion: portion.byte_stop - portion.byte_start)
    left = limit
    for number, portion in enumerate(portions):
        end = left - left // (len(portions) - number)
        for records in read_portion(portion, reading.fields):
            yield records
            left -= sum(len(text.encode("utf-8")) for text in records.texts)
            if left <= end:
                break
