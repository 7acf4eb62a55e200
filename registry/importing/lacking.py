"""Members of the file's indices for which it has no row: told, and left as they are."""

from collections.abc import Sequence

from registry.importing.database import SCREENER
from registry.importing.members import Member
from registry.models import IndexMembership
from registry.screener.models import ScreenerIndexMembership

#: Instrument (``exchange:symbol``) and index.
Membership = tuple[str, str]


def lacking(alias: str, members: Sequence[Member]) -> tuple[Membership, ...]:
    """Who is a member in that store now, of an index that the file has members of, and stands in none of these rows.

    A whole file lacks who has left; it also lacks whose row was rejected.
    """
    indices = {member.index_id for member in members}
    now = _old_members(alias, indices) if alias == SCREENER else _members(alias, indices)
    return tuple(sorted(now - {(member.instrument_key, member.index_id) for member in members}))


def _members(alias: str, indices: set[str]) -> set[Membership]:
    rows = IndexMembership.objects.using(alias).filter(index_id__in=indices, is_active=True)
    return set(rows.values_list("instrument_key", "index_id"))


def _old_members(alias: str, indices: set[str]) -> set[Membership]:
    rows = ScreenerIndexMembership.objects.using(alias).filter(index_name__in=indices)
    known = rows.exclude(symbol=None).exclude(exchange=None).values_list("exchange", "symbol", "index_name")
    return {(f"{exchange}:{symbol}", str(index)) for exchange, symbol, index in known}
