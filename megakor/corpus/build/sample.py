"""Documents read before the work begins: text for the proof of the engine, and which fields are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from megakor.corpus.build.plan import Plan
from megakor.corpus.inputs.presence import absent
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import Records
from megakor.errors import ConfigError
from megakor.units import counted

_TASKS, _CHARACTERS = 4, 400_000


@dataclass
class Sample:
    """Documents from tasks spread over the input."""

    texts: list[str] = field(default_factory=list)
    read: int = 0
    lacking: Counter[str] = field(default_factory=Counter)

    @classmethod
    def take(cls, plan: Plan) -> Sample:
        """Raises DataError for a file that cannot be read."""
        sample = cls()
        step = max(1, len(plan.tasks) // _TASKS)
        for task in plan.tasks[::step][:_TASKS]:
            sample._add(next(iter(read_portion(task.portion, plan.settings.fields)), Records()))
        return sample

    def _add(self, records: Records) -> None:
        self.read += len(records.texts)
        self.lacking.update(records.lacking)
        room = _CHARACTERS // _TASKS
        for text in records.texts:
            if room <= 0:
                break
            self.texts.append(text[:room])
            room -= len(text)

    def warnings(self, options: Mapping[str, str]) -> list[str]:
        """A line for each field that the sample lacks; `options` has the option that names it."""
        who = f"none of the first {counted(self.read, 'document')} has"
        return [
            f"warning: {no_such_field(option, name, who)} If no other has it either, this build will end with an error."
            for name, option in options.items()
            if self.read and self.lacking[name] == self.read
        ]


def require_fields(plan: Plan, options: Mapping[str, str]) -> None:
    """Raises ConfigError for a field that no input can have, with the option that names it."""
    missing = absent(plan.files, list(options))
    if missing:
        raise ConfigError(no_such_field(options[missing[0]], missing[0], "no input has"))


def no_such_field(option: str, name: str, who: str) -> str:
    """The sentence about a field that is not there."""
    return f"{option} names the field {name!r}, which {who}; is it spelt so?"
