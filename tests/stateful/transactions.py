"""A writer's transaction that stays open while others go on."""

from functools import partial

import psycopg

from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from tests.stateful.world import LOCKED, REFUSED, TOO_OLD, World, attempt
from tests.writing import TABLES, Effect, put


class OpenTransaction:
    """A writer's transaction that stays open; it has keys of its own, as old snapshots do not see the others' rows."""

    def __init__(self, store: Store, isolation: str, symbol: str) -> None:
        self.store, self.isolation, self.symbol = store, isolation, symbol
        self.old_snapshot = isolation != "READ COMMITTED"
        self.session: Session = dedicated(store, "test open transaction")
        self.session.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        self.role_of_snapshot = self._role()
        self.effect: Effect = {}

    def write(self, world: World, sector: str) -> bool:
        """Write in it; returns whether it can go on."""
        role, blocked = world.role(self.store), world.blocked(self.store)
        done = attempt(partial(put, self.session, TABLES[self.store], [self.symbol], sector))
        if done.state:
            rightly = {LOCKED: blocked or world.blocked(self.store), REFUSED: role is not Role.AUTHORITY}
            assert {**rightly, TOO_OLD: self.old_snapshot}.get(done.state), done
            self.session.close()
            return False
        assert role is Role.AUTHORITY, f"{self.store} took a write of {self.symbol}, being {role}"
        if self.old_snapshot:
            assert self._role() == self.role_of_snapshot
        self.effect = done.effect
        return True

    def commit(self, world: World) -> None:
        """Acknowledge what it wrote; from its first write on nobody can have taken the authority away.

        Of two SERIALIZABLE ones that read what the other wrote, the server lets only one through.
        """
        try:
            self.session.execute("COMMIT")
        except psycopg.errors.SerializationFailure:
            assert self.isolation == "SERIALIZABLE"
            self.effect = {}
        self.session.close()
        if self.effect:
            assert world.role(self.store) is Role.AUTHORITY
            world.acknowledge(self.effect)

    def _role(self) -> object:
        query = "SELECT xmin::text, role FROM dualwrite.stream_state WHERE stream = 'index_memberships'"
        return self.session.execute(query).fetchone()
