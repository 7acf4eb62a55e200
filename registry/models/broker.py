"""What brokers were asked, and how they answered."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q


class BrokerApiLog(models.Model):
    """One call of a broker's API, begun at ``called_at``; ``error`` says why it failed.

    ``request`` is what the caller says of it, never headers or credentials. ``instrument_key`` is NULL where the call
    was about no single instrument.
    """

    class Status(models.TextChoices):
        """How the call ended."""

        OK = "ok", "ok"
        FAILED = "failed", "failed"

    called_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    broker = models.TextField()
    operation = models.TextField()
    request = models.JSONField(encoder=DjangoJSONEncoder)
    status = models.TextField(choices=Status.choices)
    milliseconds = models.IntegerField()
    # NULL: it did not fail; it was about no single instrument (hence DJ001 is waived).
    error = models.TextField(null=True, blank=True)  # noqa: DJ001
    instrument_key = models.TextField(null=True, blank=True)  # noqa: DJ001

    class Meta:
        db_table = "broker_api_log"
        verbose_name = "broker API call"
        verbose_name_plural = "broker API log"
        ordering: ClassVar = ["-called_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["called_at"], name="broker_api_log_called_at")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status="ok", error__isnull=True) | Q(status="failed", error__isnull=False),
                name="broker_api_log_status_known",
                violation_error_message="status must be ok, or failed with an error.",
            ),
            models.CheckConstraint(
                condition=Q(milliseconds__gte=0),
                name="broker_api_log_milliseconds_not_negative",
                violation_error_message="milliseconds may not be negative.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.broker} {self.operation} {self.status}"
