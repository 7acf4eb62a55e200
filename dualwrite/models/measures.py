"""What an alert rule can be about: each measurement with its meaning, its unit and what it is taken of. No I/O."""

from enum import StrEnum

from django.db import models


class Unit(StrEnum):
    """What a value counts."""

    YES_OR_NO = "1 yes, 0 no"
    SECONDS = "seconds"
    PERCENT = "percent"
    KEYS = "keys"
    ATTEMPTS = "attempts"
    OCCURRENCES = "occurrences"


class Measure(models.TextChoices):
    """Its value is what rules name, its label what it means. Each value is taken of a subject, such as a stream."""

    RELAY_FAILING = "relay_failing", "the component `relay` is not UP"
    LAG = "lag", "how far a stream's mirror is behind"
    OLDEST_PENDING = "oldest_pending", "how long the oldest noted key of a stream waits"
    PARKED = "parked", "keys of a stream that are set aside"
    VALIDATION_FAILED = "validation_failed", "the last validation of a stream failed, or came to no end"
    VALIDATION_AGE = "validation_age", "since when no validation of a stream has passed"
    VALIDATION_COVERAGE_AGE = "validation_coverage_age", "since when some part of a stream has not been looked at"
    MATCH = "match", "keys that the last validation of a stream found equal"
    APPLY_ERRORS = "apply_errors", "keys of a stream that could not be applied, of all since the last evaluation"
    RESPONSE = "response", "how long a component took to answer its health check"
    RETENTION_FAILED = "retention_failed", "the last run of a retention policy failed or was refused"
    RETENTION_AGE = "retention_age", "since when no run of a retention policy has come to its end"
    DRILL_FAILED = "drill_failed", "backups cannot be restored, as the last drill found"
    COMPONENT_DOWN = "component_down", "a component is DOWN or out of service"
    CANARY_LOST = "canary_lost", "a write of a stream is not noted, or a noted key not relayed"
    CAPTURE_BROKEN = "capture_broken", "a trigger of a stream is missing or not as it was installed"
    WENT_BACK = "went_back", "the stores are not as they remember each other: one went back in time, or is another one"
    CONFIG_FALLBACK = "config_fallback", "the config service is away or wrong, and its last good values count"
    CLOCK_SKEW = "clock_skew", "how far the clock of a store's server is from this machine's"
    CHANNEL_FAILING = "channel_failing", "failed attempts in a row to deliver over a channel"
    TASK_FAILING = "task_failing", "occurrences in a row that a task of the schedule failed, crashed or was missed"
    UNKNOWN = "unknown", "what a rule is about cannot be measured"

    @property
    def unit(self) -> Unit:
        """What its value counts."""
        return _UNITS.get(self, Unit.YES_OR_NO)


_UNITS = {
    Measure.LAG: Unit.SECONDS,
    Measure.OLDEST_PENDING: Unit.SECONDS,
    Measure.PARKED: Unit.KEYS,
    Measure.VALIDATION_AGE: Unit.SECONDS,
    Measure.VALIDATION_COVERAGE_AGE: Unit.SECONDS,
    Measure.MATCH: Unit.PERCENT,
    Measure.APPLY_ERRORS: Unit.PERCENT,
    Measure.RESPONSE: Unit.SECONDS,
    Measure.RETENTION_AGE: Unit.SECONDS,
    Measure.CLOCK_SKEW: Unit.SECONDS,
    Measure.CHANNEL_FAILING: Unit.ATTEMPTS,
    Measure.TASK_FAILING: Unit.OCCURRENCES,
}
