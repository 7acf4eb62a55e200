"""One function per sub-command of `./run`: options and the rest of the line in, exit code out."""

import argparse
import os
import signal
import sys
from datetime import datetime
from urllib.parse import unquote, urlsplit

from ops.local import application, environment, gates, ports, processes
from ops.local.children import replace, run_child
from ops.local.credentials import Credentials
from ops.local.errors import AlreadyRunning, LauncherError, UsageError
from ops.local.locks import Lock, write_atomically
from ops.local.place import ROOT, Place, checkout
from ops.local.postgres import tool
from ops.local.processes import Identity
from ops.local.say import say
from ops.local.serve import serve_until_stopped
from ops.local.services import Services, borrowed
from ops.local.supervisor import end_orphans
from ops.local.workbench import throw_away

DATABASES = {"registry": "DATABASE_URL", "screener": "SCREENER_DATABASE_URL"}
UNPREPARED = (
    "",
    "--help",
    "check",
    "help",
    "makemigrations",
    "migrate",
    "showmigrations",
    "sqlmigrate",
    "version",
)
SUPERVISOR_STOP_SECONDS = 120.0
# A whole file goes to one worker, the long ones first; tests/workers.py says how many there are. Later options win.
WORKERS = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
PYTEST_CODES = {4: 2, 5: 1}  # its usage error, and no test found


def serve(options: argparse.Namespace, _: list[str]) -> int:
    """Set up, run the main job, serve until a signal."""
    place = checkout()
    lock = Lock(place.lock("run"))
    if not lock.take():
        raise AlreadyRunning(describe_running(place))
    Identity.of(os.getpid()).write(place.supervisor)
    write_atomically(place.address, f"http://{ports.LOOPBACK}:{options.port}")
    try:
        return serve_until_stopped(place, options.port)
    finally:
        place.address.unlink(missing_ok=True)
        place.supervisor.unlink(missing_ok=True)
        lock.release()


def describe_running(place: Place) -> str:
    """Who holds the lock of `place`, since when."""
    identity = Identity.read(place.supervisor)
    if identity is None:
        return "Another ./run of this checkout is just starting or stopping."
    since = datetime.fromtimestamp(identity.created).astimezone()
    return f"./run is running already for this checkout (pid {identity.pid}, since {since:%Y-%m-%d %H:%M:%S})."


def once(options: argparse.Namespace, _: list[str]) -> int:
    """The main job alone; stops what was started for it."""
    place = checkout()
    with borrowed(place) as credentials:
        variables = environment.application(os.environ, credentials)
        application.prepare(place, variables, credentials.values["ADMIN_PASSWORD"], always=True)
        return application.main_job(variables, json=options.json)


def manage(_: argparse.Namespace, rest: list[str]) -> int:
    """Become `manage.py ARGS` with servers running and set up; they are left running."""
    place = checkout()
    place.temporary.unlink(missing_ok=True)
    credentials, _started = Services.of(place).ensure(os.environ)
    variables = environment.application(os.environ, credentials)
    if place.address.exists():
        variables.setdefault("SERVICE_URL", place.address.read_text().strip())
    if (rest or [""])[0] not in UNPREPARED:
        try:
            application.prepare(place, variables, credentials.values["ADMIN_PASSWORD"], always=False)
        except LauncherError as exc:
            say(f"{exc}\n    The databases are not up to date; going on with {rest[0]} all the same.")
    replace([*application.MANAGE, *rest], variables)
    return 0


def psql(_: argparse.Namespace, rest: list[str]) -> int:
    """Become psql in one of the databases, as the old application or as the registry's."""
    if not rest or rest[0] not in DATABASES:
        raise UsageError("Which database? Use: ./run psql screener|registry [psql arguments]")
    if rest[0] == "screener" and not environment.has_old_store(os.environ):
        raise UsageError("There is no old store, as SCREENER_DATABASE_URL is none. Use: ./run psql registry")
    running = Services.of(checkout())
    credentials, _started = running.ensure(os.environ)
    address = urlsplit(psql_address(rest[0], credentials))
    connection = {
        "PGHOST": address.hostname or ports.LOOPBACK,
        "PGPORT": str(address.port or 5432),
        "PGUSER": unquote(address.username or ""),
        "PGPASSWORD": unquote(address.password or ""),
        "PGDATABASE": address.path.lstrip("/"),
    }
    if rest[0] == "registry":
        connection["PGOPTIONS"] = f"{os.environ.get('PGOPTIONS', '')} -c search_path=instrument_registry,public"
    # In the environment, because everybody can read the command line of a process.
    replace([tool(running.postgres.bin, "psql"), *rest[1:]], os.environ | connection)
    return 0


def psql_address(database: str, credentials: Credentials) -> str:
    """The address that `./run psql DATABASE` opens; in the embedded screener it is the old application's."""
    if not environment.plan(os.environ).postgres:
        return os.environ[DATABASES[database]]
    return credentials.values["SCREENER_SERVICE_URL" if database == "screener" else "DATABASE_URL"]


def stop(_: argparse.Namespace, __: list[str]) -> int:
    """Stop the supervisor, what it left behind, and the servers."""
    place = checkout()
    stopped = stop_supervisor(place) + end_orphans(place) + Services.of(place).stop()
    place.temporary.unlink(missing_ok=True)
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


def stop_supervisor(place: Place) -> list[str]:
    """Ask a running supervisor to end and wait for it; kill it when it does not."""
    lock = Lock(place.lock("run"))
    try:
        if lock.take():
            return []
        identity = Identity.read(place.supervisor)
        process = identity.process() if identity else None
        if process is None:
            raise LauncherError("A ./run is just starting or stopping; try again.")
        say(f"stopping ./run (pid {process.pid})")
        processes.end(process, ((signal.SIGTERM, SUPERVISOR_STOP_SECONDS),))
        return [f"./run (pid {process.pid}) with its processes and servers"]
    finally:
        lock.release()


def test(_: argparse.Namespace, rest: list[str]) -> int:
    """Run pytest with fresh servers; `--deep` adds the long tests."""
    with throw_away(durable=False) as variables:
        code = run_child([sys.executable, "-m", "pytest", *WORKERS, *rest], variables, ROOT)
    return PYTEST_CODES.get(code, code)


def bench(_: argparse.Namespace, rest: list[str]) -> int:
    """Run one benchmark with fresh servers that write to disk as in production."""
    with throw_away(durable=True) as variables:
        return run_child([sys.executable, "-m", "benchmarks", *rest], variables, ROOT)


def not_first(_: argparse.Namespace, __: list[str]) -> int:
    """Refuse a sub-command that must come first because it works without what is installed."""
    raise UsageError("doctor and lock come first: ./run doctor, ./run lock [uv options]")


def check(_: argparse.Namespace, __: list[str]) -> int:
    """Run every static check."""
    return gates.run_gates()
