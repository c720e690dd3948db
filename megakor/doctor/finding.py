"""What an examination finds, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from megakor.doctor.places import Place, described


@dataclass(frozen=True)
class Finding:
    """One line of the report. `advice` is set where something is in the way."""

    subject: str
    state: str
    advice: str = ""
    fatal: bool = False

    @property
    def mark(self) -> str:
        """FAIL: no run can work. warn: it may not work well."""
        return "FAIL" if self.fatal else "warn" if self.advice else "ok"


def merged(by_place: Mapping[Place, Sequence[Finding]]) -> list[Finding]:
    """What single ranks found, as one report: what all of them found once, and the rest with who found it."""
    found_by: dict[Finding, list[Place]] = {}
    for place, findings in by_place.items():
        for finding in findings:
            found_by.setdefault(finding, []).append(place)
    subjects = list(dict.fromkeys(finding.subject for finding in found_by))
    return [
        finding if len(places) == len(by_place) else _found_by(finding, places)
        for subject in subjects
        for finding, places in found_by.items()
        if finding.subject == subject
    ]


def _found_by(finding: Finding, places: Sequence[Place]) -> Finding:
    return Finding(finding.subject, f"{described(places)}: {finding.state}", finding.advice, finding.fatal)


def report_text(findings: Iterable[Finding]) -> str:
    """A line for each, and the advice under it."""
    findings = list(findings)
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.mark:<5}{finding.subject:<{width}}  {finding.state}")
        if finding.advice:
            lines.append(f"{'':<5}{'':<{width}}  -> {finding.advice}")
    return "\n".join(lines)
