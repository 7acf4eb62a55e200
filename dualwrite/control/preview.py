"""What enabling a stream would do to its mirror, said before it is done."""

from dataclasses import dataclass

from dualwrite import switch
from dualwrite.runs import Watch
from dualwrite.stream import Stream
from dualwrite.validation.engine import compare
from dualwrite.validation.level import Level
from dualwrite.validation.scope import Scope
from dualwrite.validation.verdict import Kind


@dataclass(frozen=True)
class Preview:
    """Rows on both sides, and rows of the mirror that would be added, overwritten or deleted; many are estimated."""

    authority_rows: int
    mirror_rows: int
    add: int
    overwrite: int
    delete: int
    is_estimate: bool = False

    def sentence(self) -> str:
        """In one sentence."""
        about = "about " if self.is_estimate else ""
        return (
            f"the authority has {self.authority_rows} rows, the mirror {self.mirror_rows}; "
            f"the mirror gets {about}{self.add}, {self.overwrite} of its rows are overwritten, {self.delete} deleted"
        )


def preview(stream: Stream) -> Preview:
    """Compare both stores as they are now; raises StoreUnreachable or AuthorityUnknown."""
    authority = switch.authority(stream).store
    found = compare(stream, authority, Level.STRICT, Scope.whole(), Watch())
    rows, mirror_rows = found.rows[authority], found.rows[authority.peer]
    if not mirror_rows:
        return Preview(rows, 0, rows, 0, 0)
    tally = found.tally
    return Preview(
        rows, mirror_rows, tally[Kind.MISSING], tally[Kind.MISMATCH], tally[Kind.EXTRA], bool(found.cut_short)
    )
