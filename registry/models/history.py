"""Which index held which instrument when, as it was known at any time."""

from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Collate

from registry.models import rules


class IndexMembershipHistory(models.Model):
    """One version of one spell ``[opt-in, opt-out)``; no upper bound means still a member.

    Bitemporal: a correction or a closing supersedes a version and adds another, so that the answer given in
    the past can be given again. A version holds from ``recorded_at`` until ``superseded_at`` (NULL: still).
    The current versions of one instrument in one index never overlap. ``source`` names who recorded it:
    ``membership`` (the database, following :class:`IndexMembership`) or the imported file.
    """

    instrument_key = models.TextField()
    index_id = models.TextField()
    spell = DateRangeField()
    recorded_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    superseded_at = models.DateTimeField(null=True, blank=True, editable=False)
    source = models.TextField()

    class Meta:
        db_table = "index_membership_history"
        verbose_name_plural = "index membership history"
        ordering: ClassVar = ["index_id", "instrument_key", "recorded_at", "id"]
        indexes: ClassVar = [models.Index(fields=["index_id", "instrument_key"], name="index_membership_history_key")]
        constraints: ClassVar = [
            rules.matches("index_membership_history", "instrument_key", rules.INSTRUMENT_KEY, "exchange:symbol"),
            rules.matches("index_membership_history", "index_id", rules.TRIMMED, "text without surrounding blanks"),
            ExclusionConstraint(
                name="index_membership_history_no_overlap",
                # Equality by bytes: GiST compares at every insert; a locale's comparison takes twice as long.
                expressions=[
                    (Collate("instrument_key", "C"), RangeOperators.EQUAL),
                    (Collate("index_id", "C"), RangeOperators.EQUAL),
                    ("spell", RangeOperators.OVERLAPS),
                ],
                condition=Q(superseded_at__isnull=True),
                violation_error_message="The spell overlaps another of this instrument and index.",
            ),
            models.CheckConstraint(
                condition=Q(spell__isempty=False, spell__lower_inf=False),
                name="index_membership_history_spell_begins",
                violation_error_message="A spell needs a first day and may not be empty.",
            ),
            models.CheckConstraint(
                condition=Q(superseded_at__isnull=True) | Q(superseded_at__gte=F("recorded_at")),
                name="index_membership_history_superseded_later",
                violation_error_message="superseded_at may not be before recorded_at.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_key} in {self.index_id} {self.spell}"
