"""Whether there is room on the disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.health import Check


@dataclass(frozen=True, kw_only=True)
class DiskSpaceCheck(Check):
    """The disk that holds `path` has at least `threshold` bytes free; unless given, the one that holds the data."""

    name: str = "diskSpace"
    mend: str = "free space on the disk named in the details"
    path: Path | None = None
    threshold: int = 512 * 1024 * 1024

    def run(self) -> dict[str, Any]:
        """Return total, free and threshold in bytes; raise Down when less is free or nothing can be read."""
        path = self.path or _data()
        try:
            usage = shutil.disk_usage(path)
        except OSError as exc:
            raise Down(f"{path}: {exc.strerror}") from exc
        details = {"path": str(path), "total": usage.total, "free": usage.free, "threshold": self.threshold}
        if usage.free < self.threshold:
            raise Down(f"{usage.free} bytes are free, {self.threshold} are needed", details)
        return details


def _data() -> Path:
    """`var` of the checkout, which may be a disk of its own, or the checkout where there is none."""
    base = Path(settings.BASE_DIR)
    return base / "var" if (base / "var").is_dir() else base
