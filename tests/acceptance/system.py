"""The service as it runs in production, on servers of its own that a test can stop one by one.

Two PostgreSQL servers, one for each store, Valkey, a stand-in config service, and web, worker and relay as processes.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from ops.config_service import StandIn, serve
from ops.local import application, environment, ports
from ops.local.place import ROOT, Place
from ops.local.services import POSTGRES, VALKEY, Services
from tests.integration.moving import eventually
from tests.logged import LOGGED

KEY = "operator-key-of-the-system"
#: Longer than what the endpoints promise, as the machine may be pressed; far shorter than any hang.
ANSWER_SECONDS = 10.0


@dataclass
class Answer:
    """Of the web server."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class System:
    """All of it; `registry` has Valkey as well."""

    registry: Services
    screener: Services
    service: StandIn
    port: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def run(self, name: str) -> None:
        """Start one of the processes."""
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._commands()[name], cwd=ROOT, env=self.variables, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """SIGKILL it."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> Path:
        """What the process writes."""
        return self.registry.place.log(f"{name}-of-the-system")

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """What the web server answers; an error is an answer, too."""
        address = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Accept": accept, "X-Internal-API-Key": KEY}
        found = httpx.get(address, headers=headers, timeout=ANSWER_SECONDS, trust_env=False)
        is_json = "json" in found.headers.get("Content-Type", "")
        return Answer(found.status_code, found.json() if is_json else found.text, dict(found.headers))

    def health(self, component: str) -> str:
        """The status of a component."""
        return str(self.get(f"/actuator/health/{component}").body["status"])

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command, to its end."""
        command = [*application.MANAGE, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.variables, capture_output=True, text=True, timeout=120, check=False
        )
        LOGGED.read(done.stderr, self.variables)
        return done

    def write(self, symbol: str) -> None:
        """As the old service does: raw SQL under its own account."""
        with psycopg.connect(self.screener.credentials().values["SCREENER_SERVICE_URL"]) as session:
            query = "INSERT INTO index_memberships (symbol, exchange, index_name) VALUES (%s, 'NSE', 'X')"
            session.execute(query, (symbol,))

    def mirrored(self, symbol: str) -> bool:
        """Whether the registry has it."""
        query = "SELECT count(*) FROM instrument_registry.index_memberships WHERE instrument_key = %s"
        return bool(self._ask(self.registry, "DATABASE_URL", query, f"NSE:{symbol}"))

    def pending(self) -> int:
        """Keys noted in the old store, seen past every line of the service."""
        query = "SELECT count(*) FROM dualwrite.waiting WHERE key <> %s"
        return self._ask(self.screener, "SCREENER_MIGRATION_DATABASE_URL", query, "")

    def registry_sql(self, query: str) -> None:
        """Change rows of the registry."""
        with psycopg.connect(self.registry.credentials().values["MIGRATION_DATABASE_URL"]) as session:
            session.execute(query.encode())

    @contextmanager
    def away(self, services: Services, name: str) -> Iterator[None]:
        """One server stopped, and started again at the same port."""
        port = services.valkey.port() if name == VALKEY else services.postgres.port()
        assert services.stop((name,)) == [name]
        try:
            yield
        finally:
            services.ensure({"REDIS_URL": "elsewhere"} if services is self.screener else {})
        assert port == (services.valkey.port() if name == VALKEY else services.postgres.port())

    def _ask(self, services: Services, account: str, query: str, value: str) -> int:
        with psycopg.connect(services.credentials().values[account]) as session:
            row = session.execute(query.encode(), (value,)).fetchone()
            assert row is not None
            return int(row[0])

    def _commands(self) -> dict[str, list[str]]:
        celery = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "work,watch", "--concurrency", "1"]
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi"]
        address = ["--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "4", "--no-control-socket"]
        return {"web": [*gunicorn, *address], "worker": celery, "relay": [*application.MANAGE, "relay"]}


@contextmanager
def running() -> Iterator[System]:
    """The system, set up, with both streams mirrored and everything UP that is to be."""
    with ExitStack() as stack:
        registry, screener = (stack.enter_context(_services()) for _ in range(2))
        service = stack.enter_context(serve(StandIn(key=KEY)))
        system = System(registry, screener, service, ports.choose(None))
        there, _ = screener.ensure({"REDIS_URL": "elsewhere"})
        here, _ = registry.ensure({})
        system.variables = _variables(here.values, there.values, service.url)
        application.set_up({**system.variables, "ADMIN_PASSWORD": here.values["ADMIN_PASSWORD"]})
        stack.callback(_end, system)
        for name in ("web", "worker", "relay"):
            system.run(name)
        eventually(lambda: _is_up(system), 120)
        yield system


@contextmanager
def _services() -> Iterator[Services]:
    place = Place(Path(tempfile.mkdtemp()), durable=False).create()
    made = Services.of(place)
    try:
        yield made
    finally:
        made.stop(now=True)
        shutil.rmtree(made.postgres.home, ignore_errors=True)
        shutil.rmtree(place.var, ignore_errors=True)


def _variables(here: dict[str, str], there: dict[str, str], service: str) -> dict[str, str]:
    taken = {"DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    own = {name: here[name] for name in taken}
    own |= {name: there[name] for name in ("SCREENER_DATABASE_URL", "SCREENER_MIGRATION_DATABASE_URL")}
    told = {
        "CONFIG_SERVICE_URL": service,
        "INTERNAL_API_KEY": KEY,
        "LOG_FORMAT": "json",
        "HTTPS_ONLY": "false",
        environment.DUAL_WRITE: "true",
    }
    return {**os.environ, **own, **told, "DJANGO_SETTINGS_MODULE": "config.settings"}


def _is_up(system: System) -> bool:
    dead = {name: process.poll() for name, process in system.processes.items() if process.poll() is not None}
    assert not dead, [system.log(name).read_text()[-2000:] for name in dead]
    try:
        return {system.health(name) for name in ("database", "screener", "redis", "celery", "relay")} == {"UP"} and (
            enabled(system)
        )
    except (httpx.TransportError, KeyError):
        return False


def enabled(system: System) -> bool:
    """Whether every stream is mirrored: the worker enables them at its start."""
    rows = system.get("/actuator/dual-write/status").body["streams"]
    return {row["mirroring"] for row in rows} == {"active"}


def _end(system: System) -> None:
    for process in system.processes.values():
        process.terminate()
    for process in system.processes.values():
        process.wait(timeout=60)
    for name in ("web", "worker", "relay"):
        LOGGED.read(system.log(name).read_text(), system.variables)


__all__ = ["POSTGRES", "VALKEY", "System", "running"]
