"""What is kept of consumers: that they still ask the old contract, what they wrote, and what they would be told."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.db import models


class ConsumerCalls(models.Model):
    """How often a consumer called one of the two contracts on a day (UTC), and when last."""

    class Contract(models.TextChoices):
        """Which addresses were called."""

        API = "api", "/api/v1"
        SCREENER = "screener", "/screener"

    consumer = models.TextField()
    contract = models.TextField(choices=Contract.choices)
    day = models.DateField()
    calls = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "consumer_calls"
        verbose_name_plural = "consumer calls"
        ordering: ClassVar = ["-day", "consumer", "contract"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["consumer", "contract", "day"], name="consumer_calls_once")
        ]

    def __str__(self) -> str:
        return f"{self.consumer} {self.contract} {self.day}: {self.calls}"


class ReadMismatch(models.Model):
    """A record that a consumer was told, and that the other store tells otherwise: a sample, not all of them.

    ``served`` and ``other`` are the record in the store that answered and in the other one, NULL where it has none.
    """

    at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    stream = models.TextField()
    consumer = models.TextField()
    stage = models.TextField()
    served_by = models.TextField()
    key = models.TextField()
    fields = models.JSONField()
    served = models.JSONField(null=True)
    other = models.JSONField(null=True)

    class Meta:
        db_table = "read_mismatches"
        verbose_name_plural = "read mismatches"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["at"], name="read_mismatches_at")]

    def __str__(self) -> str:
        return f"{self.stream} {self.key}: {', '.join(self.fields)}"


class IgnoreRule(models.Model):
    """A difference between the stores that is known and not worth a word until a day.

    It covers a difference of one record whose every differing field is among ``fields``; an empty list covers them
    all, a missing record too. ``key_contains`` narrows it to keys with that text.
    """

    name = models.SlugField(unique=True)
    stream = models.TextField()
    fields = models.JSONField(default=list, blank=True, help_text='e.g. ["sector"]; empty: whatever differs.')
    key_contains = models.TextField(default="", blank=True, help_text='e.g. "NIFTY 50"; empty: every key.')
    reason = models.TextField()
    until = models.DateTimeField(help_text="From then on the difference counts again.")

    class Meta:
        db_table = "read_ignore_rules"
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
