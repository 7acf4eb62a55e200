"""`./run doctor`: what this machine lacks, and what to do about it.

Needs the standard library only and any Python 3.11+, because it must work where nothing could be installed.
"""

import argparse
import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ops.local import environment, ports
from ops.local.credentials import Credentials
from ops.local.errors import LauncherError
from ops.local.place import ROOT, Place

WEB_PORT = 8086
FREE_BYTES = 2 * 1024**3
OLDEST_GLIBC = (2, 28)
MACHINES = ("x86_64", "amd64", "aarch64", "arm64")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` is shown when `good` is false."""

    good: bool
    text: str
    advice: str = ""

    def __str__(self) -> str:
        return f"✓ {self.text}" if self.good else f"✗ {self.text}: {self.advice}"


def main(arguments: list[str]) -> int:
    """Print every finding. Returns 1 when one is not good, else 0; arguments there are none."""
    argparse.ArgumentParser(prog="./run doctor", description="Say what is missing here.").parse_args(arguments)
    # Not made when missing: to look must work where nothing can be written.
    findings = list(examine(Place(ROOT / "var")))
    for finding in findings:
        print(finding)
    return 0 if all(finding.good for finding in findings) else 1


def examine(place: Place) -> Iterator[Finding]:
    """All findings, from the machine up to the servers."""
    yield python_version()
    yield wheels()
    yield venv_module()
    yield installed()
    yield writable(place)
    yield disk(place)
    yield web_port(place)
    yield from servers(place)


def python_version() -> Finding:
    """The interpreter in use."""
    text = f"Python {platform.python_version()} ({sys.executable})"
    return Finding(sys.version_info >= (3, 11), text, "install Python 3.11 or newer")


def wheels() -> Finding:
    """Whether the packages with the database servers exist for this platform."""
    system, machine = platform.system(), platform.machine().lower()
    library, version = platform.libc_ver()
    known = machine in MACHINES and system in ("Linux", "Darwin")
    if system == "Linux":
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        known = known and library == "glibc" and numbers >= OLDEST_GLIBC
    advice = "the embedded servers need glibc 2.28+ or macOS 11+ on x86_64 or arm64; use your own instead"
    return Finding(known, f"platform {system} {machine} {library} {version}".rstrip(), advice)


def venv_module() -> Finding:
    """Whether virtual environments can be made."""
    found = importlib.util.find_spec("venv") is not None and importlib.util.find_spec("ensurepip") is not None
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return Finding(found, "venv and ensurepip", f"on Debian or Ubuntu: apt-get install python{version}-venv")


def installed() -> Finding:
    """Whether `.venv` was completely installed."""
    complete = (ROOT / ".venv" / "installed.json").exists() and not (ROOT / ".venv" / "unfinished").exists()
    return Finding(complete, "packages in .venv", "any other ./run command installs them")


def writable(place: Place) -> Finding:
    """Whether this user can keep files in the state directory, or make it."""
    directory = existing(place)
    try:
        ours = directory != place.var or os.geteuid() in (0, directory.stat().st_uid)
    except OSError:
        ours = False
    good = ours and directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)
    return Finding(good, f"state directory {place.var}", "it must be a directory that this user owns and can write to")


def disk(place: Place) -> Finding:
    """Free space where the data is kept."""
    directory = existing(place)
    try:
        free = shutil.disk_usage(directory).free
    except OSError as exc:
        return Finding(good=False, text=f"disk of {directory}", advice=str(exc))
    return Finding(free > FREE_BYTES, f"{free / 1024**3:.1f} GB free for {directory}", "2 GB are needed")


def existing(place: Place) -> Path:
    """The state directory, or where it would be made."""
    return place.var if os.path.lexists(place.var) else place.var.parent


def web_port(place: Place) -> Finding:
    """Whether the web server can listen, or is ours already."""
    ours = os.path.exists(place.pid("web"))  # false, too, where it may not be looked
    good = ours or ports.is_free(WEB_PORT)
    advice = "another program listens there; stop it or use ./run --port N"
    return Finding(good, f"port {WEB_PORT} {'serves this checkout' if ours else 'on 127.0.0.1'}", advice)


def servers(place: Place) -> Iterator[Finding]:
    """Whether the servers that would be used can be reached, or will be started."""
    try:
        needed, credentials = environment.plan(os.environ), Credentials.read(place.credentials)
    except (LauncherError, OSError) as exc:
        yield Finding(good=False, text="settings", advice=str(exc))
        return
    for name, embedded in (
        ("DATABASE_URL", needed.postgres),
        ("SCREENER_DATABASE_URL", needed.postgres),
        ("REDIS_URL", needed.valkey),
    ):
        if name == "SCREENER_DATABASE_URL" and not environment.has_old_store(os.environ):
            yield Finding(good=True, text=f"{name}: there is no old store")
        elif embedded:
            yield embedded_server(name, credentials)
        else:
            yield named_server(name, os.environ[name])


def embedded_server(name: str, credentials: Credentials | None) -> Finding:
    """One of our own servers: running, or to be started."""
    running = credentials is not None and reaches(credentials.values[name])
    return Finding(
        good=True,
        text=f"{name}: embedded server, {'running' if running else 'not running, starts on demand'}",
    )


def named_server(name: str, address: str) -> Finding:
    """A server that the environment names."""
    try:
        host, port = target(address)
    except ValueError:
        return Finding(good=False, text=name, advice="it is no address like scheme://user@host:port/name; correct it")
    text = f"{name}: {host}:{port}"
    return Finding(reaches(address), text, f"nothing answers there; start it or correct {name}")


def reaches(address: str) -> bool:
    """Whether something accepts connections at the host and port of `address`; nothing does at port 0."""
    try:
        socket.create_connection(target(address), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True


def target(address: str) -> tuple[str, int]:
    """Host and port of `address`, with what is meant where it names none. Raises ValueError."""
    where = urlsplit(address)
    usual = 6379 if where.scheme.startswith(("redis", "valkey")) else 5432
    return where.hostname or "localhost", usual if where.port is None else where.port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
