"""Whatever a library raises becomes one error that means: use the reference instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class EngineFailureError(Exception):
    """An engine that does not load, does not encode, or gives other ids; the message is the reason, a phrase."""


@contextmanager
def engine_failures(doing: str) -> Iterator[None]:
    """Raise EngineFailureError("DOING: reason") for what a library raises inside, its panics included.

    A panic of a Rust library is a BaseException of a class that cannot be imported; it is known by its name.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        words = " ".join(str(error).split()) or type(error).__name__
        raise EngineFailureError(f"{doing}: {words[:200]}") from error
