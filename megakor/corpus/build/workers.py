"""Processes that work through a list of tasks, one task each at a time.

A worker that dies (killed, out of memory) is replaced and its task given out once more; a task that kills two workers
ends the build. Workers are spawned: a fork of a process that has used a library's threads may hang.
"""

from __future__ import annotations

import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from megakor.child_process import start_child
from megakor.errors import LostError, MegakorError

Task = TypeVar("Task")
TaskTaken = TypeVar("TaskTaken", contravariant=True)
_ATTEMPTS = 2
_TICK_SECONDS = 1.0


class Listener(Protocol):
    """Who is told what the workers do; `megakor.corpus.build.progress.Progress` is one."""

    def update(self, worker: int, bytes_: int, documents: int, text_bytes: int, tokens: int) -> None:
        """What a worker has done since its last word."""

    def task_done(self, worker: int) -> None:
        """A worker has finished a task."""

    def tick(self) -> None:
        """Called now and then while nothing happens."""


class Silence:
    """A listener for work that nobody watches."""

    def update(self, worker: int, bytes_: int, documents: int, text_bytes: int, tokens: int) -> None:
        """Says nothing."""

    def task_done(self, worker: int) -> None:
        """Says nothing."""

    def tick(self) -> None:
        """Says nothing."""


class Work(Protocol[TaskTaken]):
    """What the workers do; sent to each when it starts."""

    def start(self) -> Callable[[TaskTaken, Callable[[int, int, int, int], None]], Any]:
        """Called once in each worker; gives the function that does a task and reports its progress."""
        ...

    def describe(self, task: TaskTaken) -> str:
        """The task in an error's sentence."""
        ...


def work_through(
    tasks: Sequence[Task], work: Work[Task], workers: int, listener: Listener
) -> Iterator[tuple[Task, Any]]:
    """Do all tasks; gives each with its result as it is done. Where one worker is enough, this process does the work.

    Raises what a task raises; LostError for a task at which two workers died.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        do = work.start()
        for task in tasks:
            result = do(task, lambda *update: listener.update(0, *update))
            listener.task_done(0)
            yield task, result
        return
    with _Crew(work, workers, listener) as crew:
        yield from crew.through(tasks)


@dataclass
class _Worker(Generic[Task]):
    number: int
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


@dataclass
class _Crew(Generic[Task]):
    work: Work[Task]
    size: int
    listener: Listener
    _workers: list[_Worker[Task]] = field(default_factory=list)
    _deaths: dict[int, int] = field(default_factory=dict)

    def __enter__(self) -> _Crew[Task]:
        for number in range(self.size):
            self._workers.append(self._spawn(number))
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def through(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        waiting = deque(tasks)
        for worker in self._workers:
            self._give(worker, waiting)
        while any(worker.task is not None for worker in self._workers):
            busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
            ready = wait(list(busy), _TICK_SECONDS)
            if not ready:
                self.listener.tick()
            for pipe in ready:
                worker = busy[pipe]  # type: ignore[index]
                task = worker.task
                done, result = self._hear(worker, waiting)
                if done:
                    assert task is not None
                    yield task, result

    def _hear(self, worker: _Worker[Task], waiting: deque[Task]) -> tuple[bool, Any]:
        """Take one message of a worker; whether it ends its task, and the result."""
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, waiting)
            return False, None
        if kind == "update":
            self.listener.update(worker.number, *content)
            return False, None
        if kind == "error":
            raise content
        if kind == "fault":
            raise RuntimeError(f"a worker failed:\n{content}")
        self.listener.task_done(worker.number)
        self._give(worker, waiting)
        return True, content

    def _give(self, worker: _Worker[Task], waiting: deque[Task]) -> None:
        worker.task = waiting.popleft() if waiting else None
        if worker.task is not None:
            try:
                worker.pipe.send(worker.task)
            except OSError:
                self._replace(worker, waiting)

    def _replace(self, worker: _Worker[Task], waiting: deque[Task]) -> None:
        """Put a new process in the place of one that died, and give it the same task."""
        worker.process.join()
        task, code = worker.task, worker.process.exitcode
        worker.pipe.close()
        assert task is not None
        self._deaths[id(task)] = self._deaths.get(id(task), 0) + 1
        if self._deaths[id(task)] >= _ATTEMPTS:
            raise LostError(
                f"{self.work.describe(task)}: two workers died at it ({_cause(code)}). If memory is short, use fewer "
                "--workers."
            )
        fresh = self._spawn(worker.number)
        worker.process, worker.pipe = fresh.process, fresh.pipe
        waiting.appendleft(task)
        self._give(worker, waiting)

    def _spawn(self, number: int) -> _Worker[Task]:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there,), daemon=True)
        start_child(process)
        there.close()
        with suppress(OSError):  # it died while it started: the next message to it says so
            here.send(self.work)
        return _Worker(number, process, here)


def _serve(pipe: Connection) -> None:
    """A worker: does the tasks that arrive until the pipe closes, as it does when the parent ends; then its next report
    of a task ends it.

    The work comes through the pipe too: a start with long arguments would wait for ever for a child that died in it.
    """
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            work: Work[Any] = pipe.recv()
            do = work.start()
            while True:
                task = pipe.recv()
                pipe.send(("done", do(task, lambda *update: pipe.send(("update", update)))))
        except MegakorError as error:
            pipe.send(("error", error))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except Exception:
            pipe.send(("fault", traceback.format_exc()))


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}, most often for want of memory"
    return f"exit code {code}"
