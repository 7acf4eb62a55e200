"""Reads and writes the current spells of an index in the registry's history."""

from collections.abc import Iterable, Sequence

from django.db import connections
from psycopg.types.range import Range

from registry.importing.database import BATCH, REGISTRY, chunks
from registry.importing.progress import Steps
from registry.importing.spells import Days, Spell
from registry.logs import storable
from registry.models import IndexMembershipHistory, IndexMembershipSpell


def stored_spells(index: str, keys: Iterable[str], *, locked: bool = True) -> dict[str, Sequence[Days]]:
    """The current spells of an index by instrument key, archived ones too.

    ``locked``: nobody adds or archives one until the transaction ends.
    """
    if locked:
        _lock()
    found: dict[str, list[Days]] = {}
    for chunk in chunks(keys):
        current = IndexMembershipSpell.objects.using(REGISTRY).filter(index_id=index, superseded_at=None)
        rows = current.filter(instrument_key__in=chunk).values_list("instrument_key", "spell")
        for key, spell in rows:
            found.setdefault(key, []).append(Days(spell.lower, spell.upper))
    return dict(found)


def _lock() -> None:
    connection = connections[REGISTRY]
    table = connection.ops.quote_name(IndexMembershipHistory._meta.db_table)
    with connection.cursor() as cursor:
        # The database's own trigger could otherwise open a spell between this look and the write.
        cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")


def write_spells(index: str, spells: Iterable[Spell], source: str, steps: Steps) -> None:
    """Add spells of an index, recorded as coming from ``source``."""
    rows = [
        IndexMembershipHistory(
            instrument_key=spell.instrument_key,
            index_id=index,
            spell=Range(spell.days.opt_in, spell.days.opt_out),
            source=storable(source),
        )
        for spell in spells
    ]
    steps.begin(f"spells of {index}: writing")
    for at in range(0, len(rows), BATCH):
        IndexMembershipHistory.objects.using(REGISTRY).bulk_create(rows[at : at + BATCH])
        steps.at(at, len(rows))
