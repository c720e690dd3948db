"""A tiny world for each module of end-to-end tests, and one corpus for all builds of shards."""

import shutil
from pathlib import Path

import pytest
from corpus_builds import make_inputs
from real_runs import World, build_world


@pytest.fixture(scope="session")
def built_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("world")).directory


@pytest.fixture(scope="module")
def world(built_world: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Built once; a copy for each module, so that runs of one name in two modules do not meet."""
    directory = tmp_path_factory.mktemp("world")
    return World(Path(shutil.copytree(built_world, directory, dirs_exist_ok=True)))


@pytest.fixture(scope="session")
def corpus_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `corpus_builds.make_inputs`."""
    return make_inputs(tmp_path_factory.mktemp("corpus"))
