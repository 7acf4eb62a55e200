"""Versions of spells that ended long ago, kept apart so that the history stays small."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from registry.models.version import Version, constraints_of

TABLE = "index_membership_history_archive"


class IndexMembershipHistoryArchive(Version):
    """A version moved here out of :class:`IndexMembershipHistory`, under the id that it had there.

    It still counts: no answer changes and no overlap becomes possible by archiving. ``archived_by`` is the number of
    the retention run that moved it. It is never rewritten; a restore takes it out again. An open spell is never
    archived while it is current, since a membership that goes closes it in the history.
    """

    id = models.BigIntegerField(primary_key=True)
    # Without the default of the history: a moved version brings the time at which it was recorded.
    recorded_at = models.DateTimeField(editable=False)
    archived_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    archived_by = models.BigIntegerField(null=True, blank=True, editable=False)

    class Meta(Version.Meta):
        db_table = TABLE
        verbose_name_plural = "index membership history archive"
        indexes: ClassVar = [models.Index(fields=["index_id", "instrument_key"], name="membership_archive_key")]
        constraints: ClassVar = [
            *constraints_of(TABLE),
            models.CheckConstraint(
                condition=Q(superseded_at__isnull=False) | Q(spell__upper_inf=False),
                name=f"{TABLE}_ended",
                violation_error_message="A current spell without an end is not archived.",
            ),
        ]
