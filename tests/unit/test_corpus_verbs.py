"""`megakor corpus` explains itself."""

from __future__ import annotations

import pytest

from megakor.cli import main
from megakor.corpus.verbs import VERBS
from megakor.errors import ExitCode


def test_help_and_no_verb_list_every_verb_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["corpus", "--help"])
    assert stop.value.code == 0
    helped = capsys.readouterr().out
    assert main(["corpus"]) == ExitCode.USAGE
    for text in (helped, capsys.readouterr().err):
        lines = [line.split(maxsplit=1) for line in text.splitlines()]
        assert all([verb, sentence] in lines for verb, sentence in VERBS.items())
