"""What changed in instruments and memberships, in an order that whoever follows can rely on."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q


class Change(models.Model):
    """One change of an instrument or a membership, noted by the database in the transaction that made it.

    ``index_id`` is NULL for an instrument. ``before`` and ``after`` are the fields as they were and are, NULL where
    there was, or is, no record. ``position`` is its place in the feed, given once it is committed
    (``number_changes_v1.sql`` says why not before).
    """

    id = models.BigAutoField(primary_key=True)
    position = models.BigIntegerField(null=True, editable=False)
    at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    instrument_key = models.TextField()
    # NULL: it is about the instrument (hence DJ001 is waived).
    index_id = models.TextField(null=True)  # noqa: DJ001
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        db_table = "changes"
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["position"], name="changes_position")]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="changes_without_position", condition=Q(position__isnull=True)),
            models.Index(fields=["index_id", "at"], name="changes_index_at"),
        ]

    def __str__(self) -> str:
        about = f"{self.instrument_key} in {self.index_id}" if self.index_id else self.instrument_key
        return f"{self.position} {about}"


class ChangesHead(models.Model):
    """The one row that says how far the feed is numbered, and since when there is one.

    ``feed`` names this feed: a cursor of another one, e.g. of a database that was made anew, is recognised.
    """

    one = models.BooleanField(primary_key=True, default=True)
    position = models.BigIntegerField(db_default=0)
    feed = models.TextField()
    began_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "changes_head"
        default_permissions = ()
        constraints: ClassVar = [models.CheckConstraint(condition=Q(one=True), name="changes_head_is_one")]

    def __str__(self) -> str:
        return f"{self.feed} {self.position}"
