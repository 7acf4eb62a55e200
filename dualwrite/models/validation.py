"""Validations as they are kept."""

from typing import ClassVar

from django.db import models

from dualwrite.models.runs import Run


class ValidationStatus(models.TextChoices):
    """How a validation ended."""

    RUNNING = Run.RUNNING
    PASSED = "passed"  #: complete, nothing found
    WARNING = "warning"  #: differences within the thresholds, or keys that did not come to rest
    FAILED = "failed"  #: complete, more found than the thresholds allow
    ERROR = Run.ERROR  #: could not be completed, or could not prove anything
    SKIPPED = "skipped"  #: there was nothing to be compared, and nobody had asked for it
    CANCELLED = Run.CANCELLED  #: somebody asked it to stop


class ValidationRun(Run):
    """One comparison of both stores of a stream."""

    kind = "validation"

    status = models.TextField(choices=ValidationStatus.choices, default=ValidationStatus.RUNNING)
    level = models.TextField()
    scope = models.TextField(default="whole", help_text="The part of the stream that was compared.")
    configuration = models.JSONField(default=dict, help_text="What it was run with, and how it compared.")
    authority = models.TextField(default="")
    generation = models.BigIntegerField(null=True, help_text="The authority's capture generation it speaks about.")
    snapshots = models.JSONField(default=dict, help_text="When each store was looked at.")
    authority_rows = models.BigIntegerField(null=True)
    mirror_rows = models.BigIntegerField(null=True)
    matched = models.BigIntegerField(null=True)
    missing_in_mirror = models.BigIntegerField(default=0)
    extra_in_mirror = models.BigIntegerField(default=0)
    field_mismatch = models.BigIntegerField(default=0)
    unsettled = models.BigIntegerField(default=0)
    relay_stuck = models.BigIntegerField(default=0)
    fields = models.JSONField(default=dict, help_text="How many records differ in each field.")
    thresholds = models.JSONField(default=dict, help_text="The shares in percent that were tolerated.")
    violations = models.JSONField(default=list, help_text="The thresholds that were exceeded.")
    passed_thresholds = models.BooleanField(null=True)
    cut_short = models.TextField(default="", help_text="Why not everything was looked at; totals are estimates then.")
    seconds = models.FloatField(null=True)
    rows_per_second = models.FloatField(null=True)
    differences = models.JSONField(default=list, help_text="The first differing keys with both records.")
    rules = models.JSONField(default=list, help_text="What the stream's own rules found, beside any difference.")
    repair = models.JSONField(null=True, help_text="What was repaired, where that was asked for.")

    class Meta:
        db_table = "dualwrite_validation_run"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.stream} {self.level} {self.status}"

    @property
    def found(self) -> int:
        """Keys that differ, of whatever kind."""
        return self.missing_in_mirror + self.extra_in_mirror + self.field_mismatch + self.relay_stuck

    def rows_of(self, store: str) -> int | None:
        """Rows the run counted in that store."""
        return self.authority_rows if store == self.authority else self.mirror_rows
