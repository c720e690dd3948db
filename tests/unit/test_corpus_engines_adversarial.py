"""The texts of the proof hold what it promises to try."""

from __future__ import annotations

import unicodedata

from megakor.corpus.engines.adversarial import adversarial_texts, every_kind


def test_the_same_arguments_give_the_same_texts_and_another_seed_others() -> None:
    assert adversarial_texts(["<x>"], 1500, 3) == adversarial_texts(["<x>"], 1500, 3)
    assert adversarial_texts(["<x>"], 1500, 3) != adversarial_texts(["<x>"], 1500, 4)
    assert len(adversarial_texts((), 1500)) == 1500


def test_the_texts_hold_what_engines_part_at() -> None:
    texts = adversarial_texts(["<|special|>"], 3000)
    whole = "\n".join(texts)
    assert "" in texts
    for wanted in (
        "\u017f",
        "\u180e",
        "\u200d",
        "\x00",
        "\r\n",
        "\u3000",
        "\u1112\u119e\u11ab",
        "\U0010ffff",
        "<|special|>",
    ):
        assert wanted in whole, ascii(wanted)
    assert any("<|special|>" in text and text != "<|special|>" for text in texts)
    assert any(len(text) >= 5000 for text in texts)
    assert any(unicodedata.normalize("NFC", text) != text for text in texts)
    assert {unicodedata.category(character) for character in whole} >= {"Mn", "Mc", "Nd", "Nl", "Zs", "Cf", "Lo", "Co"}
    whole.encode("utf-8")  # no half of a surrogate pair


def test_every_character_outside_the_large_blocks_is_there() -> None:
    whole = "".join(every_kind())
    for first, last in ((0x80, 0x33FF), (0xD7B0, 0xD7FF), (0xFF00, 0xFFFF)):
        assert {chr(code) for code in range(first, last + 1)} <= set(whole)
