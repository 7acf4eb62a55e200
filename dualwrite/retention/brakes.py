"""Whether a run may remove what was planned: clocks, shares, hours. Pure: each answers a sentence, or nothing."""

from dataclasses import dataclass
from datetime import datetime

from dualwrite.retention.policy import Policy


@dataclass(frozen=True)
class Clocks:
    """The server's `now`, and this machine's times around it."""

    now: datetime
    asked: datetime
    answered: datetime


def clock(clocks: Clocks, before: datetime | None, skew_seconds: float) -> str:
    """Why a clock is not to be trusted; `before` is when the last run of the policy began.

    It is not overridden: with a wrong clock nobody knows what is old.
    """
    if why := apart(clocks, skew_seconds):
        return why
    if before is not None and before > clocks.now:
        return f"the registry's clock says {clocks.now:%Y-%m-%d %H:%M:%S}, and the last run began {before}"
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


def share(policy: Policy, goes: int, of: int, free_rows: int) -> str:
    """Why so many of the table's rows may not go without being forced; `free_rows` may always go."""
    if goes > policy.max_rows:
        return f"{goes} rows would go, and {policy.max_rows} may"
    percent = 100 * goes / of if of else 0.0
    if goes > free_rows and percent > policy.max_percent:
        return f"{goes} of {of} rows would go, {percent:.1f} %, and {policy.max_percent:g} % may"
    return ""


def hours(policy: Policy, now: datetime) -> str:
    """Why it is not the time; for what nobody asked for."""
    window = policy.window
    if window is None or window.holds(now):
        return ""
    return f"it is {now:%H:%M} UTC, and the window is {window.begins:%H:%M} to {window.ends:%H:%M}"
