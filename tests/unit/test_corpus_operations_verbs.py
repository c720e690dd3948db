"""The verbs on the command line: `megakor corpus merge|shuffle|sort|best|split|filter|repeat|deduplicate`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from operation_worlds import file_bytes, random_documents, read_shard, write_shard

from megakor.cli import main
from megakor.corpus.manifest import read_manifest
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ExitCode

VERBS = ["merge", "shuffle", "sort", "best", "split", "filter", "repeat", "deduplicate"]


def world(tmp_path: Path) -> Path:
    prefix = write_shard(tmp_path / "ko", random_documents(20), {"quality": [number % 4 for number in range(20)]})
    write_shard(tmp_path / "ko.validation", random_documents(6, 1), {"quality": [3] * 6}, role="validation")
    return prefix


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["corpus", verb, "--help"])
    assert stop.value.code == 0
    assert f"example:\n  megakor corpus {verb} shards/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "options", "documents"),
    [
        ("merge", ["--interleave"], 20),
        ("shuffle", ["--seed", "3", "--memory", "64"], 20),
        ("sort", ["--field", "quality", "--descending", "--memory", "64"], 20),
        ("best", ["--field", "quality", "--highest", "--tokens", "100"], None),
        ("filter", ["--where", "quality >= 2"], 10),
        ("repeat", ["--field", "quality", "--weights", "1:2,3:0.5"], None),
        ("repeat", ["--times", "2", "--adjacent"], 40),
        ("deduplicate", [], 20),
    ],
)
def test_every_verb_writes_a_shard(tmp_path: Path, verb: str, options: list[str], documents: int | None) -> None:
    prefix = world(tmp_path)
    words = ["corpus", verb, f"{prefix}.idx", "--output", str(tmp_path / "out"), *options]
    assert main(words) == ExitCode.DONE
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None and manifest.operations[-1]["name"] == verb
    assert len(read_shard(tmp_path / "out")) == manifest.documents
    assert documents is None or manifest.documents <= documents
    assert main(["corpus", "verify", str(tmp_path / "out")]) == ExitCode.DONE
    made = file_bytes(tmp_path / "out")
    assert main([*words, "--overwrite"]) == ExitCode.DONE
    assert file_bytes(tmp_path / "out") == made


@pytest.mark.parametrize(
    ("verb", "options", "others"),
    [
        ("merge", [], ["--interleave"]),
        ("shuffle", [], ["--seed", "3"]),
        ("filter", ["--min-tokens", "2"], ["--max-tokens", "1Ki"]),
        ("repeat", ["--times", "2"], ["--seed", "3"]),
        ("split", ["--field", "quality"], ["--max-outputs", "5"]),
        ("regroup", ["--pad-id", "1", "--row-tokens", "32"], ["--seed", "3"]),
    ],
)
def test_the_same_command_again_does_nothing_and_another_one_is_refused(
    tmp_path: Path, verb: str, options: list[str], others: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = world(tmp_path)
    words = ["corpus", verb, str(prefix), "--output", str(tmp_path / "out"), *options]
    assert main(words) == ExitCode.DONE
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out*")}
    capsys.readouterr()
    assert main(words) == ExitCode.DONE
    assert "nothing to do" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("out*")} == made
    assert main([*words, *others]) == ExitCode.USAGE
    assert "--overwrite to replace" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["tokens", "metadata", "output"])
def test_an_output_of_other_inputs_or_one_that_is_not_whole_is_not_taken_for_this_one(
    tmp_path: Path, change: str
) -> None:
    prefix = world(tmp_path)
    words = ["corpus", "merge", str(prefix), "--output", str(tmp_path / "out")]
    assert main(words) == ExitCode.DONE
    if change == "tokens":
        write_shard(prefix, random_documents(20, 5))
    elif change == "metadata":
        later = shard_file(tmp_path / "out", ".json").stat().st_mtime_ns + 10**9
        os.utime(shard_file(prefix, ".parquet"), ns=(later, later))
    else:
        with shard_file(tmp_path / "out", ".bin").open("r+b") as file:
            file.truncate(3)
    assert main(words) == ExitCode.USAGE


@pytest.mark.parametrize("output", ["", ".", "..", "/"])
@pytest.mark.parametrize("verb", ["shuffle", "split"])
def test_an_output_without_a_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, output: str
) -> None:
    words = ["--field", "quality"] if verb == "split" else []
    assert main(["corpus", verb, str(world(tmp_path)), "--output", output, *words]) == ExitCode.USAGE
    assert "names a directory; give the path of the new shard" in capsys.readouterr().err


def test_split_writes_its_parts(tmp_path: Path) -> None:
    words = ["corpus", "split", str(world(tmp_path)), "--output", str(tmp_path / "out"), "--field", "quality"]
    assert main([*words, "--edges", "1,3"]) == ExitCode.DONE
    assert sorted(path.name for path in tmp_path.glob("out*.json")) == [
        "out_1-to-3.json",
        "out_below-1.json",
        "out_from-3.json",
    ]
    with pytest.raises(SystemExit):
        main([*words, "--edges", "a"])


def test_validation_shards_are_done_alike_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = world(tmp_path)
    words = ["corpus", "filter", str(prefix), "--output", str(tmp_path / "out"), "--where", "quality == 3"]
    assert main(words) == ExitCode.DONE
    said = f"{tmp_path / 'out'} gets no validation shard (--with-validation makes one)"
    assert capsys.readouterr().err.splitlines()[-1] == said
    assert not (tmp_path / "out.validation.idx").exists()
    assert main([*words, "--with-validation", "--overwrite"]) == ExitCode.DONE
    roles = {name: read_manifest(tmp_path / name) for name in ("out", "out.validation")}
    assert [manifest.role for manifest in roles.values() if manifest] == ["training", "validation"]
    assert [manifest.documents for manifest in roles.values() if manifest] == [5, 6]
    capsys.readouterr()
    assert main(words) == ExitCode.DONE
    assert "nothing to do" in (said := capsys.readouterr().err) and "--with-validation" not in said
    assert main(["corpus", "split", *words[2:5], "--field", "quality", "--with-validation"]) == ExitCode.DONE
    assert (tmp_path / "out_3.validation.idx").exists()


@pytest.mark.parametrize("verb", ["merge", "split", "regroup"])
def test_a_lack_of_validation_shards_is_said_once_and_not_before_an_error(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = world(tmp_path / "in")
    write_shard(tmp_path / "in" / "en", random_documents(4, 2))
    write_shard(tmp_path / "in" / "en.validation", random_documents(4, 3), role="validation")
    words = ["corpus", verb, str(prefix), f"{tmp_path}/in/en", "--output", str(tmp_path / "out")]
    if verb == "regroup":
        assert main(words) == ExitCode.USAGE  # no padding
        assert "validation" not in capsys.readouterr().err
        words += ["--pad-id", "1"]
    assert main(words) == ExitCode.DONE
    assert capsys.readouterr().err.count("--with-validation") == 1


def test_repeated_documents_are_more_than_there_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["corpus", "repeat", str(world(tmp_path)), "--output", str(tmp_path / "out"), "--times", "3"]
    assert main(words) == ExitCode.DONE
    assert f"{tmp_path / 'out'}: 60 documents from 20, " in capsys.readouterr().err


def test_of_a_directory_the_training_shards_are_taken(tmp_path: Path) -> None:
    world(tmp_path / "in")
    write_shard(tmp_path / "in" / "more", random_documents(4, 2))
    assert main(["corpus", "merge", str(tmp_path / "in"), "--output", str(tmp_path / "out")]) == ExitCode.DONE
    assert len(read_shard(tmp_path / "out")) == 24


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["shuffle", "{ko}", "--memory", "1"], ExitCode.USAGE, "--memory 1"),
        (["filter", "{ko}", "--where", "quality >"], ExitCode.USAGE, "column 10"),
        (["filter", "{ko}", "--where", "quality > 9"], ExitCode.DATA, "no document is left of 20"),
        (["repeat", "{ko}", "--weights", "1"], ExitCode.USAGE, "VALUE:REPETITIONS"),
        (["repeat", "{ko}", "--weights", "fineweb2-korean-10"], ExitCode.USAGE, "no such field"),
        (["sort", "{ko}", "--field", "qualty"], ExitCode.USAGE, "did you mean quality"),
        (["sort", "{ko}", "--field", "language"], ExitCode.USAGE, "numbers are needed"),
        (["best", "{ko}", "--field", "tokens", "--lowest", "--tokens", "0"], ExitCode.USAGE, "at least 1"),
        (["merge", "{ko}", "{ko}.nowhere"], ExitCode.DATA, "is missing"),
        (["merge", "{ko}", "{ko}.validation"], ExitCode.DATA, "keep them apart"),
        (["deduplicate", "{ko}.validation", "--with-validation"], ExitCode.USAGE, "has a validation shard"),
    ],
)
def test_errors_are_sentences_with_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: ExitCode, said: str
) -> None:
    prefix = str(world(tmp_path))
    words = [word.replace("{ko}", prefix) for word in words]
    assert main(["corpus", *words, "--output", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not list(tmp_path.glob("out*"))
