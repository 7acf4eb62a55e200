"""Who changed which business data."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class AuditLog(models.Model):
    """One change of business data: who (``actor``) did what (``action``) to which object, and how it was.

    ``before`` is NULL where nothing was, ``after`` where nothing is any more. ``request_id`` is that of the HTTP
    request, where one asked for the change and brought one. Unlike ``dualwrite.audit``, which says who steered the
    migration and is kept for good, these rows have a retention period.
    """

    at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    actor = models.TextField()
    action = models.TextField()
    object_type = models.TextField()
    object_key = models.TextField()
    before = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    # NULL: there was no request, or it brought none (hence DJ001 is waived).
    request_id = models.TextField(null=True, blank=True)  # noqa: DJ001

    class Meta:
        db_table = "audit_log"
        verbose_name_plural = "audit log"
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["at"], name="audit_log_at"),
            models.Index(fields=["object_key"], name="audit_log_object_key"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_key} by {self.actor}"
