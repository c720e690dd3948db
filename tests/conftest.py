"""What tests of several directories share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster, why_not

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background has Ctrl-C ignored, and every child would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A real Slurm of two nodes. Where there can be none the test is skipped; on CI it fails instead."""
    if reason := why_not():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with SlurmCluster() as cluster:
        yield cluster
