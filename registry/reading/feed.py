"""The feed of changes: instruments and memberships, so that nobody need read whole indices again and again.

`number_changes_v1.sql` says why no change is missed and each record's are in order. A cursor is `FEED.PLACE`.

How it can fail, and the answer: the cursor is of another feed (another database, or one that was made anew), or lies
ahead of it (the database went back in time) → CursorUnknown; what lies behind it was removed after its period →
CursorTooOld; then the consumer reads everything once more and goes on with the cursor `latest`. The registry does not
follow (stage off) → there are no changes, and the answer names each stream's stage.
"""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from registry.exceptions import RegistryError
from registry.reading.ask import ask

LATEST = "latest"
#: So many changes get their places by one caller; more are left to the next one.
NUMBERED_AT_ONCE = 20_000
KINDS = ("instrument", "membership")


class CursorInvalid(RegistryError):
    """That is no cursor; valid: what an answer gave as `next`, or `latest`."""

    exit_code = 2


class CursorUnknown(RegistryError):
    """That cursor is not of this feed; read everything once more and go on with `after=latest`."""


class CursorTooOld(RegistryError):
    """Changes behind that cursor are no longer kept; read everything once more and go on with `after=latest`."""


@dataclass(frozen=True, slots=True)
class FeedChange:
    """One change; `index_id` is None for an instrument, `before` and `after` where there was, or is, no record."""

    at: dt.datetime
    instrument_key: str
    index_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class Page:
    """Changes in order, the cursor behind them, and whether there are more already."""

    changes: list[FeedChange]
    next: str
    more: bool


def changes(after: str | None, *, limit: int, kind: str | None = None, index_id: str | None = None) -> Page:
    """The changes behind a cursor; without one from the oldest kept; behind `latest` there are none yet.

    Raises CursorInvalid, CursorUnknown, CursorTooOld, StoreUnreachable, StoreFailed.
    """
    ask("number_changes", {"most": NUMBERED_AT_ONCE})
    [(feed, head, oldest)] = ask("head", {})
    place = head if after == LATEST else _place(after, feed, head, oldest)
    values = {"after": place, "head": head, "kind": kind, "index_id": index_id, "limit": limit + 1}
    rows = ask("changes", values)
    more = len(rows) > limit
    reached = rows[limit - 1][0] if more else head
    return Page([_change(*row[1:]) for row in rows[:limit]], f"{feed}.{reached}", more)


def _change(at: dt.datetime, key: str, index_id: str | None, before: str | None, after: str | None) -> FeedChange:
    return FeedChange(at, key, index_id, *(None if text is None else json.loads(text) for text in (before, after)))


def number() -> int:
    """Give places to all that was committed, so that changes nobody reads can be removed one day; the last place."""
    before = -1
    while True:
        [(head,)] = ask("number_changes", {"most": NUMBERED_AT_ONCE})
        if head == before:
            return int(head)
        before = head


def _place(after: str | None, feed: str, head: int, oldest: int | None) -> int:
    """The place of a cursor. Pure."""
    if after is None:
        return (oldest or head + 1) - 1
    name, dot, number = after.partition(".")
    if not dot or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise CursorInvalid(repr(after))
    place = int(number)
    if name != feed or place > head:
        raise CursorUnknown(after)
    if place < head and (oldest is None or oldest > place + 1):
        raise CursorTooOld(after)
    return place
