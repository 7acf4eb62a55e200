"""The two stores as a random history sees them: what was acknowledged, who is the authority, and how to begin again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import psycopg
import pytest
from django.db import DatabaseError, connections

from dualwrite import outbox, stores, switch
from dualwrite.control import disable
from dualwrite.control.enable import enable
from dualwrite.control.partitions import agree
from dualwrite.exceptions import NotAuthority
from dualwrite.models import ParkedKey, StageTransition, StreamControl, TransitionStatus
from dualwrite.relay import pipe, worker
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import dedicated
from dualwrite.stream import Stream
from dualwrite.switch import locks
from dualwrite.validation import recheck
from tests.conftest import TESTER
from tests.support import one
from tests.writing import TABLES, Effect, Write, records

LOCK_TIMEOUT = "100ms"
REFUSED = "DW001"
LOCKED = "55P03"
TOO_OLD = "40001"

BLOCKED = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 25719 AND mode = 'ExclusiveLock'
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
ROLE = "SELECT role FROM dualwrite.stream_state WHERE stream = 'index_memberships'"
STATE = "SELECT role, epoch FROM dualwrite.stream_state WHERE stream = 'index_memberships'"
EMPTY = """
UPDATE dualwrite.stream_state SET role = 'authority', capture = false WHERE stream = 'index_memberships';
DELETE FROM index_memberships;
DELETE FROM dualwrite.outbox;
"""
BEGIN = """
UPDATE dualwrite.stream_state SET role = %(role)s, capture = %(authority)s, backfilled = %(authority)s,
       distrusted = false, epoch = %(epoch)s, peer_epoch = %(epoch)s, generation = generation + 1, partitions = 16
 WHERE stream = 'index_memberships'
"""


@contextmanager
def impatient() -> Iterator[None]:
    """Wait for nobody long: whoever is in the way sleeps, and will not move meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "TRY", "30ms")
        patch.setattr(locks, "PAUSE_SECONDS", 0.01)
        patch.setattr(locks, "DEADLINE_SECONDS", 0.05)
        patch.setattr(locks, "ROW_LOCK_TIMEOUT", LOCK_TIMEOUT)
        patch.setattr(stores, "DEDICATED", f"-c statement_timeout=0 -c lock_timeout={LOCK_TIMEOUT}")
        patch.setattr(import_module("dualwrite.switch.settle"), "PATIENCE_SECONDS", 0.05)
        patch.setattr(pipe, "GIVE_WAY_SECONDS", 0.05)
        patch.setattr(recheck, "PATIENCE", ())
        patch.setattr(disable, "SPARE_SECONDS", -1.9)
        patch.setenv("INSTRUMENT_REGISTRY_SWITCH_TIMEOUT_SECONDS", "2")
        patch.setenv("INSTRUMENT_REGISTRY_SWITCH_LOCK_SECONDS", "0.1")
        patch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "1000000")
        # So that a relay has one batch in hand and one read ahead.
        patch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "2")
        yield


class World:
    """Both stores, and the records whose writes were acknowledged."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.acknowledged: dict[str, str] = {}
        self._epochs = dict.fromkeys(Store, 0)
        self.sessions = {store: dedicated(store, "test history") for store in Store}

    def close(self) -> None:
        """End its sessions."""
        for session in self.sessions.values():
            session.close()

    def begin(self, authority: Store) -> None:
        """Both stores empty, one of them the authority, enabled; epochs go on from where they were."""
        self.acknowledged = {}
        epoch = max(state.epoch for state in switch.both(self.stream))
        for store, session in self.sessions.items():
            mine = store is authority
            role = Role.AUTHORITY if mine else Role.MIRROR
            with session.transaction():
                session.execute(EMPTY)
                session.execute(BEGIN, {"role": role, "authority": mine, "epoch": epoch})
        stage = Stage.DUALWRITE if authority is Store.SCREENER else Stage.LIVE
        StageTransition.objects.filter(status=TransitionStatus.RUNNING).delete()
        StreamControl.objects.update_or_create(stream=self.stream.name, defaults={"stage": stage, "paused": False})
        ParkedKey.objects.all().delete()
        self._epochs = dict.fromkeys(Store, epoch)

    def role(self, store: Store) -> Role:
        """What the store is now."""
        return Role(one(self.sessions[store], ROLE))

    def blocked(self, store: Store) -> bool:
        """Whether somebody holds the writers of the store up."""
        return bool(one(self.sessions[store], BLOCKED))

    def acknowledge(self, effect: Effect) -> None:
        """A write was committed."""
        for symbol, sector in effect.items():
            if sector is None:
                self.acknowledged.pop(symbol, None)
            else:
                self.acknowledged[symbol] = sector

    def write(self, store: Store, write: Write, symbols: Sequence[str], sector: str) -> None:
        """Write; what is taken must be taken rightly, and what is refused must be refused rightly."""
        role, blocked = self.role(store), self.blocked(store)
        connections[store.alias].ensure_connection()
        with connections[store.alias].cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
        done = attempt(partial(write, self.sessions[store], TABLES[store], symbols, sector))
        if done.state == LOCKED:
            assert blocked or self.blocked(store) or write.__name__ == "truncate", done
        elif done.state:
            assert done.state == REFUSED, done
            assert role is not Role.AUTHORITY, done
        else:
            assert role is self.role(store) is Role.AUTHORITY, f"{store} took a write, being {role}"
            self.acknowledge(done.effect)

    def check(self) -> None:
        """Never two authorities, never none that was or will be it, no epoch that shrinks; nobody moves meanwhile."""
        found = {store: session.execute(STATE).fetchone() or () for store, session in self.sessions.items()}
        roles = [role for role, _ in found.values()]
        assert roles.count(Role.AUTHORITY) < 2, found
        assert {Role.AUTHORITY, Role.FENCED} & set(roles), found
        assert all(epoch >= self._epochs[store] for store, (_, epoch) in found.items()), (self._epochs, found)
        self._epochs = {store: epoch for store, (_, epoch) in found.items()}

    def converge(self) -> None:
        """Finish what is half-done, relay the rest; both stores are then what was acknowledged."""
        switch.settle(self.stream, TESTER)
        here = switch.authority(self.stream)
        assert here.role is Role.AUTHORITY, here
        agree(self.stream, TESTER)
        enable(self.stream, TESTER)
        worker.drain(self.stream)
        assert outbox.pending(self.stream, here.store).count == 0
        found = {store: records(session, TABLES[store]) for store, session in self.sessions.items()}
        assert list(ParkedKey.objects.values_list("key", "error")) == []
        assert found == dict.fromkeys(Store, self.acknowledged)


@dataclass(frozen=True)
class Attempt:
    """What became of a write: the SQLSTATE of its error, empty when there was none, and its effect."""

    state: str
    effect: Effect
    said: str = ""


def attempt(write: Callable[[], Effect]) -> Attempt:
    """Try to write."""
    try:
        return Attempt("", write())
    except NotAuthority as exc:
        return Attempt(REFUSED, {}, str(exc))
    except (psycopg.Error, DatabaseError) as exc:
        cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
        state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
        return Attempt(state or "no answer", {}, str(exc))
