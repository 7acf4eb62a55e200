"""The static checks of `./run check`: all of them run, one line each, and the output of those that fail."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ops.local import environment
from ops.local.credentials import Credentials
from ops.local.place import ROOT
from ops.model.spin import missing

SCRIPTS = Path(sys.executable).parent
PYTHON = sys.executable
PACKAGES = ("actuator", "config", "dualwrite", "ops", "registry")
#: What only some of the gates have in their environment.
OWN = {"django --deploy": {"HTTPS_ONLY": "true"}}
GATES = {
    "ruff check": [PYTHON, "-m", "ruff", "check", "."],
    "ruff format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "mypy": [PYTHON, "-m", "mypy"],
    # Through the interpreter, because a script's first line breaks when the checkout is moved.
    "import-linter": [PYTHON, str(SCRIPTS / "lint-imports"), "--no-cache"],
    "migrations": [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"],
    "django": [PYTHON, "manage.py", "check", "--fail-level", "WARNING"],
    # As where it is deployed, which ./run is not.
    "django --deploy": [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
    "bandit": [PYTHON, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", *PACKAGES],
    "protocol model": [PYTHON, "-m", "ops.model"],
}


def run_gates() -> int:
    """Run every gate. Returns 1 when one failed, else 0. No server is needed, so none is started."""
    variables = environment.application(os.environ, Credentials.random())
    gates = dict(GATES)
    if absent := missing():
        del gates["protocol model"]
        print(f"left out: protocol model, because {' and '.join(absent)} not installed (Debian packages spin, gcc)")
    failed = [name for name, command in gates.items() if not passes(name, command, variables | OWN.get(name, {}))]
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def passes(name: str, command: list[str], variables: Mapping[str, str]) -> bool:
    """Run one gate, print its line and, when it fails, its output."""
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    print(f"{'ok  ' if passed else 'FAIL'} {name} ({time.monotonic() - began:.1f} s)", flush=True)
    if not passed:
        print(done.stdout, flush=True)
    return passed
