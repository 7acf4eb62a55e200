"""What enabling a stream would do to its mirror, said before it is done."""

from dataclasses import dataclass

from dualwrite import switch
from dualwrite.stream import Stream
from dualwrite.validation import compare
from dualwrite.validation.recheck import Kind, recheck


@dataclass(frozen=True)
class Preview:
    """Rows on both sides, and rows of the mirror that would be added, overwritten or deleted."""

    authority_rows: int
    mirror_rows: int
    add: int
    overwrite: int
    delete: int

    def sentence(self) -> str:
        """In one sentence."""
        return (
            f"the authority has {self.authority_rows} rows, the mirror {self.mirror_rows}; "
            f"the mirror gets {self.add}, {self.overwrite} of its rows are overwritten, {self.delete} deleted"
        )


def preview(stream: Stream) -> Preview:
    """Compare both stores as they are now; raises StoreUnreachable or AuthorityUnknown."""
    authority = switch.authority(stream).store
    found = compare.digests(stream)
    rows, mirror_rows = found[authority].rows, found[authority.peer].rows
    if not mirror_rows:
        return Preview(rows, 0, rows, 0, 0)
    if not rows:
        return Preview(0, mirror_rows, 0, 0, mirror_rows)
    buckets = compare.differing(*found.values())
    counts = dict.fromkeys(Kind, 0)
    for verdict in recheck(stream, authority, list(compare.candidates(stream, buckets))):
        counts[verdict.kind] += 1
    return Preview(rows, mirror_rows, counts[Kind.MISSING], counts[Kind.MISMATCH], counts[Kind.EXTRA])
