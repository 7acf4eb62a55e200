"""The components that are watched, by name."""

from dualwrite.exceptions import UnknownName
from dualwrite.monitoring.checks.beat import BeatCheck
from dualwrite.monitoring.checks.canary import CanaryCheck
from dualwrite.monitoring.checks.celery import CeleryCheck
from dualwrite.monitoring.checks.config_service import ConfigServiceCheck
from dualwrite.monitoring.checks.disk import DiskSpaceCheck
from dualwrite.monitoring.checks.dual_write import DualWriteCheck
from dualwrite.monitoring.checks.redis import RedisCheck
from dualwrite.monitoring.checks.relay import RelayCheck
from dualwrite.monitoring.checks.retention import RetentionCheck
from dualwrite.monitoring.checks.startup import StartUpCheck
from dualwrite.monitoring.checks.store import StoreCheck
from dualwrite.monitoring.checks.validation import ValidationCheck
from dualwrite.monitoring.health import Check
from dualwrite.stages import Store
from dualwrite.stores import present

STORES = (
    StoreCheck(
        name="database",
        store=Store.REGISTRY,
        mend="start the registry's database, or correct DATABASE_URL",
    ),
    StoreCheck(
        name="screener",
        store=Store.SCREENER,
        mend="start the screener's database, or correct SCREENER_DATABASE_URL",
    ),
)
ALL: tuple[Check, ...] = (
    *(check for check in STORES if check.store in present()),
    RedisCheck(),
    CeleryCheck(),
    BeatCheck(),
    RelayCheck(),
    DualWriteCheck(),
    CanaryCheck(),
    ValidationCheck(),
    ConfigServiceCheck(),
    RetentionCheck(),
    DiskSpaceCheck(),
)
#: What the web server cannot answer a request without.
READINESS = ("database",)


def check_named(name: str) -> Check:
    """The check of that component; raises UnknownName listing the valid ones."""
    found = {check.name: check for check in ALL}
    if name not in found:
        raise UnknownName("component", name, found)
    return found[name]


def readiness_checks() -> tuple[Check, ...]:
    """The checks that decide whether requests are taken."""
    return (StartUpCheck(), *(check_named(name) for name in READINESS))


__all__ = ["ALL", "READINESS", "check_named", "readiness_checks"]
