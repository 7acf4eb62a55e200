"""Who was a member of an index on a day, as known then or now."""

import datetime as dt

from django.db.models import Q, QuerySet

from registry.models import IndexMembershipSpell


def members(index_id: str, as_of: dt.date, known_at: dt.datetime | None = None) -> QuerySet[IndexMembershipSpell]:
    """The spells of ``index_id`` that contain the day ``as_of``, one for each member, by instrument key.

    Archived versions answer too. With ``known_at`` (an aware time) the answer is the one that was given then;
    without, the one known now.
    """
    spells = IndexMembershipSpell.objects.filter(index_id=index_id, spell__contains=as_of)
    return spells.filter(_known(known_at)).order_by("instrument_key")


def _known(known_at: dt.datetime | None) -> Q:
    if known_at is None:
        return Q(superseded_at__isnull=True)
    return Q(recorded_at__lte=known_at) & (Q(superseded_at__isnull=True) | Q(superseded_at__gt=known_at))
