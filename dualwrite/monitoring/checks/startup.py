"""Whether this process has come through its start-up."""

from dataclasses import dataclass
from typing import Any

from dualwrite.monitoring.health import Check
from dualwrite.monitoring.startup.gate import GATE, Gate


@dataclass(frozen=True, kw_only=True)
class StartUpCheck(Check):
    """OUT_OF_SERVICE until then, with what is missing."""

    name: str = "startUp"
    mend: str = "manage.py startup tells each step, and what mends it"
    gate: Gate = GATE

    def run(self) -> dict[str, Any]:
        """Return nothing further; raise OutOfService."""
        self.gate.require_open()
        return {}
