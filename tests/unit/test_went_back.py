"""What a store remembers of the other one fits every state that a switch can leave behind, and none from before it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import pytest

from dualwrite.exceptions import AuthorityUnknown
from dualwrite.stages import Role, Store
from dualwrite.switch.anew import rightful
from dualwrite.switch.memory import Memory, Reading, behind, contradiction, moved, stranger
from dualwrite.switch.state import State

A, M = Store.SCREENER, Store.REGISTRY
MOST_SWITCHES = 4
PLACE = {"system": "7", "timeline": "1", "database": "5", "outbox": "16400"}


def reading(
    store: Store,
    role: Role = Role.AUTHORITY,
    epoch: int = 0,
    *,
    noted: int = 0,
    applied: int = 0,
    place: dict[str, str] | None = None,
    peer: Memory | None = None,
) -> Reading:
    state = State(store, role, epoch, capture=True, generation=1, backfilled=True)
    return Reading(
        store=store,
        name=f"{store} (here)",
        identity=store.value,
        place=PLACE if place is None else place,
        noted=noted,
        states={"s": state},
        applied={"s/0": applied} if applied else {},
        peer=peer or remembers(),
    )


def remembers(
    *,
    identity: str | None = None,
    epoch: int = 0,
    noted: int = 0,
    applied: int = 0,
    place: dict[str, str] | None = None,
) -> Memory:
    return Memory(identity, place, noted, {"s": epoch}, {"s/0": applied} if applied else {})


@dataclass(frozen=True)
class Side:
    """A store's row, as far as switches change it."""

    role: Role
    epoch: int = 0
    known: int = 0

    def to(self, role: Role, epoch: int, known: int = 0) -> "Side":
        return Side(role, epoch, max(self.known, known))


#: Both rows, by store, and every row either store ever had: what somebody may still believe.
World = tuple[tuple[Side, Side], frozenset[tuple[Store, Role, int]]]
STORES = (A, M)


def began() -> World:
    return world((Side(Role.AUTHORITY), Side(Role.MIRROR)), frozenset())


def world(rows: tuple[Side, Side], seen: frozenset[tuple[Store, Role, int]]) -> World:
    return rows, seen | {(store, row.role, row.epoch) for store, row in zip(STORES, rows, strict=True)}


def following(now: World) -> Iterator[World]:
    """The world after any step of `dualwrite/sql/state.sql`, taken by somebody who may know only what once was so."""
    rows, seen = now
    for index, store in enumerate(STORES):
        for row in _steps(rows[index], store.peer, seen):
            if row.epoch <= MOST_SWITCHES:
                yield world((row, rows[1]) if index == 0 else (rows[0], row), seen)


def _steps(mine: Side, peer: Store, seen: frozenset[tuple[Store, Role, int]]) -> Iterator[Side]:
    if mine.role is Role.AUTHORITY:
        yield mine.to(Role.FENCED, mine.epoch + 1)
    for store, role, epoch in seen:
        if store is not peer:
            continue
        if role is Role.FENCED and mine.role is Role.MIRROR and mine.epoch < epoch:
            yield mine.to(Role.AUTHORITY, epoch, epoch)  # promote
            yield mine.to(Role.MIRROR, epoch, epoch)  # burn
        if role is Role.AUTHORITY and mine.role is Role.MIRROR:
            yield mine.to(Role.MIRROR, max(mine.epoch, epoch), epoch)  # follow
        if role in (Role.AUTHORITY, Role.FENCED) and mine.role is Role.FENCED and epoch >= mine.epoch:
            yield mine.to(Role.MIRROR, mine.epoch, epoch)  # demote
        if role is Role.MIRROR and mine.role is Role.FENCED and epoch == mine.epoch:
            yield mine.to(Role.AUTHORITY, mine.epoch, epoch)  # revert


def reachable() -> set[World]:
    found, new = {began()}, {began()}
    while new:
        new = {after for before in new for after in following(before)} - found
        found |= new
    return found


def readings(rows: tuple[Side, Side]) -> tuple[Reading, Reading]:
    one, other = (
        reading(store, row.role, row.epoch, peer=remembers(epoch=row.known))
        for store, row in zip(STORES, rows, strict=True)
    )
    return one, other


def test_no_state_that_switches_leave_behind_is_taken_for_one_from_before() -> None:
    states = {rows for rows, _ in reachable()}
    assert len(states) == 40
    for rows in states:
        one, other = readings(rows)
        assert not behind(one, other), rows
        assert not behind(other, one), rows
        assert not contradiction(one, other), rows


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((Role.AUTHORITY, 1), (Role.AUTHORITY, 2)),
        ((Role.MIRROR, 1), (Role.MIRROR, 1)),
        ((Role.MIRROR, 1), (Role.DETACHED, 0)),
        ((Role.FENCED, 2), (Role.AUTHORITY, 1)),
        ((Role.FENCED, 2), (Role.FENCED, 2)),
        ((Role.FENCED, 1), (Role.MIRROR, 2)),
        ((Role.FENCED, 1), (Role.DETACHED, 0)),
    ],
)
def test_rows_that_no_switch_leaves_behind_are_told(old: tuple[Role, int], new: tuple[Role, int]) -> None:
    for one, other in ((reading(A, *old), reading(M, *new)), (reading(A, *new), reading(M, *old))):
        found = contradiction(one, other)
        assert found.startswith("stream s: screener is "), found
        assert f"is {old[0]} at epoch {old[1]}" in found


def history() -> list[tuple[Side, Side]]:
    """A switch there, one that is taken back, one back; every row in between."""
    fenced, mirror, authority = Role.FENCED, Role.MIRROR, Role.AUTHORITY
    return [
        (Side(authority), Side(mirror)),
        (Side(fenced, 1), Side(mirror)),
        (Side(fenced, 1), Side(authority, 1, 1)),
        (Side(mirror, 1, 1), Side(authority, 1, 1)),
        (Side(mirror, 1, 1), Side(fenced, 2, 1)),
        (Side(mirror, 2, 2), Side(fenced, 2, 1)),
        (Side(mirror, 2, 2), Side(authority, 2, 2)),
        (Side(mirror, 2, 2), Side(fenced, 3, 2)),
        (Side(authority, 3, 3), Side(fenced, 3, 2)),
        (Side(authority, 3, 3), Side(mirror, 3, 3)),
    ]


def test_the_history_is_made_of_steps() -> None:
    states = {rows for rows, _ in reachable()}
    assert set(history()) <= states


@pytest.mark.parametrize("restored", [0, 1])
def test_either_store_restored_to_before_a_switch_that_is_complete_is_noticed(restored: int) -> None:
    complete = [i for i, rows in enumerate(history()) if {row.role for row in rows} == {Role.AUTHORITY, Role.MIRROR}]
    missed = []
    for before, now in combinations(range(len(history())), 2):
        old, new = history()[before][restored], history()[now][restored]
        if old.epoch == new.epoch or now not in complete:
            continue
        rows = list(history()[now])
        rows[restored] = old
        one, other = readings((rows[0], rows[1]))
        if not (behind(one, other) or behind(other, one) or contradiction(one, other)):
            missed.append((before, now))
    assert missed == []


def test_what_is_behind_is_named_with_both_numbers() -> None:
    remembering = reading(M, Role.MIRROR, peer=remembers(epoch=3))
    assert behind(remembering, reading(A, epoch=2)) == (
        "stream s in screener (here) is at epoch 2, the registry store remembers epoch 3"
    )
    remembering = reading(M, Role.MIRROR, peer=remembers(noted=57))
    assert behind(remembering, reading(A, noted=40)) == (
        "screener (here) has given out note 40 as its newest, the registry store has applied its note 57"
    )
    remembering = reading(A, peer=remembers(applied=9))
    assert behind(remembering, reading(M, Role.MIRROR, applied=8)) == (
        "registry (here) has applied 8 keys of s/0, the screener store remembers 9"
    )


def test_a_store_that_lacks_the_stream_altogether_is_behind() -> None:
    bare = replace(reading(A), states={})
    assert "is at epoch 0" in behind(reading(M, peer=remembers(epoch=1)), bare)
    assert not behind(reading(M), bare)


@pytest.mark.parametrize("ahead", [0, 32])
def test_numbers_that_jumped_ahead_as_after_a_crash_are_no_alarm(ahead: int) -> None:
    remembering = reading(M, Role.MIRROR, peer=remembers(noted=57, applied=3, epoch=1))
    assert not behind(remembering, reading(A, epoch=1, noted=57 + ahead, applied=3))


@pytest.mark.parametrize("part", PLACE)
def test_each_part_of_the_place_tells_a_copy(part: str) -> None:
    remembering = reading(M, peer=remembers(place=PLACE))
    assert not moved(remembering, reading(A))
    found = moved(remembering, reading(A, place={**PLACE, part: "99"}))
    assert found.startswith("screener (here) is another copy of itself: ")
    assert found.endswith(f"99, the registry store remembers {PLACE[part]}")


def test_what_the_server_does_not_tell_is_done_without() -> None:
    told = {part: PLACE[part] for part in ("database", "outbox")}
    assert not moved(reading(M, peer=remembers(place=PLACE)), reading(A, place=told))
    assert not moved(reading(M, peer=remembers(place=told)), reading(A))
    assert moved(reading(M, peer=remembers(place=told)), reading(A, place={**told, "database": "99"}))


def test_another_identity_is_a_stranger_and_one_never_paired_is_none() -> None:
    one, other = reading(A, peer=remembers(identity="registry")), reading(M)
    assert not stranger(one, other)
    assert "paired with another registry database" in stranger(reading(A, peer=remembers(identity="x")), other)
    assert "paired with another screener database" in stranger(one, reading(M, peer=remembers(identity="x")))


def row(store: Store, role: Role, epoch: int) -> State:
    return State(store, role, epoch, capture=True, generation=1, backfilled=True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((Role.AUTHORITY, 1), (Role.MIRROR, 2), A),  # only one takes the writes, whatever the epochs
        ((Role.AUTHORITY, 1), (Role.AUTHORITY, 2), M),
        ((Role.AUTHORITY, 3), (Role.AUTHORITY, 2), A),
        ((Role.FENCED, 2), (Role.AUTHORITY, 2), M),
        ((Role.FENCED, 3), (Role.AUTHORITY, 2), A),
        ((Role.FENCED, 2), (Role.DETACHED, 0), A),
        ((Role.MIRROR, 2), (Role.MIRROR, 1), A),
        ((Role.MIRROR, 1), (Role.DETACHED, 2), A),
    ],
)
def test_the_store_whose_records_count(old: tuple[Role, int], new: tuple[Role, int], expected: Store) -> None:
    assert rightful(row(A, *old), row(M, *new)) is expected


def test_what_cannot_be_told_is_asked() -> None:
    for role in (Role.AUTHORITY, Role.MIRROR):
        with pytest.raises(AuthorityUnknown, match="name the store whose records count"):
            rightful(row(A, role, 2), row(M, role, 2))
    with pytest.raises(AuthorityUnknown):
        rightful(row(A, Role.AUTHORITY, 1), row(M, Role.AUTHORITY, 2), comparable=False)
    assert rightful(row(A, Role.AUTHORITY, 1), row(M, Role.MIRROR, 2), comparable=False) is A
