"""Controllers of mixtures: bounds, rhythm, the text that they look at, and what else would move the same shares."""

from __future__ import annotations

from megakor.config.check_mixture import unknown_name
from megakor.config.controllers import controllers_of, free_sources, lowest_ratio, release_of, reweighted_sources
from megakor.config.data_paths import lacks_validation
from megakor.config.phases import phases_of
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.config.schema_controllers import ReplayControllerConfig, ReweightingConfig
from megakor.config.schema_data import PhaseConfig, ReplayConfig


def check_controllers(config: Config) -> list[Problem]:
    """One problem for each setting with which a controller could not do its work."""
    problems = []
    for index, phase in enumerate(config.data.phases):
        key = f"data.phases.{index}"
        if phase.replay is not None and phase.replay.controller is not None:
            problems += _replay(phase.replay, phase.replay.controller, f"{key}.replay")
            problems += _ramps(phase, f"{key}.replay.controller", key)
            problems += _rhythm(config, index, phase.replay.controller.every, f"{key}.replay.controller")
        if phase.reweighting is not None:
            problems += _topics(config, phase, phase.reweighting, key)
            problems += _strength(phase.reweighting, f"{key}.reweighting")
            problems += _ramps(phase, f"{key}.reweighting", key)
            problems += _rhythm(config, index, phase.reweighting.every, f"{key}.reweighting")
        problems += _unseen(config, phase, key)
    return problems


def _replay(replay: ReplayConfig, settings: ReplayControllerConfig, key: str) -> list[Problem]:
    place = f"{key}.controller"
    problems = []
    if release_of(settings) >= settings.tolerance:
        what = f"Replay is lowered up to {settings.release:g} and raised above {settings.tolerance:g}."
        why = "Without a band between them it would go up and down with the noise of the loss."
        fix = f"set {place}.release below the tolerance, such as {settings.tolerance / 2:g}."
        problems.append(Problem((f"{place}.release", f"{place}.tolerance"), what, why, fix))
    if replay.ratio is None:
        return problems
    lowest = lowest_ratio(settings, replay.ratio)
    if not lowest <= replay.ratio <= settings.maximum:
        what = f"The phase begins with a ratio of {replay.ratio:g}, outside {lowest:g} to {settings.maximum:g}."
        fix = f"set {place}.minimum to at most and {place}.maximum to at least {replay.ratio:g}, or another ratio."
        problems.append(Problem((f"{place}.minimum", f"{place}.maximum", f"{key}.ratio"), what, "", fix))
    elif lowest == settings.maximum:
        what = f"The ratio can be {lowest:g} and nothing else."
        fix = f"raise {place}.maximum or lower {place}.minimum, or leave out {place}."
        problems.append(Problem((f"{place}.maximum", f"{place}.minimum"), what, "The controller moves nothing.", fix))
    elif lowest == 0:
        what = "The phase begins without replay, and the controller goes back to where it begins."
        fix = f"set {key}.ratio to a little, such as 0.01, or {place}.minimum."
        problems.append(Problem((f"{key}.ratio", f"{place}.minimum"), what, "It keeps at least a little of it.", fix))
    return problems


def _topics(config: Config, phase: PhaseConfig, settings: ReweightingConfig, key: str) -> list[Problem]:
    """Sources that are not there, or cannot take part."""
    place, known = f"{key}.reweighting", list(config.data.sources)
    named = {f"{place}.sources.{number}": name for number, name in enumerate(settings.sources)}
    named |= {f"{place}.importance.{name}": name for name in settings.importance}
    unknown = [
        unknown_name(where, name, known, "source", "data.sources") for where, name in named.items() if name not in known
    ]
    if unknown:
        return unknown
    free = free_sources(config, phase)
    problems = []
    for where, name in named.items():
        if name not in free:
            what = f"'{name}' has no share of its own in the phase '{phase.name}'."
            why = "Only shares above 0 are reweighted, and the replayed ones have their ratio."
            problems.append(Problem((where,), what, why, f"leave it out, or give it a weight in {key}.weights."))
    if phase.rule == "unimax":
        what = "Reweighting moves shares that UniMax keeps within max_epochs."
        fix = "set data.sources.NAME.epochs, which always holds, or another rule."
        problems.append(Problem((place, f"{key}.rule"), what, "A source may be read more often.", fix, "warning"))
    topics = reweighted_sources(config, phase)
    if len(topics) < 2:
        what = f"{' and '.join(topics) or 'No source'} would be reweighted."
        fix = f"give the phase more sources in {key}.weights, or leave out {place}."
        problems.append(Problem((place,), what, "It takes two sources to divide something.", fix))
    return problems


def _strength(settings: ReweightingConfig, key: str) -> list[Problem]:
    highest = max(settings.importance.values(), default=1.0)
    if settings.minimum == settings.maximum:
        what = "Every source keeps its starting share."
        fix = f"set {key}.minimum below 1 or {key}.maximum above 1, or leave out {key}."
        return [Problem((f"{key}.minimum", f"{key}.maximum"), what, "Nothing would be reweighted.", fix)]
    if settings.strength * highest < 1:
        return []
    what = f"strength {settings.strength:g} x importance {highest:g} is {settings.strength * highest:g}."
    why = "A share is multiplied by 1 plus or minus that: it would be 0 or less."
    fix = f"set {key}.strength below {1 / highest:.3g}, or lower {key}.importance."
    return [Problem((f"{key}.strength", f"{key}.importance"), what, why, fix)]


def _ramps(phase: PhaseConfig, place: str, key: str) -> list[Problem]:
    problems = []
    replay_end = phase.replay.ratio_end if phase.replay is not None else None
    for ramp, end in ((f"{key}.weights_end", phase.weights_end), (f"{key}.replay.ratio_end", replay_end)):
        if end is not None:
            what = f"The phase '{phase.name}' has a ramp and a controller."
            fix = f"leave out one of them, or put {ramp} into a phase before."
            problems.append(Problem((place, ramp), what, "Both would move the same shares.", fix))
    return problems


def _rhythm(config: Config, index: int, every: int | None, place: str) -> list[Problem]:
    """A controller needs points at which it decides, beside the start of its phase."""
    phase, span = config.data.phases[index], phases_of(config)[index]
    grid = phase.evaluation or config.evaluation
    if every is None and grid.every is None and not grid.early:
        what = f"The phase '{phase.name}' is not evaluated on the way, so its controller never decides."
        fix = f"set {place}.every or evaluation.every, such as a tenth of the phase."
        return [Problem((f"{place}.every", "evaluation.every"), what, "", fix)]
    if every is not None and every >= span.tokens:
        what = f"It is {format_tokens(every)}, and the phase has {format_tokens(span.tokens)} tokens."
        why = "Points are counted from its start; the controller never decides."
        keys = (f"{place}.every", f"data.phases.{index}.tokens")
        return [Problem(keys, what, why, f"lower {place}.every, or lengthen the phase.", "warning")]
    return []


def _unseen(config: Config, phase: PhaseConfig, key: str) -> list[Problem]:
    """Controllers without validation text, as far as this machine knows."""
    controllers = controllers_of(config, phase)
    if controllers is None:
        return []
    problems = []
    general = [name for name in controllers.general if name in config.data.sources]
    further = len(controllers.general) > len(general)
    if general and not further and all(lacks_validation(config.data.sources[name]) for name in general):
        problems.append(_no_text(general, f"{key}.replay.controller", "general"))
    for name in controllers.topics:
        if name in config.data.sources and lacks_validation(config.data.sources[name]):
            problems.append(_no_text([name], f"{key}.reweighting", name))
    return problems


def _no_text(names: list[str], place: str, kind: str) -> Problem:
    what = f"There is no validation text of {', '.join(names)}."
    why = f"The {kind} loss is what the controller goes by."
    fix = f"hold some out when the shards are built, or set data.sources.{names[0]}.validation."
    return Problem((place, *(f"data.sources.{name}.validation" for name in names)), what, why, fix)
