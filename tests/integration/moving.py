"""Bringing a stream to a stage as operators do: a relay at work, validations in between; the gates take no time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dualwrite import outbox, switch
from dualwrite.control import transition
from dualwrite.control.advance import advance
from dualwrite.relay import worker
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.support import at_work


class Killed(BaseException):
    """The process ended here: nothing catches it."""


def kill() -> None:
    """End the process, as far as its databases can tell."""
    raise Killed


@contextmanager
def relay_at_work(stream: Stream) -> Iterator[None]:
    """A relay in a thread of its own."""
    stop = threading.Event()
    with at_work(lambda: worker.run([stream], stop)) as work:
        try:
            yield
        finally:
            stop.set()
    work.result()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates look at the lag once, and a relay looks for partitions more often; nothing else changes."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SOAK_SECONDS", "0")
    monkeypatch.setattr(worker, "CHECK_SECONDS", 0.1)


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return as soon as it holds; fail when it does not within that time."""
    pause, until = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s"
        pause.wait(0.02)


def relayed(stream: Stream) -> None:
    """The relay at work has relayed everything noted so far."""
    eventually(lambda: not outbox.pending(stream, switch.authority(stream).store).count)


def proven(stream: Stream) -> None:
    """Everything noted is relayed, and a validation shows both stores equal."""
    relayed(stream)
    assert validate(stream).status == "passed"


def bring(stream: Stream, to: Stage) -> None:
    """Advance step by step to that stage; a relay must be at work, and there must be a row."""
    while (here := transition.stage_of(stream)) is not to:
        if here is not Stage.OFF:
            proven(stream)
        assert advance(stream, TESTER).changed


def roles(stream: Stream) -> tuple[Role, Role]:
    """Of screener and registry."""
    screener, registry = switch.both(stream)
    return screener.role, registry.role


def write(session: Session, store: Store, symbol: str) -> None:
    """A membership, written by somebody else's program straight into that store."""
    if store is Store.SCREENER:
        session.execute(
            "INSERT INTO index_memberships (symbol, exchange, index_name) VALUES (%s, 'NSE', 'NIFTY 50')", (symbol,)
        )
    else:
        session.execute(
            "INSERT INTO index_memberships (instrument_key, index_id, is_active) VALUES (%s, 'NIFTY 50', true)",
            (f"NSE:{symbol}",),
        )


def held(screener: Session, registry: Session) -> tuple[set[str], set[str]]:
    """The symbols in each store."""
    old = screener.execute("SELECT symbol FROM index_memberships").fetchall()
    new = registry.execute("SELECT instrument_key FROM index_memberships WHERE is_active").fetchall()
    return {str(row[0]) for row in old}, {str(row[0]).removeprefix("NSE:") for row in new}
