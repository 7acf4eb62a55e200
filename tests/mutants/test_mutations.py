"""A test of the tests: with an ingredient of the protocol taken out of the source, a named test fails.

The ingredients and their tests stand in `mutations.MUTATIONS`; what breaks without each, in docs/protocol.md. Each is
taken out of a copy of the repository, where the test is then run against databases of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connections

from dualwrite.stages import Store
from tests.conftest import url_of
from tests.mutants.mutations import MUTATIONS
from tests.process import ROOT

LEFT_OUT = shutil.ignore_patterns(".*", "var", "__pycache__", "node_modules")
TESTS = "tests/integration"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository."""
    return Path(shutil.copytree(ROOT, tmp_path / "copy", ignore=LEFT_OUT, symlinks=True))


@pytest.mark.parametrize("name", MUTATIONS)
def test_it_can_be_taken_out_and_its_test_is_there(name: str, tmp_path: Path) -> None:
    mutation = MUTATIONS[name]
    for file in {edit.file for edit in mutation.edits}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    for edit in mutation.edits:
        edit.apply(tmp_path)
        if edit.file.endswith(".py"):
            compile((tmp_path / edit.file).read_text(encoding="utf-8"), edit.file, "exec")
    file, test = mutation.test.split("::")
    assert f"def {test}(" in (ROOT / TESTS / file).read_text(encoding="utf-8")


@pytest.mark.deep
@pytest.mark.parametrize("name", MUTATIONS)
def test_without_it_its_test_fails(name: str, copy: Path, databases: None) -> None:
    mutation = MUTATIONS[name]
    for edit in mutation.edits:
        edit.apply(copy)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"{TESTS}/{mutation.test}"]
    done = subprocess.run(
        command, cwd=copy, env=mutants_environment(), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\nFAILED " in done.stdout, done.stdout


def mutants_environment() -> dict[str, str]:
    """Databases beside those of this run."""
    variables = {Store.REGISTRY: "DATABASE_URL", Store.SCREENER: "SCREENER_DATABASE_URL"}
    urls = {}
    for store, variable in variables.items():
        name = str(connections[store.alias].settings_dict["NAME"])
        url = url_of(store)
        urls[variable] = f"{url.removesuffix(name)}{name.removeprefix('test_')}_mutant"
    return {**os.environ, **urls}
