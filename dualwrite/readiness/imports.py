"""Every module of the project can be imported, and what they declare is there."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.urls import get_resolver

from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.schedule.entries import ENTRIES
from dualwrite.stream import all_streams

#: What only tests use, and what starts up when it is imported; the web server, which is asked, has imported the latter.
LEFT_OUT = ("dualwrite.testing", "config.wsgi")


def check(_: Service) -> str:
    """Import all of them; the task of each row of the schedule is known, and every address has its view."""
    names = sorted({name for package in packages() for name in modules(package)})
    for name in names:
        _import(name)
    lacking = [entry.task for entry in ENTRIES if entry.task not in current_app.tasks]
    if lacking:
        raise NotReady(f"no task is called {', '.join(lacking)}")
    if not all_streams():
        raise NotReady("no stream is declared")
    addresses = sum(1 for _ in get_resolver().url_patterns)
    own = [name for name in current_app.tasks if name.startswith("dualwrite.")]
    streams = ", ".join(stream.name for stream in all_streams())
    return f"{len(names)} modules, {len(own)} tasks, {addresses} groups of addresses, streams {streams}"


def packages() -> list[str]:
    """The project's own: the applications in its directory, and the one with the settings."""
    root = Path(settings.BASE_DIR)
    own = {config.name.partition(".")[0] for config in apps.get_app_configs() if Path(config.path).is_relative_to(root)}
    installed = {name for name in own if not (root / ".venv" / name).exists() and (root / name).is_dir()}
    return sorted({*installed, str(settings.ROOT_URLCONF).partition(".")[0]})


def modules(package: str) -> Iterator[str]:
    """The names of all its modules."""
    found = _import(package)
    yield package
    for one in pkgutil.walk_packages(found.__path__, f"{package}.", onerror=_raise):
        if one.name not in LEFT_OUT:
            yield one.name


def _raise(name: str) -> None:
    raise NotReady(f"{name} cannot be imported")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as exc:  # whatever a module does when it is imported
        raise NotReady(f"{name} cannot be imported ({type(exc).__name__}: {exc})") from exc
