"""Training a tokenizer: sizes, ids and shares are those asked for, and the report tells the truth about them."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from corpus_world import VOCABULARY, make_tokenizer, small_texts, write_jsonl
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.tokenizer_options import TokenizerOptions
from megakor.corpus.tokenizer_report import measure
from megakor.corpus.tokenizer_training import _balanced_samples, train_tokenizer
from megakor.errors import ConfigError, DataError

TEXTS = [*small_texts(150), *(f"    def f{n}(x):\n\n\n        return x + {n}{n}{n}{n}  # camelCase" for n in range(50))]


def train(directory: Path, vocabulary: int = 500, **options: Any) -> tuple[Tokenizer, dict[str, Any]]:
    source = write_jsonl(directory / "in.jsonl", TEXTS)
    wanted = TokenizerOptions({"mixed": [str(source)]}, directory / "t", vocabulary, **options)
    output = train_tokenizer(wanted, lambda _: None)
    return Tokenizer.load(output), json.loads((output / "tokenizer_report.json").read_text())


@pytest.fixture(scope="module")
def composing(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train(tmp_path_factory.mktemp("nfc"), normalize="nfc")[0]


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.decode([token]) for token in tokenizer.encode(text)]


def test_training_twice_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        output = make_tokenizer(Path())
        made.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert made[0] == made[1]
    assert sorted(made[0]) == ["tokenizer.json", "tokenizer_config.json", "tokenizer_report.json"]


@pytest.mark.parametrize("reserved", [0, 7])
def test_the_vocabulary_has_exactly_the_size_asked_for(tmp_path: Path, reserved: int) -> None:
    tokenizer, report = train(tmp_path, VOCABULARY, reserved=reserved, special_tokens=("<|turn|>",))
    assert tokenizer.vocabulary_size == report["vocabulary_size"] == VOCABULARY
    assert tokenizer.token_bytes().shape == tokenizer.fragments().shape == (VOCABULARY,)
    assert tokenizer.token_bytes()[tokenizer.eod_id] == 0


def test_text_that_yields_fewer_tokens_is_said(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", ["가나다"])
    lines: list[str] = []
    train_tokenizer(TokenizerOptions({"ko": [str(source)]}, tmp_path / "t", 5_000), lines.append)
    size = Tokenizer.load(tmp_path / "t").vocabulary_size
    assert f"the text yields {size:,} tokens only, fewer than the 5,000 asked for" in lines


def test_special_tokens_have_the_ids_of_the_report_and_text_cannot_spell_them(tmp_path: Path) -> None:
    tokenizer, report = train(tmp_path, special_tokens=("<|turn|>",), reserved=2)
    assert report["special_tokens"] == {
        "<|endoftext|>": 0,
        "<|pad|>": 1,
        "<|turn|>": 2,
        "<|reserved_0|>": 3,
        "<|reserved_1|>": 4,
    }
    assert report["markers"] == {"<think>": 5, "</think>": 6}
    for name, token in report["special_tokens"].items():
        assert tokenizer.token_id(name) == token not in tokenizer.encode(f"a{name}b")
        assert tokenizer.token_bytes()[token] == 0


def test_markers_are_spelt_by_text_and_count_as_text(tmp_path: Path) -> None:
    tokenizer, report = train(tmp_path)
    ids = tokenizer.encode("<think>It rained.</think>")
    assert [ids[0], ids[-1]] == list(report["markers"].values()) == [2, 3]
    assert tokenizer.token_bytes()[ids].sum() == len("<think>It rained.</think>")
    assert AutoTokenizer.from_pretrained(str(tmp_path / "t"))("<think>It rained.</think>")["input_ids"] == ids


def test_no_markers_on_request(tmp_path: Path) -> None:
    tokenizer, report = train(tmp_path, markers=())
    assert report["markers"] == {}
    assert tokenizer.token_id("<think>") is None


@settings(deadline=None)
@given(text=st.text(st.sampled_from("가각ᄀᆨᅡ한글e\u0301\u0327é ñn\u0303Å\u212b1a"), max_size=30))
def test_nfc_is_applied_at_every_encoding(composing: Tokenizer, text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert composing.encode(text) == composing.encode(composed)
    assert composing.decode(composing.encode(text)) == composed


def test_digits_stand_alone_or_in_groups_of_three(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "three").mkdir()
    one, three = train(tmp_path / "one", 600, digits=1)[0], train(tmp_path / "three", 600)[0]
    assert [piece for piece in pieces(one, "x 444444") if piece.strip()][1:] == ["4"] * 6
    assert pieces(three, "x 444444")[-2:] == ["444", "444"]


def test_runs_of_white_space_become_tokens_or_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "single").mkdir()
    runs, single = train(tmp_path / "runs", 600)[0], train(tmp_path / "single", 600, whitespace="single")[0]
    text = "    def x:\n\n\n        y"
    assert any(len(piece) > 1 and piece.isspace() for piece in pieces(runs, text))
    assert all(len(piece) == 1 for piece in pieces(single, text) if piece.isspace())


def test_particles_stand_apart_from_foreign_words_on_request(tmp_path: Path) -> None:
    tokenizer = train(tmp_path, pieces="hangul")[0]
    assert not any("t는" in piece for piece in pieces(tokenizer, "document는"))


def test_the_shares_of_languages_hold_and_the_scarcest_limits(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "ko.jsonl", ["가" * 1_000] * 10)
    write_jsonl(tmp_path / "en.jsonl", ["a b " * 250] * 300)
    lines: list[str] = []
    inputs = {"ko": [str(tmp_path / "ko.jsonl")], "en": [str(tmp_path / "en.jsonl")]}
    train_tokenizer(TokenizerOptions(inputs, tmp_path / "t", 260, {"ko": 0.2, "en": 0.8}), lines.append)
    assert lines[0] == "training text: ko 0.03 MB (20.0 %), en 0.12 MB (80.0 %)"
    lines.clear()
    train_tokenizer(TokenizerOptions(inputs, tmp_path / "u", 260, max_megabytes=0.02), lines.append)
    assert lines[0] == "training text: ko 0.01 MB (50.0 %), en 0.01 MB (50.0 %)"


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.3, 0.5, 0.6]))
def test_shares_are_exact_to_a_character(tmp_path_factory: pytest.TempPathFactory, seed: int, share: float) -> None:
    directory = tmp_path_factory.mktemp("shares")
    for name, letter, prime in (("ko", "가", 7), ("en", "x", 11)):
        texts = [f"{n:03}" + letter * ((seed * prime + 37 * n) % 500) for n in range(seed % 90 + 1)]
        write_jsonl(directory / f"{name}.jsonl", texts)
    inputs = {name: [str(directory / f"{name}.jsonl")] for name in ("ko", "en")}
    options = TokenizerOptions(inputs, directory / "t", 260, {"ko": share, "en": 1 - share})
    bytes_ = {name: sample.training.bytes for name, sample in _balanced_samples(options).items()}
    assert abs(bytes_["ko"] * (1 - share) - bytes_["en"] * share) < 4


def test_the_report_counts_what_can_be_counted_by_hand(tmp_path: Path) -> None:
    tokenizer, _ = train(tmp_path, normalize="nfc")
    texts = ["It rained.", "뷁 e\u0301"]
    ids = [token for text in texts for token in tokenizer.encode(text)]
    figures = measure(tokenizer, texts).to_json()
    assert figures["documents"] == 2
    assert figures["characters"] == 10 + 4
    assert figures["bytes"] == 10 + 3 + 1 + 3
    assert figures["words"] == 4
    assert figures["tokens"] == len(ids)
    assert figures["fertility"] == len(ids) / 4
    assert figures["fallback_share"] == sum("\ufffd" in tokenizer.decode([token]) for token in ids) / len(ids) > 0
    assert figures["unused_tokens"] == 500 - 2 - len(set(ids))
    assert figures["exact_round_trips"] == 0.5  # the second text was not composed


def test_the_report_is_of_held_out_text_where_there_is_enough(tmp_path: Path) -> None:
    _, report = train(tmp_path)
    row, training = report["languages"]["mixed"], report["training"]["mixed"]
    assert row["measured_on"] == "held-out"
    assert 0 < row["documents"] == len(TEXTS) - training["documents"] < 40
    assert row["exact_round_trips"] == 1.0
    one = write_jsonl(tmp_path / "one.jsonl", ["하나뿐인 문서"])
    train_tokenizer(TokenizerOptions({"ko": [str(one)]}, tmp_path / "u", 270), lambda _: None)
    assert (
        json.loads((tmp_path / "u" / "tokenizer_report.json").read_text())["languages"]["ko"]["measured_on"]
        == "training"
    )


def test_unreadable_documents_stop_the_training_or_are_counted(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", TEXTS)
    source.write_text(source.read_text() + '{"text": 1}\n')
    inputs = {"mixed": [str(source)]}
    with pytest.raises(DataError, match=r"in\.jsonl:201"):
        train_tokenizer(TokenizerOptions(inputs, tmp_path / "t", 300), lambda _: None)
    assert not (tmp_path / "t" / "tokenizer.json").exists()
    lines: list[str] = []
    train_tokenizer(TokenizerOptions(inputs, tmp_path / "t", 300, on_error="skip"), lines.append)
    assert "mixed: 1 document that cannot be read was left out" in lines


def test_options_that_cannot_work_are_refused(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", small_texts(2))
    inputs, output = {"ko": [str(source)]}, tmp_path / "t"
    for options, word in (
        (TokenizerOptions(inputs, output, 100), "--vocab-size 100: at least 260"),
        (TokenizerOptions(inputs, output, 300, reserved=50), "--vocab-size 300: at least 310"),
        (TokenizerOptions(inputs, output, 300, {"en": 1.0}), "--weights"),
        (TokenizerOptions(inputs, output, 300, max_megabytes=0), "--max-megabytes"),
        (TokenizerOptions(inputs, output, 300, reserved=-1), "--reserved -1"),
        (TokenizerOptions(inputs, output, 300, special_tokens=("<|pad|>",)), "each must be there once"),
        (TokenizerOptions(inputs, output, 300, markers=(" ",)), "not be empty"),
        (TokenizerOptions(inputs, output, 300, pieces="gpt2"), "--pieces gpt2: choose one of o200k"),
        (TokenizerOptions(inputs, output, 300, digits=2), "--digits 2"),
        (TokenizerOptions(inputs, output, 300, whitespace="none"), "--whitespace none"),
        (TokenizerOptions(inputs, output, 300, normalize="nfkc"), "--normalize nfkc"),
    ):
        with pytest.raises(ConfigError, match=word):
            train_tokenizer(options, lambda _: None)
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"weights": {"ko": float("nan")}}, "--weights"),
        ({"weights": {"ko": float("inf")}}, "--weights"),
        ({"max_megabytes": float("nan")}, "--max-megabytes nan"),
        ({"max_megabytes": float("inf")}, "--max-megabytes inf"),
        ({"seed": 2**300}, "--seed"),
        ({"seed": -(2**63) - 1}, "--seed"),
        ({"special_tokens": ("\ud800",)}, "--special-tokens"),
        ({"markers": ("a\0b",)}, "--markers"),
        ({"vocabulary_size": 1 << 40}, "--vocab-size"),
        ({"reserved": 1 << 40}, "--reserved"),
    ],
)
def test_numbers_and_names_beyond_sense_are_refused_in_words(
    tmp_path: Path, options: dict[str, Any], word: str
) -> None:
    inputs = {"ko": [str(write_jsonl(tmp_path / "a.jsonl", small_texts(2)))]}
    with pytest.raises(ConfigError, match=word) as refused:
        train_tokenizer(
            TokenizerOptions(**{"vocabulary_size": 300, **options}, inputs=inputs, output=tmp_path / "t"), print
        )
    str(refused.value).encode("utf-8")


def test_a_seed_at_either_end_of_what_is_allowed_works(tmp_path: Path) -> None:
    inputs = {"ko": [str(write_jsonl(tmp_path / "a.jsonl", small_texts(20)))]}
    for seed in (2**63 - 1, 1 - 2**63):
        train_tokenizer(TokenizerOptions(inputs, tmp_path / f"t{seed}", 300, seed=seed), lambda _: None)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "tokenizer_report.json", "text.jsonl"])
def test_an_input_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    source = write_jsonl(tmp_path / "in" / name, small_texts(200))
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in (tmp_path / "in", tmp_path / "link"):
        with pytest.raises(ConfigError, match=r"--output: .* is an input too"):
            train_tokenizer(TokenizerOptions({"en": [str(tmp_path / "in")]}, output, 300), lambda _: None)
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name] and source.read_bytes() == before
