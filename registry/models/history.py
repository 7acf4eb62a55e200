"""Which index held which instrument when, as it was known at any time."""

from typing import ClassVar

from django.db import models

from registry.models.version import Version, constraints_of


class IndexMembershipHistory(Version):
    """The versions that are written to and found first; :class:`IndexMembershipSpell` has the archived ones too."""

    class Meta(Version.Meta):
        db_table = "index_membership_history"
        verbose_name_plural = "index membership history"
        indexes: ClassVar = [models.Index(fields=["index_id", "instrument_key"], name="index_membership_history_key")]
        constraints: ClassVar = constraints_of("index_membership_history")
