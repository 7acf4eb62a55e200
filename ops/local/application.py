"""The Django side of setting up: migrate, install the engine in both stores, admin user, main job.

Each step is a management command in a process of its own, with its output on our stderr.
"""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ops.local.children import run_child
from ops.local.errors import LauncherError
from ops.local.locks import exclusive, write_atomically
from ops.local.place import ROOT, Place

MANAGE = [sys.executable, str(ROOT / "manage.py")]
SETUP = (
    ("migrate", "--verbosity", "0", "--no-input"),
    ("dualwrite", "install", "--store", "registry"),
    ("dualwrite", "install", "--store", "screener"),
)
# Run in manage.py's shell. Only a first superuser is made, so later changes of its password are kept.
CREATE_ADMIN = """
import os
from django.contrib.auth import get_user_model
users = get_user_model().objects
if not users.filter(is_superuser=True).exists():
    users.create_superuser("admin", password=os.environ["ADMIN_PASSWORD"])
"""


def prepare(place: Place, environment: Mapping[str, str], admin_password: str, *, always: bool) -> None:
    """Migrate, install, create the admin user; unless `always`, only when code or databases changed."""
    with exclusive(place.lock("prepare")):
        wanted = fingerprint(environment)
        if not always and place.prepared.exists() and place.prepared.read_text() == wanted:
            return
        place.prepared.unlink(missing_ok=True)
        for command in SETUP:
            manage(environment, *command)
        create_admin(environment, admin_password)
        write_atomically(place.prepared, wanted)


def fingerprint(environment: Mapping[str, str]) -> str:
    """Of the code that decides what is in the databases, and of which databases these are."""
    digest = hashlib.sha256()
    for name in ("DATABASE_URL", "SCREENER_DATABASE_URL"):
        address = urlsplit(environment[name])
        digest.update(f"{address.hostname}{address.path}".encode())
    packages = [ROOT / name for name in ("registry", "dualwrite", "actuator")]
    for path in sorted(path for package in packages for path in package.rglob("*") if decides(path)):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def decides(path: Path) -> bool:
    """Whether the file at `path` is part of what migrating and installing put into the databases."""
    part_of_schema = path.suffix == ".sql" or path.parent.name == "migrations" or path.name == "streams.py"
    return path.is_file() and (part_of_schema or path.parent == ROOT / "dualwrite")


def manage(environment: Mapping[str, str], *arguments: str) -> None:
    """One management command, quiet unless it fails. Raises LauncherError with what it wrote."""
    # In the checkout, because Celery puts the current directory first on the import path.
    done = subprocess.run(
        [*MANAGE, *arguments], env=dict(environment), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        output = "\n".join(
            f"    {line}" for line in f"{done.stdout}\n{done.stderr}".strip().splitlines()[-15:]
        )
        raise LauncherError(f"manage.py {' '.join(arguments)} failed (exit {done.returncode}):\n{output}")


def create_admin(environment: Mapping[str, str], password: str) -> None:
    """The superuser `admin`, when there is no superuser at all."""
    manage(
        dict(environment) | {"ADMIN_PASSWORD": password}, "shell", "--no-imports", "--command", CREATE_ADMIN
    )


def main_job(environment: Mapping[str, str], *, json: bool) -> int:
    """Run the main job, its results on our stdout. Returns its exit code."""
    return run_child([*MANAGE, "main_job", *(["--json"] if json else [])], environment, ROOT)
