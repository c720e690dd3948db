import json
from pathlib import Path

import numpy as np
import pytest
from data_worlds import BLOCK, schedule_of, virtual_source, world, write_shard

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.data.account import account
from megakor.data.audit import audit
from megakor.data.documents import replay
from megakor.data.editing import resume
from megakor.data.ledger import LedgerWriter, read_ledger, surviving
from megakor.data.sources import Sources, open_sources
from megakor.data.statement import ledger_report
from megakor.data.stream import TokenStream
from megakor.errors import DataError, StorageError

PHASES = [PhaseConfig("main", 640, {"ko": 0.75, "en": 0.25}), PhaseConfig("short", None, {"ko": 1, "en": 1}, 8)]


def two_sources() -> Sources:
    return world(virtual_source("ko", [400, 300]), virtual_source("en", [350]))


def new_stream(sources: Sources | None = None) -> TokenStream:
    sources = sources or two_sources()
    return TokenStream(sources, schedule_of(sources, PHASES, total=2000), 4)


def go(stream: TokenStream, book: LedgerWriter, batches: int, skip: bool = False) -> None:
    for _ in range(batches):
        book.add(stream.next_batch(skip=skip))


def real_sources(directory: Path) -> Sources:
    rng = np.random.default_rng(3)
    for name in ("ko", "en"):
        lengths = rng.integers(3, 30, 60)
        write_shard(directory / name, [rng.integers(1, 50, length).tolist() for length in lengths])
    config = Config()
    config.data.sources = {name: SourceConfig(str(directory / name), language=name) for name in ("ko", "en")}
    return open_sources(config, BLOCK)


def test_a_run_is_a_handful_of_lines(tmp_path: Path) -> None:
    stream = new_stream()
    book = LedgerWriter(tmp_path / "l.jsonl", stream)
    go(stream, book, 16)
    book.flush()
    data = [line for line in read_ledger(tmp_path / "l.jsonl") if line["kind"] == "data"]
    assert len(data) <= 8
    first = next(line for line in data if line["name"] == "ko")
    assert (first["position"], first["clock"], first["phase"]) == ([0, 480], [0, 640], "main")
    assert audit(tmp_path / "l.jsonl", stream.tokens_consumed) == []


def test_what_lies_past_a_resume_is_superseded(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    stream = new_stream()
    book = LedgerWriter(path, stream)
    go(stream, book, 5)
    book.flush()
    state = json.loads(json.dumps(stream.state_dict()))
    go(stream, book, 4)
    book.flush()
    again, _ = resume(state, two_sources(), schedule_of(two_sources(), PHASES, total=2000), 4)
    second = LedgerWriter(path, again)
    go(again, second, 2)
    second.flush()
    found = account(path)
    assert (second.attempt, found.attempts) == (2, 2)
    assert (found.tokens, found.superseded_tokens) == (7 * 64, 4 * 64)
    assert audit(path, again.tokens_consumed) == []
    assert {line["attempt"] for line in surviving(read_ledger(path))} == {1, 2}


def test_a_line_cut_short_by_a_crash_is_dropped_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    stream = new_stream()
    book = LedgerWriter(path, stream)
    go(stream, book, 3)
    book.flush()
    whole = read_ledger(path)
    with open(path, "ab") as file:
        file.write('{"kind": "data", "name": "한'.encode()[:-1])
    assert read_ledger(path) == whole
    LedgerWriter(path, stream)
    assert read_ledger(path)[:-1] == whole
    assert read_ledger(path)[-1]["attempt"] == 2


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    LedgerWriter(path, new_stream())
    with open(path, "a") as file:
        file.write("nonsense\n")
    with pytest.raises(DataError, match=r"l.jsonl:2: not a line that a run has written"):
        read_ledger(path)
    with pytest.raises(DataError, match="Name the directory of a run"):
        ledger_report(tmp_path)


def test_a_ledger_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"l.jsonl: cannot be written"):
        LedgerWriter(tmp_path / "missing" / "l.jsonl", new_stream())


def test_replaying_a_ledger_gives_the_rows_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    stream = new_stream()
    book = LedgerWriter(path, stream)
    rows: dict[str, list[object]] = {source.id: [] for source in stream.sources}
    for number in range(40):
        plan = stream.next_batch()
        book.add(plan)
        for source_id, taken in plan.taken.items():
            rows[source_id] += taken
        if number % 7 == 0:
            book.flush()
    book.flush()
    for source in stream.sources:
        lines = [line for line in surviving(read_ledger(path)) if line["source"] == source.id]
        assert [row for line in lines for row in replay(source, line, 4)] == rows[source.id]


def test_the_account_adds_up_per_source_and_language(tmp_path: Path) -> None:
    stream = new_stream(real_sources(tmp_path))
    book = LedgerWriter(tmp_path / "ledger.jsonl", stream)
    go(stream, book, 10)
    go(stream, book, 2, skip=True)
    go(stream, book, 3)
    book.flush()
    found = account(tmp_path / "ledger.jsonl")
    for total in found.sources:
        source = stream.sources.named(total.name)
        counters = stream.counters[source.id]
        assert (total.tokens, total.skipped) == (counters.read, counters.skipped)
        consumed = counters.read + counters.skipped
        assert total.epochs == pytest.approx(consumed / source.epoch_tokens(1))
        assert total.unread == -consumed % source.epoch_tokens(1)
        assert total.tails == source.shards()[0].tokens - source.epoch_tokens(1)
    assert sum(total.share for total in found.languages) == pytest.approx(1)
    assert [entry.phase for entry in found.ranges] == ["main", "short"]


def test_documents_are_those_whose_first_token_was_read(tmp_path: Path) -> None:
    stream = new_stream(real_sources(tmp_path))
    book = LedgerWriter(tmp_path / "ledger.jsonl", stream)
    begun = dict.fromkeys(("ko", "en"), 0)
    for _ in range(14):
        plan = stream.next_batch()
        book.add(plan)
        for row in plan.rows:
            for piece in stream.sources.locate(row):
                starts = np.concatenate(([0], piece.shard.boundaries(0, piece.shard.tokens)))
                inside = (starts >= piece.start) & (starts < piece.start + piece.length)
                begun[stream.sources.by_id[row.source].name] += int(inside.sum())
    book.flush()
    found = {total.name: total for total in account(tmp_path / "ledger.jsonl").sources}
    assert {name: total.documents for name, total in found.items()} == begun
    assert not any(total.documents_estimated for total in found.values())


def test_documents_are_unknown_where_the_shards_are_not(tmp_path: Path) -> None:
    stream = new_stream()
    book = LedgerWriter(tmp_path / "ledger.jsonl", stream)
    go(stream, book, 2)
    book.flush()
    assert [total.documents for total in account(tmp_path / "ledger.jsonl").sources] == [None, None]


def test_the_audit_finds_what_is_read_twice_lost_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    stream = new_stream()
    book = LedgerWriter(path, stream)
    go(stream, book, 8)
    book.flush()
    lines = read_ledger(path)
    forged = {**lines[-1], "position": [16, 40]}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, forged]))
    assert any("were read twice" in fault for fault in audit(path))
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines[:-1], forged]))
    assert any("positions 0 to 16 were lost" in fault for fault in audit(path))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    assert any("the run has consumed 512" in fault for fault in audit(path, stream.tokens_consumed))


def test_a_line_over_the_point_of_a_resume_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    stream = new_stream()
    book = LedgerWriter(path, stream)
    go(stream, book, 2)
    state = json.loads(json.dumps(stream.state_dict()))
    go(stream, book, 2)
    book.flush()
    again, _ = resume(state, two_sources(), schedule_of(two_sources(), PHASES, total=2000), 4)
    LedgerWriter(path, again)
    with pytest.raises(DataError, match="resumed inside it, at 128: lines are missing"):
        account(path)


def test_the_report_is_text_for_people_and_json_for_programs(tmp_path: Path) -> None:
    stream = new_stream(real_sources(tmp_path))
    book = LedgerWriter(tmp_path / "ledger.jsonl", stream)
    go(stream, book, 12)
    book.flush()
    text = ledger_report(tmp_path)
    assert "768 tokens in 1 attempt;" in text
    assert "ko 0.75 en 0.25" in text
    assert max(len(line) for line in text.splitlines()) < 120
    assert json.loads(ledger_report(tmp_path, as_json=True))["tokens"] == 768


def test_a_batch_that_was_not_booked_is_a_gap_not_a_longer_line(tmp_path: Path) -> None:
    stream = new_stream()
    book = LedgerWriter(tmp_path / "l.jsonl", stream)
    go(stream, book, 2)
    stream.next_batch()
    go(stream, book, 2)
    book.flush()
    assert any("were lost" in fault for fault in audit(tmp_path / "l.jsonl"))


def test_a_change_of_phase_is_written_at_once(tmp_path: Path) -> None:
    stream = new_stream()
    book = LedgerWriter(tmp_path / "l.jsonl", stream)
    go(stream, book, 11)
    data = [line for line in read_ledger(tmp_path / "l.jsonl") if line["kind"] == "data"]
    assert {line["phase"] for line in data} == {"main"}
    assert sum(line["tokens"] for line in data) == 640
