"""A stock index."""

from typing import ClassVar

from django.db import models

from registry.models import rules


class Index(models.Model):
    """A stock index, e.g. ``NIFTY 50``; ``exchange`` is the code of its home exchange."""

    # NULL means unknown, as in Instrument (hence DJ001 is waived).
    index_id = models.TextField(primary_key=True)
    name = models.TextField(null=True, blank=True)  # noqa: DJ001
    exchange = models.TextField(null=True, blank=True)  # noqa: DJ001
    country = models.TextField(null=True, blank=True)  # noqa: DJ001
    currency = models.TextField(null=True, blank=True)  # noqa: DJ001

    class Meta:
        db_table = "indices"
        verbose_name_plural = "indices"
        ordering: ClassVar = ["index_id"]
        constraints: ClassVar = [
            rules.matches("indices", "index_id", rules.TRIMMED, "text without surrounding blanks"),
            rules.matches("indices", "exchange", rules.EXCHANGE, "capital letters and digits"),
            rules.matches("indices", "currency", rules.CURRENCY, "three capital letters"),
        ]

    def __str__(self) -> str:
        return self.index_id
