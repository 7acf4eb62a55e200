"""What was in the imported files."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q


class IngestionScratch(models.Model):
    """A row of an imported file as it was read, and what became of it; ``reason`` says why it was rejected.

    ``content`` maps columns to texts. ``line`` is the one that the row begins on, the header being line 1. All rows
    of one import have the same ``loaded_at``.
    """

    class Outcome(models.TextChoices):
        """What became of a row: it changed something, the store held it already, or it was refused."""

        ACCEPTED = "accepted"
        UNCHANGED = "unchanged"
        REJECTED = "rejected"

    loaded_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    file = models.TextField()
    line = models.IntegerField()
    content = models.JSONField()
    outcome = models.TextField(choices=Outcome.choices)
    # NULL: it was not rejected (hence DJ001 is waived).
    reason = models.TextField(null=True, blank=True)  # noqa: DJ001

    class Meta:
        db_table = "ingestion_scratch"
        verbose_name_plural = "ingestion scratch"
        ordering: ClassVar = ["-loaded_at", "file", "line", "id"]
        indexes: ClassVar = [models.Index(fields=["loaded_at"], name="ingestion_scratch_loaded_at")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(outcome__in=["accepted", "unchanged", "rejected"]),
                name="ingestion_scratch_outcome_known",
                violation_error_message="outcome must be accepted, unchanged or rejected.",
            ),
            models.CheckConstraint(
                condition=Q(outcome="rejected", reason__isnull=False) | ~Q(outcome="rejected") & Q(reason__isnull=True),
                name="ingestion_scratch_rejected_with_reason",
                violation_error_message="A rejected row has a reason, and no other has.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file} line {self.line} {self.outcome}"
