"""Makes a store say what was decided about members; nothing is deleted, no blank overwrites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from django.db.models import Model

from registry.importing.database import BATCH, SCREENER, chunks
from registry.importing.difference import Difference
from registry.importing.members import Member, Values, merged
from registry.importing.progress import Steps
from registry.models import IndexMembership, Instrument
from registry.screener.models import ScreenerIndexMembership, ScreenerInstrument

Identity = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: the columns that tell its rows apart (the first finds them) and those of its values."""

    model: type[Model]
    identity: tuple[str, ...]
    values: tuple[str, ...]

    def write(
        self, alias: str, wanted: Mapping[Identity, Values], steps: Steps, *, dry_run: bool = False
    ) -> dict[Identity, Difference]:
        """Give each wanted identity its values, or only look; return what differed, by identity."""
        name = str(self.model._meta.verbose_name_plural)
        steps.begin(f"{name}: comparing with {len(wanted)} of the file")
        stored = self._stored(alias, wanted, steps)
        new = [self._new(identity, values) for identity, values in wanted.items() if identity not in stored]
        before = {i: self._set(stored[i], wanted[i]) for i in wanted if i in stored}
        changed = [identity for identity, values in before.items() if values]
        found = {
            **{i: Difference(name, i, None, dict(values)) for i, values in wanted.items() if i not in stored},
            **{i: Difference(name, i, before[i], {f: wanted[i][f] for f in before[i]}) for i in changed},
        }
        if dry_run:
            return found
        manager = self.model._default_manager.using(alias)
        steps.begin(f"{name}: writing")
        for at in range(0, len(new), BATCH):
            manager.bulk_create(new[at : at + BATCH])
            steps.at(at, len(new) + len(changed))
        for at in range(0, len(changed), BATCH // 4):
            manager.bulk_update([stored[identity] for identity in changed[at : at + BATCH // 4]], self.values)
            steps.at(len(new) + at, len(new) + len(changed))
        return found

    def _stored(self, alias: str, wanted: Mapping[Identity, Values], steps: Steps) -> dict[Identity, Model]:
        found: dict[Identity, Model] = {}
        for chunk in chunks(identity[0] for identity in wanted):
            rows = self.model._default_manager.using(alias).filter(**{f"{self.identity[0]}__in": chunk})
            # Of the old tables' duplicates the oldest row stands for all.
            for row in rows.order_by("pk"):
                found.setdefault(self._identity(row), row)
            steps.at(len(found), len(wanted))
        return found

    def _identity(self, row: Model) -> Identity:
        return tuple(attrgetter(*self.identity)(row))

    def _new(self, identity: Identity, values: Values) -> Model:
        known = {field: values[field] for field in self.values if field in values}
        return self.model(**dict(zip(self.identity, identity, strict=True)), **known)

    def _set(self, row: Model, values: Values) -> dict[str, str | None]:
        """Give the row its values; those that differed, as they were."""
        before = {f: getattr(row, f) for f in self.values if f in values and getattr(row, f) != values[f]}
        for field in before:
            setattr(row, field, values[field])
        return before


_DESCRIPTION = ("name", "isin", "currency", "country")
_OLD_INSTRUMENTS = Table(ScreenerInstrument, ("symbol", "exchange"), _DESCRIPTION)
_OLD_MEMBERSHIPS = Table(ScreenerIndexMembership, ("symbol", "exchange", "index_name"), ("sector",))
_INSTRUMENTS = Table(Instrument, ("instrument_key", "symbol", "exchange"), (*_DESCRIPTION, "figi"))
_MEMBERSHIPS = Table(IndexMembership, ("instrument_key", "index_id"), ("sector",))


def write_members(
    alias: str, members: Sequence[Member], steps: Steps, *, dry_run: bool = False
) -> tuple[set[int], list[Difference]]:
    """Write the members into a store, or only look; the lines of those that change something there, and what."""
    old = alias == SCREENER
    instruments, memberships = (_OLD_INSTRUMENTS, _OLD_MEMBERSHIPS) if old else (_INSTRUMENTS, _MEMBERSHIPS)
    of_instrument, of_membership = (_old_instrument, _old_membership) if old else (_instrument, _membership)
    described = merged((of_instrument(member), member.instrument) for member in members)
    joined = {of_membership(member): member.membership for member in members}
    first = instruments.write(alias, described, steps, dry_run=dry_run)
    second = memberships.write(alias, joined, steps, dry_run=dry_run)
    lines = {m.row.line for m in members if of_instrument(m) in first or of_membership(m) in second}
    return lines, [*first.values(), *second.values()]


def _old_instrument(member: Member) -> Identity:
    return member.symbol, member.exchange


def _old_membership(member: Member) -> Identity:
    return member.symbol, member.exchange, member.index_id


def _instrument(member: Member) -> Identity:
    return member.instrument_key, member.symbol, member.exchange


def _membership(member: Member) -> Identity:
    return member.instrument_key, member.index_id
