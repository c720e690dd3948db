"""Text -> shards. The stages: survey (if sentences are to be exclusive), encode, merge, finish, publish.

Members of a team share the first two; the rest is done by one of them, on its workers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TextIO

from megakor.corpus.build.assemble import assemble
from megakor.corpus.build.gate import gate
from megakor.corpus.build.job import Job, has_leftovers, open_job, remove_leftovers
from megakor.corpus.build.options import PreprocessOptions
from megakor.corpus.build.plan import Plan, Task, make_plan
from megakor.corpus.build.problems import ProblemCounts
from megakor.corpus.build.progress import Progress
from megakor.corpus.build.publish import PUBLISH, check_inputs_unchanged, complete_publishing, finished
from megakor.corpus.build.sample import Sample, require_fields
from megakor.corpus.build.stages import ENCODE, Encoding
from megakor.corpus.build.survey import HELD, KNOWN, Survey
from megakor.corpus.build.team import Team
from megakor.corpus.build.workers import Work, work_through
from megakor.corpus.engines.choice import choose_engine
from megakor.corpus.engines.load import REFERENCE
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.records import InputFile
from megakor.corpus.manifest import Manifest
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import DataError, MegakorError, StorageError
from megakor.storage import make_directory
from megakor.units import counted

__all__ = ["PreprocessOptions", "preprocess"]
Log = Callable[[str], None]


def preprocess(options: PreprocessOptions, log: Log, team: Team | None = None) -> list[Manifest]:
    """Build the shards of every key; returns their manifests, none where other members of the team complete a build.

    Raises ConfigError (options; shards of another build), DataError (inputs, with file and line), StorageError
    (outputs). After any of them the same command goes on from what is done.
    """
    options.validate()
    team = team or Team()
    log = team.labelled(log)
    tokenizer = Tokenizer.load(options.tokenizer)
    files = list_inputs(options.inputs, log)
    make_directory(options.output_prefix.parent)
    manifests: list[Manifest] = []
    for key in options.json_keys:
        manifests += _build(options, key, files, tokenizer, team, log)
    return manifests


def _build(
    options: PreprocessOptions, key: str, files: Sequence[InputFile], tokenizer: Tokenizer, team: Team, log: Log
) -> list[Manifest]:
    plan = make_plan(options, key, files, tokenizer)
    require_fields(plan, options.read_fields())
    begun = _begin(plan, options, team, log)
    if begun is None:
        log(f"{plan.prefix} is finished, from these inputs and with these options: nothing to do.")
        return finished(plan, options.overwrite) or []
    job, share = begun
    try:
        with share:
            merging = _do_share(plan, job, options, team, log)
        if merging is not None:
            with merging:
                return _complete(plan, job, options, team, log)
    except (MegakorError, KeyboardInterrupt) as error:
        with gate(plan.work, team, log):
            if job.is_left("lock.*") and _holds_nothing(job, plan, error):
                job.remove()
        raise
    if team.together:
        team.wait(lambda: not plan.work.exists(), "the first member to complete the shards", log)
    return []


def _holds_nothing(job: Job, plan: Plan, error: BaseException) -> bool:
    """Whether nothing would be lost with the work directory. Bad data ends a build without documents again."""
    if isinstance(error, DataError):
        return not job.has_documents(ENCODE, [task.name for task in plan.tasks])
    return not job.has_begun()


def _begin(plan: Plan, options: PreprocessOptions, team: Team, log: Log) -> tuple[Job, TextIO] | None:
    """The work directory and the lock of this member's share; None for a build that is finished."""
    if finished(plan, options.overwrite) is not None and not has_leftovers(plan.work):
        return None
    with gate(plan.work, team, log):
        if finished(plan, options.overwrite) is not None:
            remove_leftovers(plan.work)
            return None
        job = open_job(plan, options.overwrite)
        return job, job.hold(team.rank, team.size)


def _do_share(plan: Plan, job: Job, options: PreprocessOptions, team: Team, log: Log) -> TextIO | None:
    """Encode this member's tasks; gives the lock of the merge if this member is to put the shards together."""
    if not job.is_done(PUBLISH, "all"):
        for stage in (HELD, KNOWN, ENCODE):
            check_inputs_unchanged(plan, job, stage)
        _encode(plan, job, options, team, log)
    if not _is_last(plan, job, team, log):
        return None
    try:
        return job.hold_merge()
    except StorageError as error:
        log(str(error))
        return None


def _complete(plan: Plan, job: Job, options: PreprocessOptions, team: Team, log: Log) -> list[Manifest]:
    """Put the shards together and under their names, when no member needs the work directory any more."""
    if not job.is_done(PUBLISH, "all"):
        assemble(plan, job, options, log)
    with gate(plan.work, team, log):
        team.wait(job.is_left, "the other members to leave", log)
        made = complete_publishing(plan, job)
    for manifest in made:
        documents = counted(manifest.documents, f"{manifest.role} document")
        log(f"{plan.prefix}: {documents}, {counted(manifest.tokens, 'token')}")
    return made


def _encode(plan: Plan, job: Job, options: PreprocessOptions, team: Team, log: Log) -> None:
    """This member's share of the tasks."""
    tasks = team.mine(sorted(plan.tasks, key=lambda task: task.portion.byte_start - task.portion.byte_stop))
    names = tuple(task.name for task in plan.tasks)
    surveyed: tuple[str, ...] = ()
    if options.holdout_exclusive_sentences:
        surveyed = names
        for stage in (HELD, KNOWN):
            _run_stage(stage, tasks, Survey(plan.settings, stage, names), job, options.workers, log)
            team.wait(partial(job.all_done, stage, names), f"the survey of sentences ({stage})", log)
    left = [task for task in tasks if not job.is_done(ENCODE, task.name)]
    if not left:
        log("no task to do" if tasks else f"no task for this member: the build has {counted(len(names), 'task')}")
        return
    sample = Sample.take(plan)
    choice = choose_engine(options.engine, options.tokenizer, sample.texts)
    for note in [*choice.notes, *sample.warnings(options.read_fields())]:
        log(note)
    workers = counted(min(options.workers, len(left)), "worker")
    log(f"engine: {choice.name} {choice.version}; {len(left):,} of {counted(len(tasks), 'task')} to do, by {workers}")
    work = Encoding(replace(plan.settings, engine=choice.name), surveyed)
    problems = ProblemCounts()
    caught: list[Task] = []

    def hear(task: Task, result: dict[str, Any]) -> None:
        if result["caught"]:
            caught.append(task)
        for note in result["notes"]:
            log(f"{task.portion.path}: {note}")
        problems.merge(ProblemCounts.from_json(result["problems"]))
        problems.check(options.on_error, options.max_errors)

    for line in _run_stage(ENCODE, tasks, work, job, options.workers, log, hear):
        log(line)
    if caught:
        _distrust(choice.name, tasks, job, log)
        _encode(plan, job, replace(options, engine=REFERENCE), team, log)


def _distrust(engine: str, tasks: Sequence[Task], job: Job, log: Log) -> None:
    """Have the tasks done again that an engine has encoded of which other ids were seen."""
    made = [task for task in tasks if job.read(ENCODE, task.name).get("engine") == engine]
    for task in made:
        job.unmark(ENCODE, task.name)
    log(f"{engine} gave other ids than {REFERENCE}: {counted(len(made), 'task')} that it had done will be done again")


def _run_stage(
    stage: str,
    tasks: Sequence[Task],
    work: Work[Task],
    job: Job,
    workers: int,
    log: Log,
    hear: Callable[[Task, dict[str, Any]], None] = lambda task, result: None,
) -> list[str]:
    """Do the tasks that are not done and mark each when it is; returns a table of who did what."""
    left = [task for task in tasks if not job.is_done(stage, task.name)]
    size = sum(task.portion.byte_stop - task.portion.byte_start for task in left)
    with Progress(size, len(left), min(workers, len(left)), log, sys.stderr.isatty()) as progress:
        for task, result in work_through(left, work, workers, progress):
            job.mark(stage, task.name, result)
            hear(task, result)
    return progress.finish()


def _is_last(plan: Plan, job: Job, team: Team, log: Log) -> bool:
    """Whether this member puts the shards together. Where members run side by side, it is the first."""
    names = [task.name for task in plan.tasks]

    def encoded() -> bool:
        return job.is_done(PUBLISH, "all") or job.all_done(ENCODE, names)

    if not team.together:
        if not encoded():
            left = sum(not job.is_done(ENCODE, name) for name in names)
            log(f"this share is done; {counted(left, 'task')} left to others, of whom the last completes the shards")
        return encoded()
    if team.rank == 0:
        team.wait(encoded, "the other members' tasks", log)
    return team.rank == 0
