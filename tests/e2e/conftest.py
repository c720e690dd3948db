"""One tiny world for all end-to-end tests of a session, and one corpus for all builds of shards."""

from pathlib import Path

import pytest
from corpus_builds import make_inputs
from real_runs import World, build_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def corpus_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `corpus_builds.make_inputs`."""
    return make_inputs(tmp_path_factory.mktemp("corpus"))
