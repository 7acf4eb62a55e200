"""Up to which number no note can be any more, so that nobody looks there.

Deleted notes stay in the table, and in its index, for as long as somebody holds an old snapshot: a dump, a long report.
Every batch would read its way past all of them. So the relay remembers a number below which it need not look.

That a number was given out does not mean that its note can be seen: it is seen when its transaction commits. So:

1. the last number given out is read: L;
2. later, in a snapshot, the next transaction to begin: X. Whoever has drawn a number up to L is older than X, since a
   transaction has got its own number before it draws one for a note;
3. later still, in a snapshot in which no transaction before X is under way, the oldest note is O: every note up to L
   that there will ever be is seen here. So none is below O, or up to L where there is no O.

A writing transaction that stays open for an hour holds the number where it is; a snapshot that only reads does not.
"""

from dataclasses import dataclass, field


@dataclass
class Horizon:
    """`above`: notes have numbers above this one, in the lanes that were looked at."""

    above: int = 0
    _mark: tuple[int, int] | None = field(default=None)

    def look(self, last: int, oldest: int | None, unfinished: int, following: int) -> None:
        """Take in what was seen: `last` number given out, and in a later snapshot the `oldest` note, the oldest
        transaction that is `unfinished`, and the one `following` all of them."""
        if self._mark is not None:
            marked, before = self._mark
            if unfinished < before:
                return
            self.above = max(self.above, marked if oldest is None else min(marked, oldest - 1))
        self._mark = (last, following)
