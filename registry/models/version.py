"""What the history of memberships and its archive have in common."""

from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import F, Q
from django.db.models.constraints import BaseConstraint
from django.db.models.functions import Collate

from registry.models import rules


class Version(models.Model):
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
        abstract = True
        ordering: ClassVar = ["index_id", "instrument_key", "recorded_at", "id"]

    def __str__(self) -> str:
        return f"{self.instrument_key} in {self.index_id} {self.spell}"


def constraints_of(table: str) -> list[BaseConstraint]:
    """The rules that versions keep, wherever they are stored."""
    return [
        rules.matches(table, "instrument_key", rules.INSTRUMENT_KEY, "exchange:symbol"),
        rules.matches(table, "index_id", rules.TRIMMED, "text without surrounding blanks"),
        ExclusionConstraint(
            name=f"{table}_no_overlap",
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
            name=f"{table}_spell_begins",
            violation_error_message="A spell needs a first day and may not be empty.",
        ),
        models.CheckConstraint(
            condition=Q(superseded_at__isnull=True) | Q(superseded_at__gte=F("recorded_at")),
            name=f"{table}_superseded_later",
            violation_error_message="superseded_at may not be before recorded_at.",
        ),
    ]
