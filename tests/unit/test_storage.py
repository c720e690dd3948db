import errno
import hashlib
from pathlib import Path

import pytest

from megakor.errors import StorageError
from megakor.storage import CONTINUE, hash_file, new_text_file, storage_errors, temporary_name, write_text


def test_a_file_is_seen_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with new_text_file(path) as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(ValueError, match="halfway"), new_text_file(path) as file:
        file.write("new")
        raise ValueError("halfway")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_in_the_way_is_a_storage_error_that_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.mkdir()
    with pytest.raises(StorageError, match="text: cannot be written: it is a directory"):
        write_text(path, "new")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only")]
)
def test_an_error_of_the_storage_says_what_to_do_and_then(number: int, words: str) -> None:
    message = rf"place: cannot be written: .*{words}.*\. Then start the same command"
    with pytest.raises(StorageError, match=message), storage_errors(Path("place"), CONTINUE):
        raise OSError(number, "in the system's words")


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000  # more than one piece
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_machines_that_share_a_directory_do_not_share_temporary_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for machine in ("node1", "node2"):
        monkeypatch.setattr("platform.node", lambda machine=machine: machine)
        monkeypatch.setattr("os.getpid", lambda: 26)
        names.append(temporary_name(tmp_path / "text"))
    assert names[0] != names[1]
    assert {name.parent for name in names} == {tmp_path}
