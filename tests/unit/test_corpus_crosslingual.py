"""Rows of several languages: always two, neighbours as asked for, parallel documents side by side."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regroup_world import PAD, check_every_token_once, check_rows, documents_of, grouped, read_rows, write_shard

from megakor.corpus.operations.crosslingual import LanguageSampling
from megakor.corpus.operations.parallel import ParallelDocuments
from megakor.corpus.operations.pieces import Piece, Unit, rejoined
from megakor.corpus.operations.regroup import Regrouped, regroup
from megakor.corpus.operations.regroup_options import RegroupOptions
from megakor.corpus.operations.shards import open_shards
from megakor.corpus.operations.shelf import Shelf
from megakor.corpus.operations.supply import Supply
from megakor.corpus.operations.workplace import Output
from megakor.corpus.row_file import Row
from megakor.errors import ConfigError, DataError

ROW = 32
CROSS: dict[str, Any] = {"mode": "cross-lingual", "row_tokens": ROW, "window_tokens": 40 * ROW}
Rows = list[tuple[Row, np.ndarray]]


def both_parts(prefix: Path) -> tuple[Rows, Rows]:
    rest = prefix.with_name(prefix.name + ".rest")
    return read_rows(prefix), read_rows(rest) if rest.with_name(rest.name + ".idx").exists() else []


def lengths_of(count: int, mean: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(1, 2 * mean, count).tolist()


def mixed(tmp_path: Path, korean: int, english: int, mean: int = 4, **options: object) -> tuple[Regrouped, Rows, Rows]:
    documents = documents_of(lengths_of(korean + english, mean, 3))
    write_shard(tmp_path / "ko", documents[:korean], "ko")
    write_shard(tmp_path / "en", documents[korean:], "en")
    done = grouped([tmp_path / "ko", tmp_path / "en"], tmp_path / "out", **CROSS | options)
    rows, rest = both_parts(tmp_path / "out")
    check_every_token_once(rows + rest, documents)
    return done, rows, rest


@given(
    st.lists(st.tuples(st.sampled_from(["ko", "en", "ja"]), st.integers(0, 2 * ROW)), min_size=2, max_size=50),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=20, deadline=None)
def test_every_row_has_two_languages_and_every_token_appears_once(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[tuple[str, int]], seed: int, rho: float
) -> None:
    if len({language for language, length in corpus if length}) < 2:
        return
    directory = tmp_path_factory.mktemp("cross")
    documents = documents_of([length for _, length in corpus])
    write_shard(directory / "in", documents, [language for language, _ in corpus])
    sampling = LanguageSampling(rho=rho)
    grouped([directory / "in"], directory / "out", **CROSS | {"window_tokens": ROW}, seed=seed, sampling=sampling)
    rows, rest = both_parts(directory / "out")
    check_rows(rows + rest)
    check_every_token_once(rows + rest, documents)
    assert all(len(set(row.languages)) > 1 for row, _ in rows)
    assert all(row.segment_starts.tolist() == [0] for row, _ in rows)
    assert len({language for row, _ in rest for language in row.languages}) < 2
    assert all(np.array_equal(row.segment_starts, row.document_starts) for row, _ in rest)


def test_no_document_is_cut_where_short_ones_are_at_hand(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).choice(
        [1, 2, 3, 5, 9, 14, 20, 28], 600, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]
    )
    write_shard(tmp_path / "in", documents_of(lengths.tolist()), ["ko", "en"] * 300)
    done = grouped([tmp_path / "in"], tmp_path / "out", **CROSS)
    assert (done.rows.continued, done.rest.continued) == (0, 0)
    assert done.rows.fill > 0.95


def test_where_no_two_documents_fit_one_is_cut_for_the_sake_of_the_other_language(tmp_path: Path) -> None:
    documents = documents_of([20] * 40)
    write_shard(tmp_path / "in", documents, ["ko", "en"] * 20)
    done = grouped([tmp_path / "in"], tmp_path / "out", **CROSS)
    rows, rest = both_parts(tmp_path / "out")
    check_every_token_once(rows + rest, documents)
    assert all(len(set(row.languages)) > 1 for row, _ in rows)
    assert done.rows.continued > 0


def test_longer_documents_leave_room_for_another_language(tmp_path: Path) -> None:
    documents = documents_of([ROW, 3 * ROW, 2, 2, 2, 2, 2, 2])
    write_shard(tmp_path / "in", documents, ["ko", "ko", *["en"] * 6])
    grouped([tmp_path / "in"], tmp_path / "out", **CROSS, longest_document=ROW - 4)
    rows, rest = both_parts(tmp_path / "out")
    check_every_token_once(rows + rest, documents)
    assert all({"ko", "en"} == set(row.languages) for row, _ in rows)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
def test_neighbours_are_of_two_languages_as_often_as_asked(tmp_path: Path, rho: float) -> None:
    done, rows, _ = mixed(
        tmp_path, 2500, 2500, row_tokens=256, window_tokens=40_000, sampling=LanguageSampling(rho=rho)
    )
    assert len(rows) > 40
    assert done.rows.crossings / done.rows.neighbours == pytest.approx(rho, abs=0.04)
    assert done.rows.fill > 0.99


def test_the_first_document_follows_the_language_sampling(tmp_path: Path) -> None:
    sampling = LanguageSampling(alpha=0.5, beta={"ko": 3, "en": 1}, rho=0.5)
    assert sampling.probabilities({"ko": 100, "en": 300}) == pytest.approx({"en": 0.5, "ko": 0.5})
    assert LanguageSampling().probabilities({"ko": 1, "en": 3}) == {"en": 0.75, "ko": 0.25}
    assert LanguageSampling(alpha=0.0).probabilities({"ko": 1, "en": 3}) == {"en": 0.5, "ko": 0.5}
    _, rows, _ = mixed(tmp_path, 2000, 2000, sampling=LanguageSampling(0.0, {"ko": 0.8, "en": 0.2}, 0.6))
    first = [row.languages[0] for row, _ in rows[: len(rows) // 2]]
    assert first.count("ko") / len(first) == pytest.approx(0.8, abs=0.05)


def test_what_one_language_leaves_over_stands_in_a_shard_of_its_own(tmp_path: Path) -> None:
    done, rows, rest = mixed(tmp_path, 1000, 50, sampling=LanguageSampling(rho=0.5))
    assert {language for row, _ in rest for language in row.languages} == {"ko"}
    assert done.rest_manifest is not None
    assert done.rest_manifest.language == "ko"
    assert done.manifest is not None
    assert done.manifest.language == "en+ko"
    assert sum(language == "en" for row, _ in rows for language in row.languages) == 50


def test_what_is_left_over_is_not_cut_for_another_language_any_more(tmp_path: Path) -> None:
    documents = documents_of([3, *[ROW * 3] * 20])
    write_shard(tmp_path / "in", documents, ["en", *["ko"] * 20])
    done = grouped([tmp_path / "in"], tmp_path / "out", **CROSS)
    rows, rest = both_parts(tmp_path / "out")
    check_every_token_once(rows + rest, documents)
    assert done.rest.fill > 0.98
    assert done.rest.continued <= 2 * 20 + 1


def test_marked_text_keeps_its_place_where_pieces_are_joined() -> None:
    tokens = np.arange(30)
    whole = Piece(tokens, 7, "ko", 0, ((0, 4), (12, 25)))
    pieces = [Unit((whole.part(start, min(start + 7, 30)),)) for start in range(0, 30, 7)]
    (unit,) = rejoined(iter(pieces), 40)
    assert np.array_equal(unit.pieces[0].tokens, tokens)
    assert [place for start, stop in unit.pieces[0].loss_off for place in range(start, stop)] == [
        *range(4),
        *range(12, 25),
    ]
    cut_again = list(rejoined(iter([pieces[0], *pieces[2:]]), 10))
    assert [(unit.pieces[0].offset, unit.tokens) for unit in cut_again] == [(0, 7), (14, 10), (24, 6)]


def test_what_may_leave_fewer_is_advised_only_where_it_is_not_so_already(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([5] * 40), ["en", *["ko"] * 39])
    for sampling, advice in (
        (LanguageSampling(), "; a smaller --rho may leave fewer"),
        (LanguageSampling(alpha=0.5), "; --alpha 1 or a smaller --rho may leave fewer"),
        (LanguageSampling(rho=0.0), ""),
    ):
        lines: list[str] = []
        options = RegroupOptions(pad_id=PAD, sampling=sampling, **CROSS)
        regroup([tmp_path / "in"], Output(tmp_path / "out", overwrite=True), options, lines.append)
        assert lines[-1].endswith(f"% are tokens{advice}")


def test_an_older_rest_does_not_stay_beside_new_rows(tmp_path: Path) -> None:
    mixed(tmp_path, 300, 10)
    assert (tmp_path / "out.rest.idx").exists()
    with pytest.raises(ConfigError, match="exists"):
        grouped([tmp_path / "ko"], tmp_path / "out.rest")


def test_memory_is_bounded_by_the_window() -> None:
    for count in (300, 3000):
        lengths = np.random.default_rng(count).integers(1, 40, count).tolist()
        stream = (Unit((Piece(np.zeros(length, np.uint16), number, "ko"),)) for number, length in enumerate(lengths))
        shelf = Shelf(stream, 4096)
        taken = 0
        while shelf.fill():
            unit = shelf.take(20) or shelf.take_part(7)
            assert unit is not None
            taken += unit.tokens
            assert len(shelf._order) < 2048
        assert taken == sum(lengths)
        assert shelf.peak < 4096 + 256


def test_a_shelf_gives_the_next_that_fits_else_the_longest_that_does() -> None:
    units = [Unit((Piece(np.zeros(length, np.uint16), number, "ko"),)) for number, length in enumerate([9, 4, 6, 4])]
    shelf = Shelf(iter(units), 10_000)
    shelf.fill()
    assert shelf.shortest == 4
    taken = [shelf.take(room, reserved) for room, reserved in [(8, 1), (4, 1), (20, 0), (20, 16), (20, 0), (20, 0)]]
    assert [unit and unit.pieces[0].document for unit in taken] == [2, None, 0, 1, 3, None]


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    documents = documents_of(lengths_of(200, 6, 1))
    write_shard(tmp_path / "in", documents, ["ko", "en"] * 100)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        grouped([tmp_path / "in"], tmp_path / name, **CROSS, seed=seed)
    made = [(tmp_path / f"{name}.bin").read_bytes() for name in "abc"]
    assert made[0] == made[1] != made[2]


def test_parallel_documents_stand_side_by_side_in_either_order(tmp_path: Path) -> None:
    korean, english = documents_of([5] * 60), documents_of([6] * 60)
    ids = [f"id{number}" for number in range(60)]
    write_shard(tmp_path / "ko", korean, "ko", pair=ids)
    write_shard(tmp_path / "en", english, "en", pair=ids[::-1])
    done = grouped([tmp_path / "ko", tmp_path / "en"], tmp_path / "out", **CROSS, pair_field="pair")
    rows = read_rows(tmp_path / "out")
    check_every_token_once(rows, korean + english)
    assert done.rest.rows == 0
    partner = {60 + number: 59 - number for number in range(60)}
    seen = [pair for row, _ in rows for pair in pairwise(row.documents.tolist()) if partner.get(max(pair)) == min(pair)]
    assert len(seen) == 60
    assert 10 < sum(one < two for one, two in seen) < 50


def test_parallel_documents_mix_with_others_and_keep_their_spans(tmp_path: Path) -> None:
    documents = documents_of([4, 5, 6, 7, 40, 3, 9, 9])
    languages = ["ko", "en", "ko", "en", "ko", "en", "ko", "en"]
    ids = ["a", "a", None, "", "long", "long", "b", "a"]  # a second English "a" is on its own
    write_shard(tmp_path / "in", documents, languages, pair=ids, prefix_tokens=[2] + [0] * 7)
    grouped([tmp_path / "in"], tmp_path / "out", **CROSS, pair_field="pair")
    rows, rest = both_parts(tmp_path / "out")
    check_every_token_once(rows + rest, documents)
    row = next(row for row, _ in rows + rest if 0 in row.documents.tolist())
    place = row.documents.tolist().index(0)
    assert abs(place - row.documents.tolist().index(1)) == 1
    start = int(row.document_starts[place])
    assert [start, start + 2] in row.loss_off.tolist()


def test_why_documents_with_an_id_are_in_no_group_is_said(tmp_path: Path) -> None:
    languages = ["ko", "en", "ko", "ko", "en", "ko", "en"]
    ids = ["a", "a", "alone", "long", "long", "a", None]
    write_shard(tmp_path / "in", documents_of([4, 5, 6, 30, 20, 3, 9]), languages, pair=ids)
    supply = Supply(open_shards([tmp_path / "in"], lambda _: None), 100, frozenset())
    assert ParallelDocuments.find(supply, "pair", ROW, 1).summary() == (
        "1 group of parallel documents; not in one: 1 id without a partner in another language, 1 id too long for a "
        "row together, 1 document with an id that an earlier one of the same language has"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampling": LanguageSampling(beta={"fr": 1.0})}, "--beta names fr"),
        ({"sampling": LanguageSampling(alpha=0.0, beta={"ko": 1.0})}, "en would never be drawn"),
        ({"pair_field": "pair"}, "--pair-field pair: the shards have no such metadata"),
        ({"pair_field": "none"}, "no value is shared by documents of two languages"),
        ({"longest_document": ROW}, "--longest-document 32"),
    ],
)
def test_options_that_do_not_fit_the_documents_are_refused(
    tmp_path: Path, options: dict[str, object], said: str
) -> None:
    write_shard(tmp_path / "in", documents_of([5, 6]), ["ko", "en"], none=["x", "y"])
    with pytest.raises((ConfigError, DataError)) as caught:
        grouped([tmp_path / "in"], tmp_path / "out", **CROSS | options)
    assert said in str(caught.value)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    "given_options", [{"alpha": 1.5}, {"rho": -0.1}, {"beta": {"ko": -1.0}}, {"rho": float("nan")}]
)
def test_probabilities_outside_their_range_are_refused(given_options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="--"):
        LanguageSampling(**given_options)  # type: ignore[arg-type]


def test_one_language_alone_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([5, 6, 0]), ["ko", "ko", "en"])
    with pytest.raises(DataError, match="the shards have only ko"):
        grouped([tmp_path / "in"], tmp_path / "out", **CROSS)


def test_a_document_without_a_language_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", documents_of([5, 6]), ["ko", "en"])
    write_shard(tmp_path / "b", documents_of([5, 6]), ["ko", None])
    with pytest.raises(DataError, match="b: document 3 has no language"):
        grouped([tmp_path / "a", tmp_path / "b"], tmp_path / "out", **CROSS)
