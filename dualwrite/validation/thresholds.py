"""What a comparison means: its totals against the thresholds. No I/O.

Thresholds only tell a warning from a failure; what has found anything at all has not passed. A side without rows, or a
comparison that was cut short, proves nothing, so it has not passed either.

The shares of a part are of its own records, but of no fewer than a hundred, or than the whole stream has: that one of
the twenty keys written last differs does not mean that five percent of the stream do. Where most of a part differs
it fails however small it is, and with a threshold of nothing a single record does.
"""

from dataclasses import dataclass

from dualwrite.models import ValidationStatus
from dualwrite.parameters import MAX_DRIFT_PERCENT, MAX_MISMATCH_PERCENT, MAX_MISSING_PERCENT
from dualwrite.validation.scope import Scope

#: Records of which the shares of a part are at least, unless the stream has fewer.
LEAST = 100


@dataclass(frozen=True)
class Thresholds:
    """Shares in percent up to which differences are a warning."""

    missing_percent: float
    mismatch_percent: float
    drift_percent: float


@dataclass(frozen=True)
class Totals:
    """What a comparison counted, in records. `whole`: it was about the whole stream, not a part of it.

    `least`: records of which shares are at least; 0: they are of what was compared.
    """

    authority_rows: int
    mirror_rows: int
    missing: int = 0
    extra: int = 0
    mismatch: int = 0
    unsettled: int = 0
    stuck: int = 0
    cut_short: str = ""
    whole: bool = True
    least: int = 0

    @property
    def found(self) -> int:
        """Records that differ, of whatever kind."""
        return self.missing + self.extra + self.mismatch + self.stuck

    def shares(self) -> Thresholds:
        """Missing of the authority's records, different of those in both stores, drift of the totals; in percent.

        A record that is stuck on its way differs as one that is on both sides does. Totals drift by records that have
        come to rest only: what was merely on its way while both stores were counted is no drift.
        """
        authority = max(self.authority_rows, self.least)
        common = max(authority - self.missing, 0)
        mirror = max(authority - self.missing + self.extra, 0)
        drift = abs(self.missing - self.extra)
        return Thresholds(
            _percent(self.missing, authority),
            _percent(self.mismatch + self.stuck, common),
            _percent(drift, max(authority, mirror)),
        )


@dataclass(frozen=True)
class Judgement:
    """The status, a sentence where there is something to say, and the thresholds that were exceeded."""

    status: ValidationStatus
    sentence: str
    violations: tuple[dict[str, object], ...] = ()
    passed_thresholds: bool | None = None


def least(scope: Scope, rows_of_whole: int | None) -> int:
    """Of how many records the shares of that scope are at least; `rows_of_whole`: of the stream, None: unknown."""
    if scope.is_whole:
        return 0
    return LEAST if rows_of_whole is None else min(rows_of_whole, LEAST)


def in_force() -> Thresholds:
    """The thresholds of the parameters."""
    return Thresholds(MAX_MISSING_PERCENT.value(), MAX_MISMATCH_PERCENT.value(), MAX_DRIFT_PERCENT.value())


def judge(totals: Totals, limits: Thresholds) -> Judgement:
    """What the totals mean. Only a complete comparison of rows on both sides that found nothing has passed."""
    if not totals.authority_rows and not totals.mirror_rows and not totals.whole:
        return Judgement(ValidationStatus.SKIPPED, "neither store has rows in this part, so nothing could be proven")
    if not totals.authority_rows and totals.whole:
        return Judgement(ValidationStatus.ERROR, "the authority has no rows, so nothing could be proven")
    violations = _violations(totals.shares(), limits)
    status, sentence = _verdict(totals, violations)
    return Judgement(status, sentence, violations, not violations and not totals.cut_short)


def _verdict(totals: Totals, violations: tuple[dict[str, object], ...]) -> tuple[ValidationStatus, str]:
    if violations:
        return ValidationStatus.FAILED, totals.cut_short
    if totals.cut_short:
        # Less than there is was looked at, so the shares are lower bounds and no threshold can be said to hold.
        return ValidationStatus.FAILED if totals.found else ValidationStatus.WARNING, totals.cut_short
    if totals.found:
        return ValidationStatus.WARNING, ""
    if totals.unsettled:
        return ValidationStatus.WARNING, "some keys did not come to rest"
    if not totals.mirror_rows:
        return ValidationStatus.WARNING, "the mirror had no rows when it was looked at"
    return ValidationStatus.PASSED, ""


def _violations(shares: Thresholds, limits: Thresholds) -> tuple[dict[str, object], ...]:
    exceeded = []
    for name, limit in vars(limits).items():
        share = float(getattr(shares, name))
        if share > limit:
            exceeded.append({"threshold": name, "limit": limit, "found": round(share, 6)})
    return tuple(exceeded)


def _percent(part: int, whole: int) -> float:
    if not whole:
        return 100.0 if part else 0.0
    return part * 100 / whole
