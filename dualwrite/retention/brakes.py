"""Whether a run may remove what was planned: clocks, shares, hours. Pure: each answers a sentence, or nothing."""

from dataclasses import dataclass
from datetime import datetime

from dualwrite.retention.policy import Policy


@dataclass(frozen=True)
class Limits:
    """What is tolerated: rows that may always go, seconds that clocks may be apart."""

    free_rows: int
    skew_seconds: float


@dataclass(frozen=True)
class Clocks:
    """The server's `now`, and this machine's times around it."""

    now: datetime
    asked: datetime
    answered: datetime


@dataclass(frozen=True)
class Found:
    """What was surveyed; `before` is when the last run of the policy began."""

    rows: int
    goes: int
    clocks: Clocks
    before: datetime | None


def clock(found: Found, limits: Limits) -> str:
    """Why a clock is not to be trusted. It is not overridden: with a wrong clock nobody knows what is old."""
    if why := apart(found.clocks, limits.skew_seconds):
        return why
    now = found.clocks.now
    if found.before is not None and found.before > now:
        return f"the registry's clock says {now:%Y-%m-%d %H:%M:%S}, and the last run began {found.before}"
    return ""


def apart(clocks: Clocks, skew_seconds: float) -> str:
    """Why the two clocks do not tell the same."""
    early = (clocks.asked - clocks.now).total_seconds()
    late = (clocks.now - clocks.answered).total_seconds()
    if max(early, late) <= skew_seconds:
        return ""
    return (
        f"the registry's clock says {clocks.now:%Y-%m-%d %H:%M:%S} and this machine's "
        f"{clocks.asked:%Y-%m-%d %H:%M:%S}; they may be {skew_seconds:g} s apart"
    )


def share(policy: Policy, found: Found, limits: Limits) -> str:
    """Why so many rows may not go without being forced."""
    if found.goes > policy.max_rows:
        return f"{found.goes} rows would go, and {policy.max_rows} may"
    percent = 100 * found.goes / found.rows if found.rows else 0.0
    if found.goes > limits.free_rows and percent > policy.max_percent:
        return f"{found.goes} of {found.rows} rows would go, {percent:.1f} %, and {policy.max_percent:g} % may"
    return ""


def hours(policy: Policy, now: datetime) -> str:
    """Why it is not the time; for what nobody asked for."""
    window = policy.window
    if window is None or window.holds(now):
        return ""
    return f"it is {now:%H:%M} UTC, and the window is {window.begins:%H:%M} to {window.ends:%H:%M}"
