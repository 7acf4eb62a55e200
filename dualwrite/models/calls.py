"""Calls that are answered once, however often they are made."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class IdempotentCall(models.Model):
    """A call that was made with an Idempotency-Key, and what it was answered with. Kept for a day."""

    caller = models.TextField()
    key = models.TextField()
    fingerprint = models.TextField(help_text="Of method, path and body: another call needs another key.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Of the answer; empty: it is being answered.")
    answer = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    begun_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "dualwrite_idempotent_call"
        constraints: ClassVar = [models.UniqueConstraint(fields=["caller", "key"], name="answered_once")]
        indexes: ClassVar = [models.Index(fields=["begun_at"], name="idempotent_call_begun")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}: {self.status or 'being answered'}"
