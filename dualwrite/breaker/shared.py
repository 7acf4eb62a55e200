"""One breaker for each mirror, kept in Redis for all processes; in this one's memory while Redis is away."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar, cast

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from dualwrite.breaker.state import Position, State
from dualwrite.exceptions import InvalidParameter
from dualwrite.parameters import MIRROR_BREAKER_FAILURES, MIRROR_BREAKER_SECONDS, Parameter
from dualwrite.stages import Store
from dualwrite.stores import describe

#: Of one question to Redis, and how long it is not asked after it failed.
LIMIT_SECONDS, AWAY_SECONDS = 0.2, 5.0
#: How old what is known of the shared state may be when a write asks.
KNOWN_SECONDS = 0.5
#: What nobody added a failure to for so long is forgotten.
FORGOTTEN_SECONDS = 600
OPEN = "writes do not wait for the {store} store, which could not be reached {failures} times in a row: {error}"
TRYING = "the {store} store is tried again by this write, which does not wait for it"

T = TypeVar("T")
Change = Callable[[State, float], State]


@dataclass(frozen=True)
class Asked:
    """Why not to wait for the mirror; empty: do. `tries`: mirror it all the same, to see whether it is back."""

    why: str = ""
    tries: bool = False


class Breaker:
    """Of one mirror, which `name` tells from all others that use the same Redis."""

    def __init__(self, store: Store, name: str, url: str) -> None:
        self.store, self._key, self._url = store, f"dualwrite:breaker:{name}", url
        self._guard = threading.Lock()
        self._known, self._known_until, self._away_until = State(), 0.0, 0.0
        #: How much Redis's clock is ahead of ours.
        self._ahead = 0.0

    def ask(self) -> Asked:
        """Whether a write is to wait for the mirror; asks Redis only now and then. Raises nothing."""
        why = self.why_not()
        if why and self._read(KNOWN_SECONDS).position(self._now()) is Position.HALF_OPEN and self._takes_turn():
            return Asked(TRYING.format(store=self.store), tries=True)
        return Asked(why)

    def why_not(self) -> str:
        """Why writes do not wait for the mirror; empty where they do. Takes no turn to try. Raises nothing."""
        state = self._read(KNOWN_SECONDS)
        if state.position(self._now()) is Position.CLOSED:
            return ""
        return OPEN.format(store=self.store, failures=state.failures, error=state.error)

    def is_closed(self) -> bool:
        """Whether writes wait for the mirror. Raises nothing."""
        return not self.why_not()

    def failed(self, error: str) -> None:
        """The mirror could not be reached. Raises nothing."""
        most, longest = _value(MIRROR_BREAKER_FAILURES), _value(MIRROR_BREAKER_SECONDS)
        self._change(lambda state, now: state.failed(error, now, most=most, longest=longest))

    def succeeded(self) -> None:
        """It answered. Raises nothing."""
        if self._read(KNOWN_SECONDS) != State():
            self._change(lambda state, now: State())

    def reset(self) -> bool:
        """Close it; whether it was anything else."""
        before = self._read(0)
        self._change(lambda state, now: State())
        return before != State()

    def report(self) -> dict[str, Any]:
        """As it is, for people; `shared` is false where Redis is away and this is one process's own."""
        state = self._read(0)
        return {
            "state": state.position(self._now()).value,
            "failures": state.failures,
            "error": state.error,
            "since": _moment(state.opened_at),
            "try_at": _moment(state.try_at),
            "shared": not self._is_away(),
        }

    def _now(self) -> float:
        return time.time() + self._ahead

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _read(self, age: float) -> State:
        with self._guard:
            if age and time.monotonic() < self._known_until:
                return self._known
        return self._change(None)

    def _takes_turn(self) -> bool:
        mine = False

        def try_it(state: State, now: float) -> State:
            nonlocal mine
            mine = state.position(now) is Position.HALF_OPEN
            return state.tried(now) if mine else state

        self._change(try_it)
        return mine

    def _change(self, change: Change | None) -> State:
        """Change it for all processes, or look only; what is known then."""
        try:
            if not self._is_away():
                return self._know(self._changed(change))
        except (redis.RedisError, OSError, ValueError):  # the last: an address that is none
            self._away_until = time.monotonic() + AWAY_SECONDS
        with self._guard:
            found = change(self._known, self._now()) if change else self._known
        return self._know(found)

    @cached_property
    def _redis(self) -> "redis.Redis":
        limits = {"socket_connect_timeout": LIMIT_SECONDS, "socket_timeout": LIMIT_SECONDS}
        return redis.Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **limits)

    def _changed(self, change: Change | None) -> State:
        seconds, micro = self._redis.time()
        now = seconds + micro / 1e6
        self._ahead = now - time.time()
        if change is None:
            return State.of_text(self._redis.get(self._key))

        def work(pipe: Any) -> State:
            before = State.of_text(pipe.get(self._key))
            after = change(before, now)
            pipe.multi()
            if after == State():
                pipe.delete(self._key)
            elif after != before:
                pipe.set(self._key, after.as_text(), ex=FORGOTTEN_SECONDS)
            return after

        # Begins anew where another process changed it meanwhile.
        found: Any = self._redis.transaction(cast(Any, work), self._key, value_from_callable=True)
        return cast(State, found)

    def _know(self, state: State) -> State:
        with self._guard:
            self._known, self._known_until = state, time.monotonic() + KNOWN_SECONDS
        return state


def _value(parameter: Parameter[T]) -> T:
    """A write that was made is not failed because somebody gave this parameter a wrong value."""
    try:
        return parameter.value()
    except InvalidParameter:
        return parameter.default


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


_breakers: dict[tuple[str, str], Breaker] = {}
# Another thread may have had a guard when the process forked.
os.register_at_fork(after_in_child=_breakers.clear)


def breaker_of(mirror: Store) -> Breaker:
    """The breaker of that store as a mirror: of the database, so that two installations share none."""
    name, url = describe(mirror), settings.REDIS_URL
    return _breakers.get((name, url)) or _breakers.setdefault((name, url), Breaker(mirror, name, url))


def reset(mirrors: tuple[Store, ...]) -> list[Store]:
    """Close the breakers of these; those that were anything else. Raises nothing."""
    return [store for store in mirrors if breaker_of(store).reset()]
