"""PostgreSQL and Valkey together: started or joined under one lock, their addresses written down, stopped."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ops.local import environment, processes, provision
from ops.local.accounts import service_account, service_home
from ops.local.children import hold_signals
from ops.local.credentials import Credentials
from ops.local.errors import LauncherError
from ops.local.locks import Lock, exclusive, write_atomically
from ops.local.place import Place
from ops.local.postgres import Postgres
from ops.local.programs import postgres_bin, valkey_server
from ops.local.say import say
from ops.local.valkey import Valkey

POSTGRES = "PostgreSQL"
VALKEY = "Valkey"


@dataclass(frozen=True)
class Services:
    """The embedded servers of one state directory."""

    place: Place
    postgres: Postgres
    valkey: Valkey

    @classmethod
    def of(cls, place: Place) -> "Services":
        """Find programs, account and directories; nothing is started."""
        account = service_account()
        home = service_home(place.var, account)
        if not home.is_relative_to(place.var):
            discard_remains(place, home)
        postgres = Postgres(home, postgres_bin(account), account, place.log("postgres"), place.durable)
        return cls(place, postgres, Valkey(home, valkey_server(account), account, place.log("valkey")))

    def absent(self, given: Mapping[str, str]) -> list[str]:
        """Names of the servers that are needed and not running."""
        needed = environment.plan(given)
        missing = [POSTGRES] if needed.postgres and not self.postgres.running() else []
        return [*missing, VALKEY] if needed.valkey and not self.valkey.running() else missing

    def credentials(self) -> Credentials:
        """As `ensure` wrote them last."""
        found = Credentials.read(self.place.credentials)
        if found is None:
            raise LauncherError(f"{self.place.credentials} is gone.")
        return found

    def ensure(self, given: Mapping[str, str]) -> tuple[Credentials, list[str]]:
        """Have the servers that `given` does not name run, and everything in them set up.

        Returns the credentials with current ports and the names of the servers started by this call.
        """
        needed = environment.plan(given)
        with exclusive(self.place.lock("services")):
            old = Credentials.read(self.place.credentials)
            credentials = old or Credentials.random()
            if old is None and needed.postgres:
                self._adopt(credentials)
            started = []
            if needed.postgres:
                port, new = self.postgres.ensure(credentials.password("POSTGRES_URL"))
                credentials = credentials.with_ports(postgres=port)
                started += [POSTGRES] if new else []
            if needed.valkey:
                port, new = self.valkey.ensure(credentials.password("REDIS_URL"))
                credentials = credentials.with_ports(redis=port)
                started += [VALKEY] if new else []
            if credentials != old:
                credentials.write(self.place.credentials)
            if needed.postgres or self.place.permanent:
                self._provision(given, credentials)
        for name in started:
            say(f"started {name}")
        return credentials, started

    def _adopt(self, credentials: Credentials) -> None:
        """New credentials for servers that know lost ones: these stop, the cluster gets the new password."""
        self.valkey.stop()
        self.postgres.stop()
        if self.postgres.data.exists():
            self.postgres.set_password(credentials.password("POSTGRES_URL"))
        credentials.write(self.place.credentials)

    def _provision(self, given: Mapping[str, str], credentials: Credentials) -> None:
        """Set up roles, databases and old tables, unless that was done for this cluster and these scripts."""
        if not environment.plan(given).postgres:
            provision.external(given)
            return
        stamp, wanted = self.postgres.home / "provisioned", provision.fingerprint(credentials)
        if not stamp.exists() or stamp.read_text() != wanted:
            provision.embedded(credentials)
            write_atomically(stamp, wanted)

    def stop(self, names: Sequence[str] = (VALKEY, POSTGRES), *, now: bool = False) -> list[str]:
        """Stop Valkey, then PostgreSQL, as far as `names` has them. Returns what was running."""
        stops = ((VALKEY, self.valkey.stop), (POSTGRES, partial(self.postgres.stop, now=now)))
        with exclusive(self.place.lock("services")):
            return [name for name, stop in stops if name in names and stop()]


def discard_remains(place: Place, home: Path) -> None:
    """Delete what `home`, outside of `place`, holds of an earlier state directory at the same path."""
    with exclusive(place.lock("services")):
        if place.outside.exists():
            return
        for name in ("postgres", "valkey"):
            for process in processes.servers_in(name, home / name):
                processes.end(process, ((signal.SIGQUIT, 5.0),))
            shutil.rmtree(home / name, ignore_errors=True)
        (home / "provisioned").unlink(missing_ok=True)
        write_atomically(place.outside, f"{home}\n")


@contextlib.contextmanager
def borrowed(place: Place) -> Iterator[Credentials]:
    """Servers running while inside. The last borrower stops those that were started for borrowers only."""
    users = Lock(place.lock("users"))
    users.take(shared=True, wait=True)
    services = Services.of(place)
    try:
        # Written before the start, so that an interruption in the middle leaves nothing running either.
        remember(place, services.absent(os.environ))
        yield services.ensure(os.environ)[0]
    finally:
        hold_signals()
        if users.take() and place.temporary.exists():
            for name in services.stop(place.temporary.read_text().split()):
                say(f"stopped {name}")
            place.temporary.unlink()
        users.release()


def remember(place: Place, names: list[str]) -> None:
    """Note servers about to be started for a short use."""
    if names:
        known = place.temporary.read_text().split() if place.temporary.exists() else []
        write_atomically(place.temporary, "\n".join(sorted({*known, *names})))
