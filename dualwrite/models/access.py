"""API keys as they are kept: never the key itself, only what recognises it."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from dualwrite.clearance import Clearance


class ApiKey(models.Model):
    """A key somebody asks with. It is never deleted: the audit names it."""

    name = models.TextField(unique=True, help_text="Who or what asks with it; the audit knows it by this name.")
    role = models.TextField(choices=[(c.value, c.value) for c in Clearance], help_text="What it may do.")
    prefix = models.TextField(unique=True, help_text="The beginning of the key, which is no secret.")
    hash = models.TextField(help_text="SHA-256 of the whole key, which is random and long.")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.TextField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on it is refused; empty: never.")
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.TextField(default="", blank=True)

    class Meta:
        db_table = "dualwrite_api_key"
        verbose_name = "API key"
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(role__in=[c.value for c in Clearance]), name="role_of_key_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.role}, {self.prefix}…)"

    def why_refused(self, now: datetime) -> str:
        """Why it is of no use now; empty when it is."""
        if self.revoked_at is not None:
            return f"it was revoked at {self.revoked_at:%Y-%m-%d %H:%M:%S %Z}"
        if self.expires_at is not None and self.expires_at <= now:
            return f"it expired at {self.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        return ""
