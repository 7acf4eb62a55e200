"""`./run` without a sub-command, from the first server to the last."""

import os

import psutil

from ops.local import application, environment, ports, processes
from ops.local.children import hold_signals
from ops.local.errors import Interrupted, LauncherError
from ops.local.locks import Lock
from ops.local.place import Place
from ops.local.say import say
from ops.local.services import Services
from ops.local.supervisor import Supervisor, end_orphans


def serve_until_stopped(place: Place, port: int) -> int:
    """Start the servers, set up, run the main job, supervise; stop all of it in the end, whatever happens.

    The caller holds the lock `run`. Returns 0 after a stop that was asked for.
    """
    for name in end_orphans(place):
        say(f"stopped {name}, left behind by a ./run that was killed")
    require_port(port)
    users = Lock(place.lock("users"))
    users.take(shared=True, wait=True)
    services = Services.of(place)
    hurried = False
    try:
        supervisor = set_up(place, services, port)
        supervisor.run()
        hurried = supervisor.hurried
    except Interrupted as exc:
        say(str(exc))
    finally:
        hold_signals()
        stop_servers(services, now=hurried)
        users.release()
    return 0


def stop_servers(services: Services, *, now: bool) -> None:
    """Stop the servers by their files; those this process started or joined even when `var/` is of no use any more."""
    try:
        for name in services.stop(now=now):
            say(f"stopped {name}")
    except OSError as exc:
        say(f"the servers' files cannot be used: {exc}")
    for pid in processes.end_servers():
        say(f"stopped the server with pid {pid}")


def set_up(place: Place, services: Services, port: int) -> Supervisor:
    """Everything up to and including the main job; a failure of the latter is told, not fatal."""
    place.temporary.unlink(missing_ok=True)
    say("starting the servers")
    credentials, _ = services.ensure(os.environ)
    variables = environment.application(os.environ, credentials)
    say("migrating and installing")
    application.prepare(place, variables, credentials.values["ADMIN_PASSWORD"], always=True)
    say("running the main job")
    code = application.main_job(variables, json=False)
    if code != 0:
        say(f"the main job ended with exit code {code}; serving all the same")
    say("starting up")
    if application.start_up(variables) != 0:
        say("requests are refused until what is named is mended (/readyz says 503)")
    say(f"admin user: admin, password: see ADMIN_PASSWORD in {place.credentials}")
    say(f"key of the API, sent as X-Internal-API-Key: see INTERNAL_API_KEY in {place.credentials}")
    return Supervisor(place, port, lambda: keep_running(services))


def keep_running(services: Services) -> dict[str, str]:
    """Start those servers that are needed and not running. Returns the environment of the application."""
    if services.absent(os.environ) or not services.place.credentials.exists():
        services.ensure(os.environ)
    return environment.application(os.environ, services.credentials())


def require_port(port: int) -> None:
    """Raise LauncherError when somebody else listens on `port`."""
    if not ports.is_free(port):
        raise LauncherError(
            f"Port {port} on {ports.LOOPBACK} is taken{by_whom(port)}; stop that, or use ./run --port N."
        )


def by_whom(port: int) -> str:
    """' by NAME (pid N)' when the system tells us, else ''."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.pid and connection.status == "LISTEN":
            return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
