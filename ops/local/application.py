"""The Django side of setting up: migrate, install the engine in both stores, admin user, main job.

Both run in processes of their own; the launcher itself never loads Django.
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
SETUP = [sys.executable, "-m", "ops.local.setup_stores"]


def prepare(place: Place, environment: Mapping[str, str], admin_password: str, *, always: bool) -> None:
    """Migrate, install, create the admin user; unless `always`, only when code or databases changed."""
    with exclusive(place.lock("prepare")):
        wanted = fingerprint(environment)
        if not always and place.prepared.exists() and place.prepared.read_text() == wanted:
            return
        place.prepared.unlink(missing_ok=True)
        set_up(dict(environment) | {"ADMIN_PASSWORD": admin_password})
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


def set_up(environment: Mapping[str, str]) -> None:
    """Run `setup_stores`, quiet unless it fails. Raises LauncherError with the end of what it wrote."""
    # In the checkout, because Celery puts the current directory first on the import path.
    done = subprocess.run(SETUP, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()[-15:]
        output = "\n".join(f"    {line}" for line in lines)
        raise LauncherError(f"Setting up the databases failed (exit {done.returncode}):\n{output}")


def main_job(environment: Mapping[str, str], *, json: bool) -> int:
    """Run the main job, its results on our stdout. Returns its exit code."""
    return run_child([*MANAGE, "main_job", *(["--json"] if json else [])], environment, ROOT)


def start_up(environment: Mapping[str, str]) -> int:
    """Look at everything before serving, told on our stdout. Returns the exit code."""
    return run_child([*MANAGE, "startup"], environment, ROOT)
