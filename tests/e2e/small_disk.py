"""File systems that are soon full, or that fail in the middle of a run. Tests are skipped where none can be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """A file system of its own, where the user may mount one."""
    path.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", str(path))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def enlarge(path: Path, size: str) -> None:
    """Give the file system more room, as a user does who deletes something."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)


class FailingDisk:
    """An ext4 file system that can fail: the kernel makes it read-only while files are open, and what was not synced is
    lost. Use it as a context."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def __enter__(self) -> FailingDisk:
        self.path.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)
        self._attach()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)
        self._image.unlink()

    def fail(self) -> None:
        """An error that ext4 meets."""
        found = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(self.path)], capture_output=True, text=True, check=True
        )
        (Path("/sys/fs/ext4") / Path(found.stdout.strip()).name / "trigger_fs_error").write_text("1")

    def mend(self) -> None:
        """What an administrator does: nobody may use it meanwhile."""
        subprocess.run(["umount", str(self.path)], check=True)
        repaired = subprocess.run(["e2fsck", "-p", str(self._image)], capture_output=True, text=True)
        assert repaired.returncode <= 1, repaired
        self._attach()

    def _attach(self) -> None:
        _mount("-o", "loop,errors=remount-ro", str(self._image), str(self.path))


def _mount(*words: str) -> None:
    mounted = subprocess.run(["mount", *words], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
