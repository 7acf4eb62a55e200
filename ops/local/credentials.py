"""The secrets of one checkout, in one file of mode 600, made up at random the first time.

The file has one NAME=value a line, as dotenv readers understand it: the addresses of the embedded servers
with their passwords, the key Django signs with, the password of the first admin user, an admin's key of the API.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ops.local.errors import LauncherError
from ops.local.locks import write_atomically

HEADER = "# Made by ./run; whoever can read this file can read and change everything. Never commit it.\n"
ADDRESSES = {
    "POSTGRES_URL": ("postgres", "postgres"),
    "DATABASE_URL": ("registry_app", "registry"),
    "MIGRATION_DATABASE_URL": ("registry_owner", "registry"),
    "SCREENER_DATABASE_URL": ("screener_app", "screener"),
    "SCREENER_MIGRATION_DATABASE_URL": ("screener_owner", "screener"),
    "SCREENER_SERVICE_URL": ("screener_service", "screener"),
}
KEYS = ("SECRET_KEY", "ADMIN_PASSWORD")
#: What files of before do not have; it is made up when they are read.
NEW_KEYS = ("INTERNAL_API_KEY",)
NAMES = (*KEYS, *ADDRESSES, "REDIS_URL")
REMEDY = "delete it and new ones are made."


@dataclass(frozen=True)
class Credentials:
    """Name -> value for every name in `NAMES`."""

    values: dict[str, str]

    @classmethod
    def random(cls) -> "Credentials":
        """New secrets; the ports are 0 until the servers have some."""
        values = {name: secrets.token_urlsafe(48) for name in (*KEYS, *NEW_KEYS)}
        for name, (role, database) in ADDRESSES.items():
            values[name] = f"postgresql://{role}:{secrets.token_urlsafe(24)}@127.0.0.1:0/{database}"
        values["REDIS_URL"] = f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:0/0"
        return cls(values)

    @classmethod
    def read(cls, path: Path) -> "Credentials | None":
        """From a file of `write`; None when there is none. Raises LauncherError when it is damaged."""
        if not path.exists():
            return None
        try:
            values = parse(path.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise LauncherError(f"{path} is not text; {REMEDY}") from exc
        missing = [name for name in NAMES if not values.get(name)]
        if missing:
            raise LauncherError(f"{path} lacks {', '.join(missing)}; {REMEDY}")
        damaged = [name for name in (*NAMES, *NEW_KEYS) if name in values and not usable(name, values[name])]
        if damaged:
            raise LauncherError(f"{path} has no usable {', '.join(damaged)}; {REMEDY}")
        lacking = {name: secrets.token_urlsafe(48) for name in NEW_KEYS if not values.get(name)}
        complete = cls(values | lacking)
        if lacking:
            complete.write(path)
        return complete

    def write(self, path: Path) -> None:
        """Replace `path`, readable by its owner only from the first byte on."""
        write_atomically(path, HEADER + "".join(f"{name}={value}\n" for name, value in self.values.items()))

    def with_ports(self, postgres: int | None = None, redis: int | None = None) -> "Credentials":
        """The same secrets at the ports given; None leaves a port as it is."""
        changed = dict(self.values)
        for name in ADDRESSES:
            changed[name] = with_port(changed[name], postgres)
        changed["REDIS_URL"] = with_port(changed["REDIS_URL"], redis)
        return Credentials(changed)

    def password(self, name: str) -> str:
        """The password inside the address called `name`."""
        return urlsplit(self.values[name]).password or ""


def parse(text: str) -> dict[str, str]:
    """NAME=value lines; comments, blank lines and lines without `=` are skipped."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def usable(name: str, value: str) -> bool:
    """Whether `value` can be what `name` stands for: one printable line, and an address where that is meant."""
    if not value.isprintable():
        return False
    if name in (*KEYS, *NEW_KEYS):
        return True
    try:
        address = urlsplit(value)
        return bool(address.hostname and address.password and address.port is not None)
    except ValueError:
        return False


def with_port(address: str, port: int | None) -> str:
    """`address` at another port of the same host."""
    if port is None:
        return address
    parts = urlsplit(address)
    account = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{account}@{parts.hostname}:{port}"))
