"""Which index holds which instrument now."""

import datetime as dt
from typing import ClassVar

from django.db import models
from django.db.models import Q

from registry.models import rules


class IndexMembership(models.Model):
    """An instrument in an index, by immutable keys; ``weight`` in percent (0 to 100), NULL when unknown.

    The database keeps :class:`IndexMembershipHistory` in step with these rows, whoever writes them.
    """

    instrument_key = models.TextField()
    index_id = models.TextField()
    weight = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    # NULL and '' differ in the mirrored store, as in Instrument (hence DJ001 is waived).
    sector = models.TextField(null=True, blank=True)  # noqa: DJ001
    date_added = models.DateField(null=True, blank=True)
    is_active = models.BooleanField(default=True, db_default=True)

    class Meta:
        db_table = "index_memberships"
        ordering: ClassVar = ["index_id", "instrument_key"]
        indexes: ClassVar = [models.Index(fields=["index_id"], name="index_memberships_index_id")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["instrument_key", "index_id"], name="index_memberships_key"),
            rules.matches("index_memberships", "instrument_key", rules.INSTRUMENT_KEY, "exchange:symbol"),
            rules.matches("index_memberships", "index_id", rules.TRIMMED, "text without surrounding blanks"),
            models.CheckConstraint(
                condition=Q(weight__range=(0, 100)),
                name="index_memberships_weight_range",
                violation_error_message="weight must be between 0 and 100 percent.",
            ),
            models.CheckConstraint(
                # PostgreSQL knows infinite dates and dates before year 1; nothing that reads these rows does.
                condition=Q(date_added__range=(dt.date.min, dt.date.max)),
                name="index_memberships_date_added_range",
                violation_error_message="date_added must be a date of the years 1 to 9999.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_key} in {self.index_id}"
