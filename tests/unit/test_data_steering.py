"""Mixtures that are steered: what is read follows decisions, and neither kills nor edits change what was decided."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_worlds import BLOCK, virtual_source, world
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.phases import phases_of
from megakor.config.schema import Config, EvaluationSourceConfig
from megakor.config.schema_controllers import ReplayControllerConfig, ReweightingConfig
from megakor.config.schema_data import PhaseConfig, ReplayConfig, SourceConfig
from megakor.curriculum.decisions import Decision
from megakor.curriculum.schedule import Schedule
from megakor.curriculum.steering import Loss
from megakor.data.account import account
from megakor.data.audit import audit
from megakor.data.difference import Difference
from megakor.data.editing import resume
from megakor.data.ledger import LedgerWriter
from megakor.data.permutation import derive_key
from megakor.data.sources import Sources
from megakor.data.stream import TokenStream
from megakor.errors import ConfigError

NAMES = ("ko", "law", "en")
BATCH = 64
CONTROLLER = ReplayControllerConfig(tolerance=0.1, minimum=0.1, maximum=0.6, step=0.1, patience=1)
REWEIGHTING = ReweightingConfig(every=3 * BATCH, strength=0.3)


def replay(controller: ReplayControllerConfig | None = CONTROLLER, ratio: float = 0.2) -> ReplayConfig:
    return ReplayConfig("en", ratio=ratio, controller=controller)


STEERED = PhaseConfig("steered", None, {"ko": 0.5, "law": 0.5}, replay=replay(), reweighting=REWEIGHTING)


def sources_of(names: tuple[str, ...] = NAMES) -> Sources:
    contents = dict(zip(names, NAMES, strict=True))
    return world(*(virtual_source(name, [4000, 2500], content=content) for name, content in contents.items()))


def config_with(*phases: PhaseConfig, names: tuple[str, ...] = NAMES, total: int = 100 * BATCH) -> Config:
    config = Config()
    config.data.sources = {name: SourceConfig() for name in names}
    config.data.phases = list(phases)
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = total, BATCH, BLOCK
    config.evaluation.every = 2 * BATCH
    return config


def noise(name: str, tokens: int) -> Loss:
    """Losses that do not repeat, from 2.8 to 3.2 nats; at first 3.0."""
    draw = int.from_bytes(derive_key(5, name, tokens)[:4], "big") / 2**32 if tokens else 0.5
    return Loss(2.8 + 0.4 * draw, 100)


class Pilot:
    """A run without a model: its loop reads, evaluates and steers as that of `megakor.train.loop` does."""

    def __init__(self, config: Config, ledger: Path | None = None, names: tuple[str, ...] = NAMES) -> None:
        self.config, self.names = config, names
        self.sources = sources_of(names)
        self.stream = TokenStream(self.sources, Schedule.compile(config), 4)
        self.ledger = ledger
        self.begin()

    def begin(self) -> None:
        self.grid = EvaluationGrid.compile(self.config, phases_of(self.config))
        self.book = LedgerWriter(self.ledger, self.stream) if self.ledger else None
        self.plans: list[Any] = []
        self.decided: list[Decision] = []

    def evaluate(self) -> None:
        losses = {name: noise(NAMES[self.names.index(name)], self.stream.tokens_consumed) for name in self.names}
        steering = self.stream.steering
        self.decided += steering.follow(steering.consider(self.stream.tokens_consumed, losses, self.grid))

    def go(self, batches: int) -> None:
        if self.stream.tokens_consumed == 0 or self.stream.steering.awaits(self.stream.tokens_consumed, self.grid):
            self.evaluate()
        for number in range(batches):
            plan = self.stream.next_batch()
            self.plans.append(plan)
            if self.book:
                self.book.add(plan)
            over = number == batches - 1 and plan.stop >= self.config.train.tokens
            if over or self.grid.is_due(plan.start, plan.stop):
                self.evaluate()
        if self.book:
            self.book.flush()

    def state(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.stream.state_dict()))

    def resume(self, state: dict[str, Any], config: Config | None = None) -> Difference:
        self.config = config or self.config
        self.stream, difference = resume(state, self.sources, Schedule.compile(self.config), 4)
        self.begin()
        return difference


def test_decisions_are_taken_and_followed_from_the_next_batch_on() -> None:
    pilot = Pilot(config_with(STEERED))
    pilot.go(20)
    kinds = {decision.controller for decision in pilot.decided}
    assert kinds == {"replay", "reweighting"}
    points = {kind: {one.tokens // BATCH for one in pilot.decided if one.controller == kind} for kind in kinds}
    assert points["reweighting"] == {3, 6, 9, 12, 15, 18}
    assert points["replay"] <= {2, 3, 4, 6, 8, 9, 10, 12, 14, 15, 16, 18, 20}, "every evaluation, and no other place"
    for decision, later in zip(pilot.decided, pilot.decided[1:], strict=False):
        assert decision.after == later.before
    for plan in pilot.plans:
        valid = [decision for decision in pilot.decided if decision.tokens <= plan.start]
        assert plan.scheduled == (valid[-1].after if valid else {"ko": 0.4, "law": 0.4, "en": 0.2})
        assert math.fsum(plan.scheduled.values()) == pytest.approx(1)


def test_each_decision_says_what_it_was_taken_on() -> None:
    pilot = Pilot(config_with(STEERED))
    pilot.go(20)
    first = next(decision for decision in pilot.decided if decision.controller == "replay")
    loss, begin = noise("en", first.tokens).nats, noise("en", 0).nats
    assert (first.losses, first.reference) == ({"en": loss}, {"en": begin})
    assert first.after["en"] - first.before["en"] == pytest.approx(math.copysign(0.1, loss - begin))
    assert first.why.startswith(f"general loss {loss - begin:+.4f} from the start of the phase: replay 0.2 -> ")
    topics = next(decision for decision in pilot.decided if decision.controller == "reweighting")
    assert topics.losses.keys() == topics.reference.keys() == {"ko", "law"}
    assert topics.after["en"] == topics.before["en"]


@settings(max_examples=40, deadline=None)
@given(
    tolerance=st.floats(0.01, 0.3),
    step=st.floats(0.01, 0.3),
    every=st.tuples(st.sampled_from([None, 40, BATCH, 200]), st.sampled_from([None, 100, 3 * BATCH])),
    strength=st.floats(0.05, 0.9),
    kills=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_counts_follow_the_decided_integral_and_kills_change_nothing(
    tolerance: float, step: float, every: tuple[int | None, int | None], strength: float, kills: list[int]
) -> None:
    """Within 1 + ln(sources) rows at the end of every batch. A killed run forgets what came after its checkpoint."""
    controller = ReplayControllerConfig(tolerance, None, "run", 0.1, 0.6, step, 1, every[0])
    phase = replace(STEERED, replay=replay(controller), reweighting=ReweightingConfig(every[1], strength))
    config = config_with(PhaseConfig("plain", 5 * BATCH, {"ko": 1, "en": 1}), phase)
    calm, killed = Pilot(config), Pilot(config)
    calm.go(sum(kills))
    for batches in kills:
        killed.go(batches)
        saved = killed.state()
        killed.go(3)
        killed.resume(saved)
    assert killed.state() == calm.state()
    intended, read = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0)
    for plan in calm.plans:
        for name in NAMES:
            intended[name] += plan.scheduled.get(name, 0.0) * plan.tokens
            read[name] += plan.realised.get(name, 0)
            assert abs(read[name] - intended[name]) <= (1 + math.log(3)) * BLOCK + 1e-3


def test_a_longer_budget_leaves_every_decision_as_it_was() -> None:
    """The end of a run is evaluated, wherever it lies; points of the grid decide, and those alone."""
    for length in range(3, 16):
        whole, short = Pilot(config_with(STEERED)), Pilot(config_with(STEERED, total=length * BATCH - 10))
        whole.go(20)
        short.go(length)
        short.resume(short.state(), config_with(STEERED))
        short.go(20 - length)
        assert short.state()["steering"]["decisions"] == whole.state()["steering"]["decisions"]
        assert short.plans[-1].rows == whole.plans[-1].rows


def test_an_evaluation_that_a_checkpoint_came_before_is_made_up_for() -> None:
    pilot, other = Pilot(config_with(STEERED)), Pilot(config_with(STEERED))
    pilot.go(4)
    other.go(3)
    other.stream.next_batch()
    other.resume(other.state())
    other.go(0)
    assert other.state() == pilot.state()


def test_the_ledger_accounts_for_each_decided_mixture(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    pilot = Pilot(config_with(STEERED), path)
    pilot.go(9)
    saved = pilot.state()
    pilot.go(5)
    pilot.resume(saved)
    pilot.go(11)
    assert audit(path, 20 * BATCH) == []
    calm = Pilot(config_with(STEERED), tmp_path / "calm.jsonl")
    calm.go(20)
    ranges = account(path).ranges
    assert ranges == account(tmp_path / "calm.jsonl").ranges
    changes = sorted({decision.tokens for decision in calm.decided if decision.tokens < 20 * BATCH})
    assert [entry.clock[0] for entry in ranges] == [0, *changes]
    by_tokens = {decision.tokens: decision.after for decision in calm.decided}
    for entry in ranges[1:]:
        assert entry.intended == by_tokens[entry.clock[0]]
        assert entry.replay is not None and entry.replay[0] == pytest.approx(entry.intended["en"])


def test_a_renamed_source_keeps_its_losses_and_its_share() -> None:
    pilot, plain = Pilot(config_with(STEERED)), Pilot(config_with(STEERED))
    pilot.go(7)
    plain.go(20)
    names = ("korean", "statutes", "english")
    english = ReplayConfig("english", ratio=0.2, controller=CONTROLLER)
    renamed = replace(STEERED, weights={"korean": 0.5, "statutes": 0.5}, replay=english)
    other = Pilot(config_with(renamed, names=names), names=names)
    difference = other.resume(pilot.state())
    assert "was called ko" in difference.text()
    other.go(13)
    assert [plan.rows for plan in other.plans] == [plan.rows for plan in plain.plans[7:]]


def edited(phase: PhaseConfig, *later: PhaseConfig, batches: int = 6) -> tuple[Pilot, Difference]:
    pilot = Pilot(config_with(STEERED))
    pilot.go(batches)
    assert pilot.decided
    return pilot, pilot.resume(pilot.state(), config_with(phase, *later))


def test_nothing_is_different_after_a_decision() -> None:
    _, difference = edited(STEERED)
    assert not difference.changed


def test_other_settings_hold_for_decisions_to_come_and_are_said() -> None:
    pilot, difference = edited(replace(STEERED, replay=replay(replace(CONTROLLER, maximum=0.15))), batches=2)
    assert list(difference.changed) == ["replay controller"]
    assert "between 0.1 and 0.15" in difference.text()
    pilot.go(3)
    first, *later = (plan.scheduled["en"] for plan in pilot.plans)
    assert first == pytest.approx(0.3)
    assert all(share <= 0.15 + 1e-9 for share in later)


@pytest.mark.parametrize(
    "edit",
    [
        {"replay": replay(None), "reweighting": None},
        {"replay": replay(ratio=0.3)},
        {"weights": {"ko": 0.9, "law": 0.1}},
    ],
)
def test_what_was_steered_cannot_be_edited_away(edit: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="phase of its own that begins at token 384"):
        edited(replace(STEERED, **edit))


def test_a_phase_may_be_ended_where_it_is_and_the_next_one_begins_as_it_is_planned() -> None:
    then = PhaseConfig("then", None, {"ko": 1}, replay=replay(ratio=0.5))
    pilot, difference = edited(replace(STEERED, tokens=6 * BATCH), then)
    assert difference.changed["weight of en"][1] == "0.5"
    pilot.go(1)
    assert pilot.plans[0].scheduled == {"ko": 0.5, "en": 0.5}
    assert pilot.stream.steering.memory.start == 6 * BATCH


def test_a_controller_does_not_begin_in_the_middle_of_a_phase() -> None:
    plain = replace(STEERED, replay=replay(None), reweighting=None)
    pilot = Pilot(config_with(plain))
    pilot.go(6)
    with pytest.raises(ConfigError, match=r"of ko, law, en was not measured there.*begins at token 384"):
        pilot.resume(pilot.state(), config_with(STEERED))
    late = PhaseConfig("late", None, {"ko": 1}, replay=replay(replace(CONTROLLER, reference="run")))
    pilot.resume(pilot.state(), config_with(replace(plain, tokens=384), late))
    pilot.go(8)
    assert pilot.decided[0].reference == {"en": noise("en", 0).nats}


def test_a_run_whose_first_losses_were_not_kept_cannot_be_compared_with_them() -> None:
    plain = replace(STEERED, replay=replay(None), reweighting=None)
    pilot = Pilot(config_with(plain))
    pilot.go(6)
    state = pilot.state()
    del state["steering"], state["controllers"]
    pilot.resume(state)
    late = PhaseConfig("late", None, {"ko": 1}, replay=replay(replace(CONTROLLER, reference="run")))
    with pytest.raises(ConfigError, match="start of the run, and that of en was not measured there"):
        pilot.resume(state, config_with(replace(plain, tokens=384), late))


def test_a_loss_that_is_no_number_decides_nothing() -> None:
    pilot = Pilot(config_with(STEERED))
    pilot.go(2)
    losses = {name: Loss(math.nan, 100) for name in NAMES}
    memory = pilot.stream.steering.consider(3 * BATCH, losses, pilot.grid)
    assert memory.decisions == pilot.stream.steering.memory.decisions


def test_the_general_loss_is_a_mean_over_tokens_of_all_its_sets() -> None:
    config = config_with(STEERED)
    config.data.sources["en"].tags = ["general"]
    config.evaluation.sources = {"wiki": EvaluationSourceConfig("wiki", "en", ["general"])}
    tagged = ReplayConfig(tag="general", ratio=0.2, controller=CONTROLLER)
    config.data.phases = [replace(STEERED, replay=tagged, reweighting=None)]
    steering, grid = Pilot(config).stream.steering, EvaluationGrid.compile(config, phases_of(config))
    steering.follow(steering.consider(0, {"en": Loss(3.0, 300), "wiki": Loss(2.0, 100)}, grid))
    assert not steering.follow(steering.consider(2 * BATCH, {"en": Loss(3.0, 300), "wiki": Loss(2.3, 100)}, grid))
    [decision] = steering.follow(steering.consider(4 * BATCH, {"en": Loss(3.1, 300), "wiki": Loss(2.3, 100)}, grid))
    assert decision.why == "general loss +0.1500 from the start of the phase: replay 0.2 -> 0.3"
