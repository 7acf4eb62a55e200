"""The nine checks, and their findings."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dualwrite.exceptions import DualWriteError
from dualwrite.monitoring.exceptions import Unhealthy
from dualwrite.readiness import (
    boundaries,
    configuration,
    endpoints,
    faults,
    imports,
    integration,
    life,
    scheduled,
    watching,
)
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service

Check = Callable[[Service], str]
CHECKS: Mapping[str, Check] = {
    "service imports": imports.check,
    "runtime integration": integration.check,
    "scheduled tasks": scheduled.check,
    "actuator endpoints": endpoints.check,
    "config service": configuration.check,
    "error handling": faults.check,
    "schema boundaries": boundaries.check,
    "monitoring": watching.check,
    "lifecycle": life.check,
}


@dataclass(frozen=True)
class Finding:
    """How a check came out, what was seen, and how long it took."""

    name: str
    passed: bool
    evidence: str
    seconds: float

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "seconds": round(self.seconds, 2)}


def prove(service: Service, names: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """Run them one after another; each finding as soon as it is there."""
    for name, check in names.items():
        began = time.monotonic()
        passed, evidence = _outcome(check, service)
        yield Finding(name, passed, evidence, time.monotonic() - began)


def _outcome(check: Check, service: Service) -> tuple[bool, str]:
    try:
        return True, check(service)
    except NotReady as exc:
        return False, exc.detail
    except Exception as exc:  # whatever a check runs into is what it found; the others are run all the same
        line = (str(exc).strip().splitlines() or [""])[0]
        return False, line if isinstance(exc, DualWriteError | Unhealthy) else f"{type(exc).__name__}: {line}"
