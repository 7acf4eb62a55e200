"""Where a checkout keeps what it makes: the one place that knows file names under `var/`."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Place:
    """A state directory; whether it must survive a power cut; whether it outlives the launcher."""

    var: Path
    durable: bool = True
    permanent: bool = True

    @property
    def credentials(self) -> Path:
        """Addresses with passwords and the secret key, mode 600."""
        return self.var / "credentials"

    @property
    def supervisor(self) -> Path:
        """Who holds the lock `run`."""
        return self.var / "run.json"

    @property
    def address(self) -> Path:
        """Where the service of a ./run that serves answers."""
        return self.var / "address"

    @property
    def outside(self) -> Path:
        """Names the directory of the servers' data when that is not below `var`."""
        return self.var / "services.home"

    @property
    def prepared(self) -> Path:
        """Fingerprint of the code that was last migrated and installed."""
        return self.var / "prepared"

    @property
    def temporary(self) -> Path:
        """Names of the servers that were started for short-lived users only; the last of these stops them."""
        return self.var / "temporary"

    def metrics(self, name: str) -> Path:
        """Where the processes of the service called `name` count."""
        return self.var / "metrics" / name

    def log(self, name: str) -> Path:
        """The log file of the process called `name`."""
        return self.var / "log" / f"{name}.log"

    def lock(self, name: str) -> Path:
        """The file to lock for the purpose `name`: run, services, users."""
        return self.var / f"{name}.lock"

    def pid(self, name: str) -> Path:
        """Who runs as the supervised process `name`."""
        return self.var / "pids" / f"{name}.json"

    def pids(self) -> list[Path]:
        """The files of `pid` that exist."""
        return sorted((self.var / "pids").glob("*.json"))

    def create(self) -> "Place":
        """Make the directories; others may pass through but not list them."""
        for directory in (self.var, self.var / "log", self.var / "pids"):
            directory.mkdir(parents=True, exist_ok=True)
        self.var.chmod(0o711)
        return self


def checkout() -> Place:
    """The state directory of this checkout."""
    return Place(ROOT / "var").create()
