"""`megakor tensorboard`: the real server shows what metrics.jsonl says, of interrupted runs too, and to this machine
alone."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import numpy as np
import psutil
import pytest
from real_runs import PATIENCE, World, kill_group, kill_when, train_lines

pytestmark = pytest.mark.slow

WORDS = ("report.tensorboard=true", "data.sources.english.tags=[general]")
HOSTILE = "a,b:c $(touch owned) 실험"
"""TensorBoard's own option for several runs would take the comma and the colon for separators."""

Points = list[tuple[int, np.float32]]


@pytest.fixture(scope="module")
def watched(world: World) -> Path:
    """A run that was killed and resumed."""
    run = world.run_dir("watched")
    process = world.start("pretrain", "run.yaml", "run.dir=runs/watched", *WORDS)
    assert kill_when(process, lambda: train_lines(run) >= 7)
    world.pretrain("watched", *WORDS)
    return run


class Served:
    """A TensorBoard that was started as a user does it."""

    def __init__(self, world: World, *words: str, **environment: str) -> None:
        self.process = world.start("tensorboard", *words, "--port", "0", **environment)
        assert self.process.stdout is not None
        self.said = "".join(self.process.stdout.readline() for _ in range(4))
        where = re.match(r"TensorBoard is at (http://\S+)", self.said)
        assert where, self.process.communicate()
        self.url = where[1]

    def get(self, route: str, **query: str) -> Any:
        with build_opener(ProxyHandler({})).open(f"{self.url}data/{route}?{urlencode(query)}", timeout=60) as answer:
            return json.load(answer)

    def scalars(self, run: str, tag: str) -> Points:
        return [(step, np.float32(value)) for _, step, value in self.get("plugin/scalars/scalars", run=run, tag=tag)]


@pytest.fixture
def served(world: World, watched: Path, tmp_path: Path) -> Iterator[Served]:
    """Two runs, of which one has a name that must be taken for nothing but a name."""
    hostile = world.directory / "runs" / HOSTILE
    if not hostile.exists():
        shutil.copytree(watched, hostile)
    server = Served(world, str(watched), str(hostile), TMPDIR=str(tmp_path))
    wait_for(server, "watched", "train/loss", 12)
    wait_for(server, HOSTILE, "train/loss", 12)
    try:
        yield server
    finally:
        kill_group(server.process)


def wait_for(server: Served, run: str, tag: str, points: int) -> None:
    """The server loads event files while it answers."""
    deadline = time.monotonic() + PATIENCE
    while tag not in server.get("plugin/scalars/tags").get(run, {}) or len(server.scalars(run, tag)) < points:
        assert time.monotonic() < deadline, f"{tag} of {run} was not loaded"
        time.sleep(0.1)


def expected(world: World, name: str) -> dict[str, Points]:
    """Tag -> points, from the surviving lines of metrics.jsonl."""
    found: dict[str, Points] = {}

    def add(tag: str, line: dict[str, Any], value: float | None) -> None:
        if value is not None:
            found.setdefault(tag, []).append((line["tokens"], np.float32(value)))

    for line in world.lines(name, "train"):
        for key in ("loss", "lr", "grad_norm"):
            add(f"train/{key}", line, line[key])
        for source, progress in line["sources"].items():
            add(f"mixture/{source}/realised", line, progress["batch_tokens"] / line["batch_tokens"])
            add(f"mixture/{source}/intended", line, progress["intended"])
    for line in world.lines(name, "validation"):
        add(f"validation/{line['language']}/{line['source']}/loss", line, line["loss"])
        add(f"validation/{line['language']}/bits_per_byte", line, line["bits_per_byte"])
    for line in world.lines(name, "gap"):
        add(f"gap/{line['series']}/depth", line, line["depth"])
        add(f"gap/{line['series']}/length", line, line["length"])
    return found


def test_what_is_read_over_http_is_what_metrics_jsonl_says(world: World, watched: Path, served: Served) -> None:
    wanted = expected(world, "watched")
    assert {tag.partition("/")[0] for tag in wanted} == {"train", "mixture", "validation", "gap"}
    assert len(wanted["train/loss"]) == 12
    for run in ("watched", HOSTILE):
        for tag, points in wanted.items():
            # The last gaps are told at the last evaluation and again when the run ends.
            assert dict(served.scalars(run, tag)) == dict(points), tag
    categories = served.get("plugin/custom_scalars/layout")["category"]
    assert [category["title"] for category in categories] == ["Mixture", "Losses", "Stability gap"]
    for chart in (chart for category in categories for chart in category["chart"]):
        shown = served.get("plugin/custom_scalars/scalars", run="watched", tag=chart["multiline"]["tag"][0])
        assert shown["tag_to_events"] or chart["title"].startswith("length"), chart["title"]
    assert not (world.directory / "owned").exists()


def test_only_this_machine_can_reach_it_and_nothing_is_left_of_it(served: Served, tmp_path: Path) -> None:
    process = psutil.Process(served.process.pid)
    sockets = [one for each in (process, *process.children(recursive=True)) for one in each.net_connections("inet")]
    listening = {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
    assert listening and listening <= {"127.0.0.1", "::1"}
    served.process.send_signal(signal.SIGTERM)
    _, err = served.process.communicate(timeout=PATIENCE)
    assert (served.process.returncode, err) == (0, "")
    assert "ssh -N -L" in served.said
    assert list(tmp_path.iterdir()) == []
