"""Parallel text as rows: for training with and without attention between the languages, and held-out pairs.

Pages are cut into short pairs, some lines of a page in both languages; what is not translated is left out, so that
nothing can be won by copying an English line. Whole pages are held out.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from material import Material, made_once, text_name
from pair_rows import CONTEXTS, context_rows, documents_by_id, one_language_rows, write_rows
from running import say
from sample_pairs import sample_pairs
from scale import Scale

from megakor.corpus.holdout import HoldoutRule
from megakor.corpus.operations.regroup import regroup
from megakor.corpus.operations.regroup_options import CROSS_LINGUAL, RegroupOptions
from megakor.corpus.operations.row_sink import RowFormat
from megakor.corpus.operations.workplace import Output
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.tokenizer import PADDING, Tokenizer
from megakor.errors import DataError
from megakor.storage import new_text_file

HANGUL = re.compile("[가-힣]")
HELD_OUT = HoldoutRule(0.1, seed=1)
ROWS_SEED = 1
Pair = dict[str, str]


@dataclass(frozen=True)
class ParallelText:
    """Where the rows are."""

    directory: Path

    @property
    def training(self) -> Path:
        """Rows in which every document has its translation beside it, all of a row in one segment."""
        return self.directory / "rows"

    @property
    def one_language(self) -> Path:
        """The same documents in rows of one language each, all of a row in one segment."""
        return self.directory / "rows-of-one-language"

    def documents(self, language: str, part: str = "training") -> Path:
        """Documents of one language, of the training pages or of the `held-out` ones."""
        return self.directory / f"{part}-{language}"

    def context(self, kind: str) -> Path:
        """Held-out pairs, the loss on Korean alone; the same Korean in the same rows for every kind of context."""
        return self.directory / f"korean-after-{kind}"


def prepare_pairs(material: Material, file: Path | None, pages: int, scale: Scale) -> ParallelText:
    """Make what is not there. Raises DataError for text that is not parallel line by line."""
    text = ParallelText(material.directory / "parallel")
    wanted = {"text": text_name(file), "pages": pages if file is None else None, "row": scale.row}
    made_once(text.directory, wanted, partial(_make, text, material, file, pages, scale))
    return text


def _make(text: ParallelText, material: Material, file: Path | None, pages: int, scale: Scale) -> None:
    # With as many characters as a row has tokens, a pair fits into a row, mostly more than once.
    pairs = [pair for page in _pages(file, pages) for pair in cut_page(page, scale.row)]
    if not pairs:
        raise DataError(f"{file}: no page has as many lines in Korean as in English, so no lines are known to match.")
    for part in ("training", "held-out"):
        chosen = [pair for pair in pairs if HELD_OUT.holds(pair["page"]) == (part == "held-out")]
        for language in ("en", "ko"):
            _build(text, part, language, chosen, material)
    pad = Tokenizer.load(material.tokenizer).token_id(PADDING) or 0
    options = RegroupOptions(row_tokens=scale.row, mode=CROSS_LINGUAL, pad_id=pad, seed=ROWS_SEED, pair_field="id")
    regroup([text.documents("en"), text.documents("ko")], Output(text.training), options, say)
    _write_rows(text, scale.row, pad)


def _pages(file: Path | None, pages: int) -> Iterable[Pair]:
    if file is None:
        return sample_pairs(pages, ROWS_SEED)
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def cut_page(page: Pair, longest: int) -> Iterator[Pair]:
    """The lines of a page that are translated, at most `longest` characters of English at a time; none of a page whose
    lines do not correspond."""
    english, korean = ([line.strip() for line in page[key].splitlines() if line.strip()] for key in ("en", "ko"))
    if len(english) != len(korean):
        return
    lines = [pair for pair in zip(english, korean, strict=True) if HANGUL.search(pair[1]) and pair[0] != pair[1]]
    part: list[tuple[str, str]] = []
    for number, line in enumerate([*lines, None]):
        if part and (line is None or sum(len(one) for one, _ in part) + len(line[0]) > longest):
            both = ["\n".join(side) for side in zip(*part, strict=True)]
            yield {"page": page["id"], "id": f"{page['id']}#{number}", "en": both[0], "ko": both[1]}
            part = []
        if line is not None:
            part.append(line)


def _build(text: ParallelText, part: str, language: str, pairs: Sequence[Pair], material: Material) -> None:
    path = text.directory / f"{part}-{language}.jsonl"
    with new_text_file(path) as file:
        for pair in pairs:
            file.write(json.dumps({"text": pair[language], "id": pair["id"]}, ensure_ascii=False) + "\n")
    build = PreprocessOptions(
        (str(path),),
        text.documents(language, part),
        material.tokenizer,
        append_eod=True,
        language=language,
        metadata_keys=("id",),
    )
    preprocess(build, say)


def _write_rows(text: ParallelText, row: int, pad: int) -> None:
    training, held_out = (
        [documents_by_id(text.documents(language, part), language) for language in ("en", "ko")]
        for part in ("training", "held-out")
    )
    source = text.documents("ko")
    write_rows(
        text.one_language,
        source,
        one_language_rows(training, text.training, ROWS_SEED),
        RowFormat(row, pad, whole=True),
    )
    english, korean = held_out
    for kind in CONTEXTS:
        form = RowFormat(row, pad, whole=kind != "none")
        write_rows(text.context(kind), source, context_rows(english, korean, kind, row), form)
