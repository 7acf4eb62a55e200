"""Which account the database servers run under, and where that account can reach files.

PostgreSQL refuses to run as root, so root starts it as `postgres` or `nobody`. When the checkout lies
below a directory closed to that account (/root, say), data and programs go to /var/tmp; nothing is opened up.
"""

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ops.local.errors import LauncherError

NAMES = ("postgres", "nobody")
FALLBACK = Path("/var/tmp")  # nosec B108  # noqa: S108  made by private_directory, which refuses a directory of somebody else


class PopenIdentity(TypedDict, total=False):
    """The arguments of Popen that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """The user and group a server runs under; `switch` says whether that differs from the caller's."""

    uid: int
    gid: int
    switch: bool

    def popen(self) -> PopenIdentity:
        """Arguments for Popen."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def can_reach(self, path: Path) -> bool:
        """Whether the account may pass through every parent of `path` and read `path` itself."""
        return self.can_pass(path.resolve().parent) and self._allows(path, 0o4)

    def can_pass(self, directory: Path) -> bool:
        """Whether the account may go to files in `directory` and through all of its parents."""
        real = directory.resolve()
        return all(self._allows(step, 0o1) for step in (real, *real.parents))

    def _allows(self, path: Path, bit: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & bit << 6)
        if status.st_gid == self.gid:
            return bool(status.st_mode & bit << 3)
        return bool(status.st_mode & bit)


def service_account() -> Account:
    """The caller's own account, or for root the first of `NAMES` that exists."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    for name in NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise LauncherError("Root needs an account for the database server: add one with `useradd --system postgres`.")


def service_home(var: Path, account: Account) -> Path:
    """A directory of ours for servers' data that `account` can pass through: in `var`, else in /var/tmp."""
    if account.can_pass(var):
        home = var / "services"
        home.mkdir(exist_ok=True)
        home.chmod(0o711)
        return home
    name = hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:12]
    return private_directory(FALLBACK / f"instrument-registry-{name}")


def private_directory(path: Path) -> Path:
    """`path` as a directory only we can write; refuses one that somebody else made first."""
    path.mkdir(mode=0o711, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise LauncherError(f"{path} is not a directory that belongs to this user alone; remove it.")
    path.chmod(0o711)
    return path
