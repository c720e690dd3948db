"""Metadata conditioning: text made of a document's own fields, put before it or after it by probability.

Prepended metadata speeds up training when it is fine-grained (a URL, a quality score) and appended metadata helps as
an auxiliary prediction ("Beyond URLs", arXiv 2511.21613); a document id after each document is what source-aware
training asks for (arXiv 2404.01019).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from megakor.corpus.fields.draws import draws
from megakor.corpus.fields.template import Template, value_text
from megakor.errors import ConfigError

DOCUMENT_ID = "document_id"
"""The placeholder of the document's id."""
_ID_BITS = 60  # twelve letters; a billion documents have less than one collision


@dataclass(frozen=True)
class Conditioning:
    """What is put before and after documents.

    A field that is null, missing, not a number (NaN) or an empty text drops the whole template for that document.

    Args:
        prepend, append: templates; None for nothing. See `Template.parse`.
        prepend_probability, append_probability: share of documents that get the text, drawn apart, a keyed hash of
            each document.
        seed: of these draws.
        document_id: field that `{document_id}` stands for; None: twelve letters hashed from the input file and the
            position in it.
    """

    prepend: str | None = None
    append: str | None = None
    prepend_probability: float = 1.0
    append_probability: float = 1.0
    seed: int = 1234
    document_id: str | None = None

    def __post_init__(self) -> None:
        for option in ("prepend", "append"):
            share = getattr(self, f"{option}_probability")
            if not 0 <= share <= 1:
                raise ConfigError(f"--{option}-probability {share}: give a number from 0 to 1.")
            if (text := getattr(self, option)) is not None:
                Template.parse(text, f"--{option}")
        if self.document_id is not None and DOCUMENT_ID not in self._names:
            raise ConfigError(f"--document-id {self.document_id}: no template asks for {{{DOCUMENT_ID}}}.")

    @property
    def active(self) -> bool:
        """Whether any document can get any text."""
        return bool((self.prepend and self.prepend_probability) or (self.append and self.append_probability))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Fields of the input that the templates name, each once."""
        own = [self.document_id if name == DOCUMENT_ID else name for name in self._names]
        return tuple(dict.fromkeys(name for name in own if name is not None))

    def texts(
        self,
        metadata: Mapping[str, Sequence[Any]],
        keys: np.ndarray,
        path: str = "",
        positions: Sequence[int] | None = None,
    ) -> tuple[list[str], list[str]]:
        """What stands before and after each document; an empty text for nothing.

        Args:
            metadata: the values of `fields`, one a document.
            keys: uint64 (documents,), different for every document of the corpus; they decide who gets the text.
            path, positions: the input file and each document's place in it, for `{document_id}` without a field.

        Raises ConfigError for a field that `metadata` does not have.
        """
        columns = self._columns(metadata, path, positions)
        return (
            _filled(self._prefix, columns, draws(keys, self.seed, "prepend") < self.prepend_probability),
            _filled(self._suffix, columns, draws(keys, self.seed, "append") < self.append_probability),
        )

    @cached_property
    def _prefix(self) -> Template:
        return Template.parse(self.prepend or "", "--prepend")

    @cached_property
    def _suffix(self) -> Template:
        return Template.parse(self.append or "", "--append")

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return (*self._prefix.fields, *self._suffix.fields)

    def _columns(
        self, metadata: Mapping[str, Sequence[Any]], path: str, positions: Sequence[int] | None
    ) -> dict[str, Sequence[Any]]:
        for name in self.fields:
            if name not in metadata:
                raise ConfigError(
                    f"a template names the field {name!r}, which is not read from the input. "
                    f"Read are: {', '.join(metadata) or 'none'}."
                )
        columns = {name: metadata[name] for name in self.fields}
        if self.document_id is not None:
            columns[DOCUMENT_ID] = metadata[self.document_id]
        elif DOCUMENT_ID in self._names:
            if positions is None:
                raise ValueError("{document_id} needs the path and the positions of the documents")
            columns[DOCUMENT_ID] = [short_id(path, position) for position in positions]
        return columns


def short_id(path: str, position: int) -> str:
    """Twelve letters and digits that stand for one document: 60 bits of a hash of its file's path and its place."""
    digest = hashlib.blake2b(f"{position} {path}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return base64.b32encode(digest).decode("ascii").lower()[: _ID_BITS // 5]


def _filled(template: Template, columns: Mapping[str, Sequence[Any]], chosen: np.ndarray) -> list[str]:
    texts = [""] * len(chosen)
    wanted = [columns[name] for name in template.fields]
    for number in np.flatnonzero(chosen).tolist():
        texts[number] = template.fill([value_text(column[number]) for column in wanted])
    return texts
