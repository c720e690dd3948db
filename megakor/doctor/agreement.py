"""Ranks that differ from the others, by name. One node with other code or another library is found here, and not by a
hang or by losses that nobody can explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from megakor.config.schema import Config
from megakor.doctor.facts import CODE, CONFIG, code_files, facts_of_rank
from megakor.doctor.finding import Finding
from megakor.doctor.places import Place, described
from megakor.doctor.world import World

MENDABLE = ("python", "numpy", "omegaconf", "tokenizers")
"""What ranks may differ in and still compute the same."""
SHOWN_FILES = 3
ADVICE = {
    CODE: "give all nodes the same code: from a shared directory, or from the copy that `megakor launch` makes",
    CONFIG: "the ranks have read different configurations; is it a copy on each node?",
    "device": "ask the scheduler for nodes of one kind, and look at the driver of the one that differs",
}
SAME_ENVIRONMENT = "install the same environment on all nodes, or use one container image"


def agreement(world: World, config: Config | None) -> list[Finding]:
    """Compare the facts of all ranks. Collective."""
    findings = list(compare(dict(zip(world.places, world.gather(facts_of_rank(config)), strict=True))))
    if any(finding.subject == CODE and finding.fatal for finding in findings):
        findings += different_files(dict(zip(world.places, world.gather(code_files()), strict=True)))
    return findings


def compare(facts: Mapping[Place, Mapping[str, str]]) -> Iterator[Finding]:
    """One finding for each subject: what all have, or else who differs from most."""
    for subject in dict.fromkeys(subject for of_rank in facts.values() for subject in of_rank):
        groups = _groups({place: of_rank.get(subject, "not known") for place, of_rank in facts.items()})
        value, most = groups[0]
        if len(groups) == 1:
            yield Finding(subject, value)
            continue
        others = "; ".join(f"{described(places)}: {other}" for other, places in groups[1:])
        advice = ADVICE.get(subject, SAME_ENVIRONMENT)
        yield Finding(subject, f"{others}; {len(most)} others: {value}", advice, fatal=subject not in MENDABLE)


def different_files(files: Mapping[Place, Mapping[str, str]]) -> Iterator[Finding]:
    """Which source files the ranks with other code have otherwise."""
    _, most = _groups({place: str(sorted(of_rank.items())) for place, of_rank in files.items()})[0]
    usual = files[most[0]]
    for place, of_rank in files.items():
        names = sorted(name for name in usual.keys() | of_rank.keys() if usual.get(name) != of_rank.get(name))
        if names:
            more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
            yield Finding("", f"{described([place])} differs in {', '.join(names[:SHOWN_FILES])}{more}")


def _groups(values: Mapping[Place, str]) -> list[tuple[str, Sequence[Place]]]:
    """Value -> the ranks that have it, most ranks first; of equal ones the group with the lowest rank."""
    groups: dict[str, list[Place]] = {}
    for place, value in sorted(values.items()):
        groups.setdefault(value, []).append(place)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
