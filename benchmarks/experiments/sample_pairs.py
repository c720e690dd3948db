"""Parallel text where there is none: short documents in both languages, sentence by sentence the same, from aligned
lists. It is made up and simple; what is learnt from it says nothing about real text, only that the experiment runs."""

from __future__ import annotations

import random
from collections.abc import Iterator

WORDS: dict[str, list[tuple[str, str]]] = {
    "city": [
        ("Arlen", "가람시"), ("Bayford", "나루포"), ("Corwick", "다솔읍"), ("Elmstead", "라온시"), ("Gwangha", "광하"),
        ("Inverly", "마루골"), ("Jinsan", "진산"), ("Lindwall", "새별시"), ("Marrow", "아라항"), ("Northgate", "북문"),
    ],
    "good": [
        ("barley", "보리"), ("rice", "쌀"), ("cotton", "면화"), ("coffee", "커피"), ("sugar", "설탕"),
        ("copper", "구리"), ("steel", "철강"), ("paper", "종이"), ("glass", "유리"), ("leather", "가죽"),
        ("salt", "소금"), ("wool", "양털"),
    ],
    "day": [
        ("Monday", "월요일"), ("Tuesday", "화요일"), ("Wednesday", "수요일"), ("Thursday", "목요일"),
        ("Friday", "금요일"), ("Saturday", "토요일"), ("Sunday", "일요일"),
    ],
    "place": [
        ("the harbour", "항구"), ("the old market", "옛 시장"), ("the library", "도서관"), ("the town hall", "시청"),
        ("the school yard", "운동장"), ("the river bank", "강둑"), ("the station", "기차역"),
    ],
    "who": [
        ("farmers", "농부들"), ("sailors", "선원들"), ("teachers", "교사들"), ("students", "학생들"),
        ("merchants", "상인들"), ("visitors", "손님들"), ("neighbours", "이웃들"),
    ],
}  # fmt: skip
SENTENCES = [
    (
        "On {day} the price of {good} in {city} was {number}.",
        "{day}에 {city}에서 {good} 값은 {number}이었다.",
    ),
    ("{number} {who} waited at {place} for {good}.", "{who} {number}명이 {place}에서 {good} 차례를 기다렸다."),
    ("The road from {city} to {place} takes {number} minutes.", "{city}에서 {place}까지 가는 길은 {number}분 걸린다."),
    ("In {city} the {who} store {number} sacks of {good}.", "{city}에서는 {who}이 {good} {number}자루를 쌓아 둔다."),
    ("They met again at {place} on {day}.", "그들은 {day}에 {place}에서 다시 만났다."),
    ("Nobody sold {good} on {day}.", "{day}에는 아무도 {good} 장사를 하지 않았다."),
]


def sample_pairs(count: int, seed: int) -> Iterator[dict[str, str]]:
    """Pairs {"id", "en", "ko"}; the same for the same seed."""
    draw = random.Random(seed)
    for number in range(count):
        lines = [_sentence(draw) for _ in range(draw.randrange(3, 7))]
        english, korean = zip(*lines, strict=True)
        yield {"id": f"sample-{number}", "en": "\n".join(english), "ko": "\n".join(korean)}


def _sentence(draw: random.Random) -> tuple[str, str]:
    english, korean = draw.choice(SENTENCES)
    words = {name: draw.choice(items) for name, items in WORDS.items()}
    amount = str(draw.randrange(2, 99))
    return (
        english.format(number=amount, **{name: word[0] for name, word in words.items()}),
        korean.format(number=amount, **{name: word[1] for name, word in words.items()}),
    )
