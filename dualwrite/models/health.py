"""How every component was, look by look: what history, availability and error budgets are counted from."""

from typing import ClassVar

from django.db import models


class HealthRecord(models.Model):
    """One answer of one check of one component, as the periodic look found it.

    `subject`: empty for the component as a whole; else what of it was looked at, such as a stream.
    """

    at = models.DateTimeField(help_text="When it was looked at.")
    component = models.TextField()
    subject = models.TextField(default="", blank=True)
    status = models.TextField(help_text="UP, DOWN, OUT_OF_SERVICE or UNKNOWN.")
    seconds = models.FloatField(help_text="How long the look took.")
    error = models.TextField(default="", blank=True, help_text="Why it was not UP.")

    class Meta:
        db_table = "dualwrite_health"
        verbose_name = "health record"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["component", "subject", "-at"], name="health_newest"),
            models.Index(fields=["at"], name="health_at"),
        ]

    def __str__(self) -> str:
        return f"{self.component} {self.subject} {self.status}".replace("  ", " ")
