"""Questions asked at the same time, each with a limit; what hangs is left behind and holds nobody up.

An answer that came after whoever asked had gone is given to the next one, while it is young: a machine that is slow,
asked by somebody in a hurry, would never be told as it is otherwise.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from dualwrite.monitoring.own_connections import NOTHING_AWAY, own_connections
from dualwrite.stages import Store

T = TypeVar("T")

#: So long an answer that nobody waited for is good for the next one who asks.
LATE_SECONDS = 5.0


@dataclass(frozen=True)
class Task(Generic[T]):
    """A question. Equal names mean the same question: while one hangs, no second one is begun."""

    name: str
    ask: Callable[[], T]
    limit_seconds: float


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The answer or what was raised, and the seconds it took; neither when the limit was overrun."""

    seconds: float
    value: T | None = None
    error: Exception | None = None
    at: float = field(default_factory=time.monotonic, compare=False)


_hanging: "dict[str, Future[Any]]" = {}
_lock = threading.Lock()


def side_by_side(tasks: Sequence[Task[T]], within: float | None = None) -> list[Outcome[T]]:
    """Ask all; returns the outcomes in the order of the tasks, after the longest limit, or `within`, at the latest."""
    began = time.monotonic()
    futures = [_begin(task) for task in tasks]
    asked = zip(tasks, futures, strict=True)
    return [
        _await(task, future, began, min(task.limit_seconds, within or task.limit_seconds)) for task, future in asked
    ]


def _begin(task: Task[T]) -> "Future[Outcome[T]]":
    with _lock:
        hanging = _hanging.pop(task.name, None)
        if hanging is not None and (not hanging.done() or _is_young(hanging)):
            return hanging
    return begun(task.name, task.ask)


def begun(name: str, ask: Callable[[], T], away: Mapping[Store, str] = NOTHING_AWAY) -> "Future[Outcome[T]]":
    """Do it on a thread with connections of its own, which fail at once to a store known to be `away`, as it says why.

    What nobody waits for goes on; its answer is for nobody else, unlike that of a question.
    """
    future: Future[Outcome[T]] = Future()
    # A daemon: what hangs for good does not keep the process from ending.
    # In a copy of who asks' context: what the question logs belongs to the same request.
    work = partial(copy_context().run, _answer, ask, future, away)
    threading.Thread(target=work, name=f"ask {name}", daemon=True).start()
    return future


def _is_young(late: "Future[Outcome[T]]") -> bool:
    return time.monotonic() - late.result().at < LATE_SECONDS


def _answer(ask: Callable[[], T], future: "Future[Outcome[T]]", away: Mapping[Store, str]) -> None:
    began = time.monotonic()
    try:
        with own_connections(away):
            value = ask()
    except Exception as exc:  # handed on to whoever asked
        future.set_result(Outcome(time.monotonic() - began, error=exc))
    else:
        future.set_result(Outcome(time.monotonic() - began, value=value))


def _await(task: Task[T], future: "Future[Outcome[T]]", began: float, limit: float) -> Outcome[T]:
    try:
        return future.result(timeout=max(0.0, began + limit - time.monotonic()))
    except TimeoutError:
        with _lock:
            _hanging[task.name] = future
        return Outcome(time.monotonic() - began)


def forget() -> None:
    """Wait for nothing that hangs, and use no late answer: for tests, which move the servers about."""
    with _lock:
        _hanging.clear()
