"""How closely a validation looks: which fields it compares, and whether it tolerates small differences."""

from enum import StrEnum

from dualwrite.stream import Field, Stream


class Level(StrEnum):
    """From counts and keys alone to every value exactly."""

    BASIC = "basic"  #: how many records, and under which keys
    DETAILED = "detailed"  #: every field; numbers and points in time may be a little apart
    STRICT = "strict"  #: every field exactly, by value: 1.50 equals 1.5

    @property
    def tolerates(self) -> bool:
        """Whether values that are not the same may be equal all the same."""
        return self is Level.DETAILED

    def fields(self, stream: Stream) -> tuple[Field, ...]:
        """The fields that are compared."""
        return () if self is Level.BASIC else stream.fields
