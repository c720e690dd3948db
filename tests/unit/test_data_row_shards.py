"""Regrouped shards in training: rows are read whole, padding is no token, and segments are what the row file says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from data_worlds import BLOCK, schedule_of, write_shard
from hypothesis import given, settings
from hypothesis import strategies as st
from regroup_world import PAD, VOCABULARY, documents_of, grouped
from regroup_world import write_shard as write_described

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.corpus.row_file import Row, RowFile
from megakor.data.account import account
from megakor.data.audit import audit
from megakor.data.editing import resume
from megakor.data.ledger import LedgerWriter
from megakor.data.mixture import SHARE, DataExhaustedError, Mixture
from megakor.data.row_shard import RowShard, open_shard
from megakor.data.rows import RowBatch, read_rows
from megakor.data.sources import Sources, open_sources
from megakor.data.stream import TokenStream
from megakor.data.supply import supplies_of
from megakor.data.validation import open_validation
from megakor.errors import ConfigError, DataError

ROW = 32


def lengths_of(count: int, longest: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(1, longest, count).tolist()


def best_fit(directory: Path, lengths: list[int], name: str = "rows", language: str = "ko") -> RowShard:
    write_described(directory / f"{name}-in", documents_of(lengths), language)
    grouped([directory / f"{name}-in"], directory / name, row_tokens=ROW, window_tokens=40 * ROW)
    shard = open_shard(directory / name)
    assert isinstance(shard, RowShard)
    return shard


def cross_lingual(directory: Path, seed: int = 0) -> RowShard:
    for number, language in enumerate(("ko", "en")):
        write_described(directory / language, documents_of(lengths_of(40, 12, seed + number)), language)
    inputs = [directory / "ko", directory / "en"]
    grouped(inputs, directory / "rows", row_tokens=ROW, window_tokens=40 * ROW, mode="cross-lingual", seed=seed)
    shard = open_shard(directory / "rows")
    assert isinstance(shard, RowShard)
    return shard


def opened(block: int = ROW, epochs: float | None = None, **paths: Path) -> Sources:
    config = Config()
    config.data.sources = {name: SourceConfig(str(path), name, epochs=epochs) for name, path in paths.items()}
    return open_sources(config, block)


def stream_of(sources: Sources, rows_of_batch: int = 4, **phases: object) -> TokenStream:
    weights = {source.name: 1.0 for source in sources}
    phase = PhaseConfig("main", None, weights, **phases)  # type: ignore[arg-type]
    return TokenStream(sources, schedule_of(sources, [phase], batch=rows_of_batch * ROW, length=ROW), 4)


def all_rows(shard: RowShard, mask: str, **options: object) -> RowBatch:
    found = open_validation("x", "ko", shard.prefix)
    return read_rows(found, found.rows(10**9, ROW), ROW, mask, **options)  # type: ignore[arg-type]


@given(lengths=st.lists(st.integers(1, 3 * ROW), min_size=3, max_size=40), epochs=st.sampled_from([1, 2]))
@settings(max_examples=10, deadline=None)
def test_an_epoch_reads_every_row_once_and_padding_is_no_token(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], epochs: int
) -> None:
    directory = tmp_path_factory.mktemp("rows")
    shard = best_fit(directory, lengths)
    assert shard.real_tokens == sum(lengths)
    stream = stream_of(opened(rows=shard.prefix, epochs=epochs), rows_of_batch=1)
    book = LedgerWriter(directory / "ledger.jsonl", stream)
    read: list[int] = []
    with pytest.raises(DataExhaustedError):
        while True:
            plan = stream.next_batch()
            book.add(plan)
            (row,) = plan.rows
            (piece,) = stream.sources.locate(row)
            assert plan.tokens == row.tokens == RowFile(shard.prefix).row(piece.start // ROW).tokens
            read.append(piece.start)
    book.flush()
    assert sorted(read) == sorted(list(range(0, shard.tokens, ROW)) * epochs)
    assert stream.tokens_consumed == epochs * sum(lengths)
    assert audit(directory / "ledger.jsonl", stream.tokens_consumed) == []
    (total,) = account(directory / "ledger.jsonl").sources
    assert (total.tokens, total.blocks, total.epochs) == (epochs * sum(lengths), epochs * shard.rows, epochs)
    assert (total.unread, total.tails) == (0, 0)
    assert (total.documents, total.documents_estimated) == (epochs * len(lengths), False)


def test_an_unfinished_epoch_counts_its_documents_and_what_is_unread(tmp_path: Path) -> None:
    shard = best_fit(tmp_path, lengths_of(60, 2 * ROW))
    stream = stream_of(opened(rows=shard.prefix))
    book = LedgerWriter(tmp_path / "ledger.jsonl", stream)
    begun = tokens = 0
    for _ in range(3):
        plan = stream.next_batch()
        book.add(plan)
        for row in plan.rows:
            (piece,) = stream.sources.locate(row)
            described = RowFile(shard.prefix).row(piece.start // ROW)
            begun += int((described.offsets == 0).sum())
            tokens += described.tokens
    book.flush()
    (total,) = account(tmp_path / "ledger.jsonl").sources
    assert (total.documents, total.tokens, total.unread) == (begun, tokens, shard.real_tokens - tokens)
    assert total.epochs == pytest.approx(12 / shard.rows)


def expected(row: Row, ids: np.ndarray, mask: str) -> tuple[list[int], list[int]]:
    """Segment and loss mask of every position, token by token."""
    starts = {"document": row.segment_starts, "isolated": row.document_starts, "none": np.array([0])}[mask].tolist()
    off = {place for start, stop in row.loss_off.tolist() for place in range(start, stop)}
    segments, counts = [], []
    for place in range(len(ids)):
        real = place < row.tokens
        segments.append(sum(start <= place for start in starts) - 1 if real else -1)
        following = place + 1
        counts.append(int(following < row.tokens and following not in off and following not in starts))
    return segments, counts


@pytest.mark.parametrize("mask", ["document", "isolated", "none"])
@pytest.mark.parametrize("kind", ["best fit", "cross-lingual"])
def test_segments_and_losses_are_exactly_those_of_the_row_file(tmp_path: Path, kind: str, mask: str) -> None:
    shard = best_fit(tmp_path, lengths_of(50, 2 * ROW)) if kind == "best fit" else cross_lingual(tmp_path)
    batch, file = all_rows(shard, mask), RowFile(shard.prefix)
    for number in range(len(file)):
        row, ids = file.row(number), shard.read(number * ROW, ROW)
        segments, counts = expected(row, ids, mask)
        assert batch.segments_BS[number].tolist() == segments
        assert batch.loss_mask_BS[number].tolist() == counts
        assert batch.tokens_BS[number, : row.tokens].tolist() == ids[: row.tokens].tolist()
        assert batch.labels_BS[number, : row.tokens - 1].tolist() == ids[1 : row.tokens].tolist()
        for start in np.flatnonzero(np.diff(segments, prepend=-2)):
            assert batch.positions_BS[number, start] == 0, "positions restart with each segment"
    assert not (batch.tokens_BS == PAD).any()
    groups = {"document": 1, "isolated": 2, "none": 1}[mask]
    if kind == "cross-lingual":
        assert (batch.segments_BS.max(axis=1) + 1 >= groups).all()
        assert mask == "isolated" or (batch.segments_BS <= 0).all(), "a cross-lingual row is one segment"


def test_conditioning_text_is_read_and_not_learnt(tmp_path: Path) -> None:
    lengths, prefixes = [10, 12, 9, 40], [3, 0, 8, 4]
    write_described(tmp_path / "in", documents_of(lengths), prefix_tokens=np.array(prefixes, np.int32))
    grouped([tmp_path / "in"], tmp_path / "rows", row_tokens=ROW)
    shard = open_shard(tmp_path / "rows")
    assert isinstance(shard, RowShard)
    batch = all_rows(shard, "document")
    pieces = sum(len(RowFile(shard.prefix).row(number).document_starts) for number in range(shard.rows))
    hidden = sum(max(prefix - 1, 0) for prefix in prefixes)  # a document's first token is no label anyway
    assert batch.loss_mask_BS.sum() == sum(lengths) - pieces - hidden


def test_labels_that_are_not_to_be_learnt_are_counted_exactly(tmp_path: Path) -> None:
    shard = best_fit(tmp_path, lengths_of(50, 2 * ROW))
    plain = all_rows(shard, "document")
    chosen = plain.labels_BS[plain.loss_mask_BS > 0][[3, 50, 70]].tolist()
    masked = all_rows(shard, "document", unlearnt=tuple(chosen))
    hidden = (plain.loss_mask_BS > 0) & np.isin(plain.labels_BS, chosen)
    assert hidden.sum() >= 3
    assert masked.loss_mask_BS.sum() == plain.loss_mask_BS.sum() - hidden.sum()
    assert (masked.tokens_BS == plain.tokens_BS).all(), "they are read all the same"
    assert (masked.segments_BS == plain.segments_BS).all()


def test_a_resume_reads_the_same_rows_and_needs_no_row_file_to_be_described(tmp_path: Path) -> None:
    rows = best_fit(tmp_path, lengths_of(60, 2 * ROW))
    write_shard(tmp_path / "plain", [[7] * 3000])
    sources = opened(rows=rows.prefix, plain=tmp_path / "plain")
    stream = stream_of(Sources.from_table(json.loads(json.dumps(sources.to_table()))))
    for _ in range(5):
        stream.next_batch()
    state = json.loads(json.dumps(stream.state_dict()))
    again, difference = resume(state, opened(rows=rows.prefix, plain=tmp_path / "plain"), stream.schedule, 4)
    assert not difference.changed
    for _ in range(20):
        assert again.next_batch() == stream.next_batch()
    assert again.state_dict() == stream.state_dict()


def test_rows_and_plain_text_meet_in_one_batch(tmp_path: Path) -> None:
    rows = best_fit(tmp_path, lengths_of(200, 20))
    write_shard(tmp_path / "plain", [[7] * 3000])
    sources = opened(block=2 * ROW, rows=rows.prefix, plain=tmp_path / "plain")
    stream = stream_of(sources)
    assert (sources.named("rows").block_length, sources.named("plain").block_length) == (ROW, 2 * ROW)
    for _ in range(20):
        plan = stream.next_batch()
        batch = read_rows(sources, plan.rows, ROW, "document", VOCABULARY)
        assert (batch.segments_BS >= 0).sum() == plan.tokens
    shares = [counters.read / stream.tokens_consumed for counters in stream.counters.values()]
    assert shares == pytest.approx([0.5, 0.5], abs=2 * ROW / stream.tokens_consumed)


@given(
    fills=st.lists(st.integers(1, ROW), min_size=2, max_size=6),
    weights=st.lists(st.floats(0.01, 1.0), min_size=6, max_size=6),
    batches=st.lists(st.integers(1, 40), min_size=1, max_size=40),
)
def test_half_empty_rows_get_their_share_of_the_tokens(
    fills: list[int], weights: list[float], batches: list[int]
) -> None:
    """The bound of full rows, in tokens of a full row, holds whatever part of a row is padding."""
    means = {f"s{number}": fill for number, fill in enumerate(fills)}
    shares = dict(zip(means, weights, strict=False))
    mixture, given_tokens, intended = Mixture(), dict.fromkeys(means, 0), dict.fromkeys(means, 0)
    for rows in batches:
        quotas = mixture.plan(shares, rows, ROW, dict.fromkeys(means), means)
        assert sum(quotas.rows.values()) == rows
        taken = {name: count * means[name] for name, count in quotas.rows.items()}
        mixture.settle(quotas.shares, taken)
        assert sum(mixture.carries.values()) == 0
        for name in means:
            given_tokens[name] += taken[name]
            intended[name] += quotas.shares[name] * sum(taken.values())
            bound = (1 + np.log(len(means))) * max(fills)
            assert abs(given_tokens[name] - intended[name] / SHARE) <= bound + 1e-6


def test_a_sequence_length_that_is_not_that_of_the_rows_is_refused_with_the_fix(tmp_path: Path) -> None:
    rows = best_fit(tmp_path, lengths_of(40, ROW))
    with pytest.raises(
        ConfigError, match=r"sequence length is 16, but the source 'rows' has rows of 32 .*--row-tokens"
    ):
        stream_of(opened(rows=rows.prefix), sequence_length=16)


def test_a_source_of_rows_and_plain_shards_is_refused(tmp_path: Path) -> None:
    best_fit(tmp_path, lengths_of(40, ROW), name="b")
    (tmp_path / "mixed").mkdir()
    for path in tmp_path.glob("b.*"):
        shutil.move(path, tmp_path / "mixed" / path.name)
    write_shard(tmp_path / "mixed" / "a", [[1] * 40])
    with pytest.raises(DataError, match=r"mixed/a has no rows, .*mixed/b has rows of 32 tokens"):
        opened(ko=tmp_path / "mixed")


def test_the_row_file_of_another_shard_is_refused(tmp_path: Path) -> None:
    one = best_fit(tmp_path, lengths_of(40, ROW), name="one")
    other = best_fit(tmp_path, lengths_of(90, ROW), name="other")
    shutil.copy(f"{other.prefix}.rows.arrow", f"{one.prefix}.rows.arrow")
    with pytest.raises(DataError, match="belong to different builds"):
        open_shard(one.prefix)


def test_other_segments_over_the_same_tokens_are_another_source(tmp_path: Path) -> None:
    one, same = (best_fit(tmp_path, [ROW] * 10, name=name) for name in ("one", "same"))
    assert one.fingerprint() == same.fingerprint()
    halves = best_fit(tmp_path, [16, 16] * 10, name="halves")
    assert halves.tokens == one.tokens
    shutil.copy(f"{halves.prefix}.rows.arrow", f"{one.prefix}.rows.arrow")
    assert open_shard(one.prefix).fingerprint() != same.fingerprint()


def test_validation_reads_whole_rows_up_to_its_budget(tmp_path: Path) -> None:
    shard = best_fit(tmp_path, [20] * 8)  # a document a row
    found = open_validation("x", "ko", shard.prefix)
    assert found.row_length(BLOCK) == ROW
    assert found.rows(40, BLOCK) == [(0, ROW), (ROW, 2 * ROW)]
    assert found.rows(41, BLOCK) == [(0, ROW), (ROW, 2 * ROW), (2 * ROW, 3 * ROW)]
    assert len(found.rows(10**6, BLOCK)) == shard.rows
    assert read_rows(found, found.rows(40, BLOCK), ROW).loss_mask_BS.sum() == 38


def test_damaged_lengths_are_said_so(tmp_path: Path) -> None:
    shard = best_fit(tmp_path, [20] * 8 + [21])
    path = Path(f"{shard.prefix}.rows.arrow")
    raw = path.read_bytes()
    at = raw.index(RowFile(shard.prefix).lengths.tobytes())
    path.write_bytes(raw[:at] + np.int32(99).tobytes() + raw[at + 4 :])
    with pytest.raises(DataError, match="the rows cannot be read"):
        open_shard(shard.prefix)


def test_a_dry_run_knows_the_tokens_and_documents_of_rows(tmp_path: Path) -> None:
    lengths = lengths_of(60, 2 * ROW)
    config = Config()
    config.train.sequence_length = ROW
    config.data.sources = {"rows": SourceConfig(str(best_fit(tmp_path, lengths).prefix), "ko", epochs=2)}
    supplies, notes = supplies_of(config)
    found = supplies["rows"]
    assert (found.epoch_tokens, found.documents, notes) == (sum(lengths), len(lengths), [])
    assert found.cap == pytest.approx(2 * sum(lengths), rel=0.02)
