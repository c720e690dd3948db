"""What ranks found is told once where all found it, and with the node's name where only some did."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.doctor.agreement import compare, different_files
from megakor.doctor.clock import clock_finding
from megakor.doctor.disk import Demand, space, write_speed
from megakor.doctor.facts import code_hash
from megakor.doctor.finding import Finding, merged, report_text
from megakor.doctor.network import link_finding
from megakor.doctor.places import Place, described, rank_words
from megakor.doctor.sharing import shared_directory
from megakor.doctor.world import World, met
from megakor.errors import HardwareError
from megakor.launch.rendezvous import Rendezvous

PLACES = [Place(rank, f"node{rank // 2}") for rank in range(8)]
"""Four nodes of two ranks."""


@given(st.sets(st.integers(0, 40), min_size=1))
def test_ranks_are_written_short_and_none_is_lost(ranks: set[int]) -> None:
    words = rank_words(sorted(ranks)).split(" ", 1)[1]
    read = set()
    for part in words.split(", "):
        first, _, last = part.partition("-")
        read |= set(range(int(first), int(last or first) + 1))
    assert read == ranks


def test_ranks_are_told_by_node() -> None:
    assert described(PLACES[1:4]) == "node0 (rank 1), node1 (ranks 2-3)"


def test_what_all_ranks_found_is_told_once_and_the_rest_with_the_node() -> None:
    good, bad = Finding("apex", "not installed"), Finding("apex", "not NVIDIA's", "uninstall it", fatal=True)
    found = merged({place: [Finding("limits", "ok"), bad if place.rank == 5 else good] for place in PLACES})
    assert found[0] == Finding("limits", "ok")
    assert [finding.state.partition(":")[0] for finding in found[1:]] == [
        "node0 (ranks 0-1), node1 (ranks 2-3), node2 (rank 4), node3 (ranks 6-7)",
        "node2 (rank 5)",
    ]
    assert "FAIL apex    node2 (rank 5): not NVIDIA's" in report_text(found)


@given(st.integers(3, 8), st.data())
def test_one_rank_that_differs_is_the_one_that_is_named(size: int, data: st.DataObject) -> None:
    odd = data.draw(st.integers(0, size - 1))
    facts = {place: {"torch": "2.9" if place.rank == odd else "2.8"} for place in PLACES[:size]}
    [finding] = compare(facts)
    assert finding.fatal and finding.state.startswith(f"{described([PLACES[odd]])}: 2.9;")


def test_of_two_halves_the_one_with_the_first_rank_is_right() -> None:
    [finding] = compare({place: {"code": "new" if place.rank else "old"} for place in PLACES[:2]})
    assert finding.state == "node0 (rank 1): new; 1 others: old"


def test_equal_ranks_agree_and_a_fact_that_one_does_not_have_is_a_difference() -> None:
    assert [finding.mark for finding in compare({place: {"torch": "2.8"} for place in PLACES})] == ["ok"]
    [finding] = compare({place: {"config": "a"} if place.rank else {} for place in PLACES[:3]})
    assert finding.fatal and "rank 0): not known" in finding.state


def test_other_code_is_named_by_file() -> None:
    files = {place: {"a.py": "1", "b.py": "2" if place.rank == 3 else "1"} for place in PLACES}
    [finding] = different_files(files)
    assert finding.state == "node1 (rank 3) differs in b.py"


def test_one_changed_byte_changes_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("megakor.__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "a.py").write_text("x = 1\n")
    before = code_hash()
    (tmp_path / "a.py").write_text("x = 2\n")
    assert code_hash() != before


def test_a_slow_link_is_named_by_its_two_ends_and_a_wrong_clock_by_its_node() -> None:
    seconds = [0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1]
    assert "node1 (rank 3), node2 (rank 4): " in link_finding(PLACES, seconds, 10**6, "link").state
    assert link_finding(PLACES, [0.1] * 8, 10**6, "link").advice == ""
    assert clock_finding(PLACES, [100.0] * 7 + [160.0]).state == "node3 (rank 7): 60 s off"
    assert clock_finding(PLACES, [100.0] * 7 + [101.0]).advice == ""


def test_too_little_room_is_said_before_the_first_save(tmp_path: Path) -> None:
    [finding] = space(World(), tmp_path / "not" / "there", Demand(10**18, 3, 120.0))
    assert finding.fatal and "not one checkpoint fits" in finding.advice
    [finding] = space(World(), tmp_path, Demand(1, 3, 120.0))
    assert not finding.advice


def test_a_save_that_takes_longer_than_the_grace_is_said(tmp_path: Path) -> None:
    speed, saving = write_speed(World(), tmp_path, Demand(10**6, 2, 120.0))
    assert (speed.mark, saving.mark) == ("ok", "ok")
    *_, saving = write_speed(World(), tmp_path, Demand(10**16, 2, 120.0))
    assert "raise resilience.grace_seconds" in saving.advice and "has 2m00s" in saving.advice
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_probed_without_a_trace(tmp_path: Path) -> None:
    [finding] = shared_directory(World(), tmp_path / "runs" / "a")
    assert not finding.fatal and list(tmp_path.iterdir()) == []


def test_ranks_that_do_not_come_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "0")
    with (
        pytest.raises(HardwareError, match=r"ranks 1-2 did not come within 0.2 s. Here are: \S+ \(rank 0\)"),
        met(Rendezvous(rank=0, world_size=3, local_rank=0), patience=0.2),
    ):
        pass
