"""What an import did."""

from dataclasses import dataclass
from pathlib import Path

from registry.importing.difference import Difference


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts of the rows of one file; ``read == accepted + rejected + unchanged``, always.

    ``unchanged`` rows say what the store already held. ``rejects_path`` holds the rejected rows (only a
    header when there are none). ``differences`` are what was changed, or would be; ``lacking`` the members (instrument,
    index) for which the file has no row: nothing is done about them.
    """

    file: str
    read: int
    accepted: int
    rejected: int
    unchanged: int
    rejects_path: Path
    differences: tuple[Difference, ...] = ()
    lacking: tuple[tuple[str, str], ...] = ()

    def counts(self) -> dict[str, int]:
        """The counts by their names."""
        return {
            "read": self.read,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "unchanged": self.unchanged,
        }

    def as_dict(self) -> dict[str, str | int]:
        """The report as the command prints it with ``--json``."""
        return {"file": self.file, **self.counts(), "rejects_file": str(self.rejects_path)}
