"""What a stream is: two tables, one canonical record, and how each table reads and writes it.

A stream is declared once, in the `streams.py` of the application that owns the tables, and registered by `declare`.
Expressions are SQL of PostgreSQL over one row: `t` is a row of the store's table, `r` a canonical record. They come
from code only, never from a user.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils.module_loading import autodiscover_modules

from dualwrite.exceptions import InvalidStream, UnknownName
from dualwrite.stages import Store
from dualwrite.written import Written

#: The bit of a lane whose notes yield to the others: a backfill must not keep writes waiting.
BULK = 64
#: The partitions that a stream can have; how many it has stands in each store (`switch.State`).
PARTITIONS = range(64)
#: Columns that the engine's temporary tables have beside those of a stream (sql/relay.sql, sql/gates.sql).
RESERVED_FOR_KEYS = ("id", "lane", "key", "ordinal", "present")
RESERVED = ("key", "ordinal", "present")
#: Types whose values have a distance.
FRACTIONAL = ("numeric", "decimal", "real", "double precision", "float4", "float8", "float")
INTEGRAL = ("smallint", "integer", "int", "bigint", "int2", "int4", "int8")


@dataclass(frozen=True)
class Field:
    """A field of the canonical record and the PostgreSQL type in which it travels, e.g. numeric(12,6).

    tolerance: how far values may be apart and count as equal in a validation that tolerates anything, in percent of a
        number or in seconds of a point in time, instead of what holds in general; 0: nothing.

    Raises InvalidStream for a tolerance of a type that has no distance.
    """

    name: str
    type: str = "text"
    tolerance: Decimal | None = None

    def __post_init__(self) -> None:
        if self.tolerance is None:
            return
        if not self.has_distance:
            raise InvalidStream(f"field {self.name}: {self.type} has no tolerance; numbers and points in time have")
        if not (self.tolerance.is_finite() and self.tolerance >= 0):
            raise InvalidStream(f"field {self.name}: tolerance {self.tolerance}; valid: 0 or more")

    @property
    def has_distance(self) -> bool:
        """Whether its values can be more or less far apart."""
        return self.is_moment or self.is_fractional or self._plain_type in INTEGRAL

    @property
    def is_fractional(self) -> bool:
        """Whether its values are numbers with decimals."""
        return self._plain_type in FRACTIONAL

    @property
    def is_moment(self) -> bool:
        """Whether its values are points in time."""
        return self._plain_type == "date" or self._plain_type.startswith("timestamp")

    @property
    def _plain_type(self) -> str:
        return self.type.partition("(")[0].strip().lower()


@dataclass(frozen=True)
class Side:
    """How one store holds the records of a stream.

    reads: canonical field → expression over `t`; covers the key and every field.
    writes: column → expression over `r`; the columns of `match` use key fields only.
    match: columns that identify a row of a key, compared for equality with their `writes` expression, so that the
        store's own index serves.
    where: which rows count as records; a row outside it is, for the stream, absent.
    model: Django's "app_label.ModelName" of the table, for the router.
    """

    schema: str
    table: str
    reads: Mapping[str, str]
    writes: Mapping[str, str]
    match: tuple[str, ...]
    model: str
    where: str = "true"


@dataclass(frozen=True)
class Rule:
    """Something that must be true of the registry's records by themselves, whatever the other store has.

    query: SQL over the registry that returns, for each exception, what it is about and what is wrong, both as text;
        without parameters' values it is still a format: a percent sign is written twice.
    values: its parameters, each read when the rule is looked at.
    """

    name: str
    meaning: str
    query: str
    values: Mapping[str, Callable[[], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """A table pair moved together. `key` and `fields` are the canonical record, `sides` its two forms.

    Raises InvalidStream when something is missing, or a field is named as a column of the relay's own tables is.
    """

    name: str
    key: tuple[Field, ...]
    fields: tuple[Field, ...]
    sides: Mapping[Store, Side]
    title: str = field(default="")
    rules: tuple[Rule, ...] = ()
    #: SQL over the registry that returns what a record was before, newest first, for parameters named as the key's
    #: fields; every column is shown under its name.
    history: str = ""

    def __post_init__(self) -> None:
        self._check_names("key", self.key, RESERVED_FOR_KEYS)
        self._check_names("fields", self.fields, RESERVED)
        for store in Store:
            self._check(store)

    def _check_names(self, part: str, fields: Sequence[Field], reserved: Sequence[str]) -> None:
        taken = [f.name for f in fields if f.name in reserved]
        if taken:
            raise InvalidStream(
                f"{self.name}: `{part}` calls a field {', '.join(taken)}; the relay's own tables have columns of these "
                f"names: {', '.join(reserved)}; give the field another name, its column keeps its own"
            )

    def _check(self, store: Store) -> None:
        side = self.sides.get(store)
        if side is None:
            raise InvalidStream(f"{self.name} has no side for the {store} store")
        missing = [f.name for f in (*self.key, *self.fields) if f.name not in side.reads]
        if missing:
            raise InvalidStream(f"{self.name}, {store}: `reads` lacks {', '.join(missing)}")
        unwritten = [column for column in side.match if column not in side.writes]
        if unwritten or not side.match:
            raise InvalidStream(f"{self.name}, {store}: `match` needs columns of `writes`, not {unwritten}")

    @property
    def lanes(self) -> int:
        """The number of the stream's first lane in the outbox; the others are this | partition (0 to 63), and | BULK.

        A number made of the name keeps each note and its index entry small: the name would be written with every one.
        """
        return zlib.crc32(self.name.encode()) & 0x7FFFFF80

    def lane(self, partition: int, urgency: int = 0) -> int:
        """The lane of one partition; `urgency`: 0, or BULK for what yields to writes."""
        return self.lanes | partition | urgency

    def side(self, store: Store) -> Side:
        """The stream's form in that store."""
        return self.sides[store]

    def write(self, records: "Sequence[Mapping[str, object]]") -> "list[Written]":
        """Write canonical records to the store that takes the writes, and mirror them; see `dualwrite.writing`."""
        return _writers[0](self, records)


def key_text(parts: Sequence[object]) -> str:
    """A key as the engine writes it: a JSON array of its parts without blanks."""
    return json.dumps(list(parts), ensure_ascii=False, separators=(",", ":"))


def split_keyless(keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """The keys whose parts are all there, and those with a NULL part, which no column can be compared with."""
    whole: list[str] = []
    keyless: list[str] = []
    for key in keys:
        (keyless if None in json.loads(key) else whole).append(key)
    return whole, keyless


_streams: dict[str, Stream] = {}
#: What `Stream.write` does: it stands layers above, so the application enters it when it is ready.
_writers: list[Callable[[Stream, Sequence[Mapping[str, object]]], list[Written]]] = []


def write_by(writer: Callable[[Stream, Sequence[Mapping[str, object]]], list[Written]]) -> None:
    """Let `Stream.write` be done by this function."""
    _writers[:] = [writer]


def declare(stream: Stream) -> Stream:
    """Register a stream; raises InvalidStream when another one has its name."""
    if _streams.get(stream.name, stream) != stream:
        raise InvalidStream(f"two streams are called {stream.name}")
    shared = [other.name for other in _streams.values() if other != stream and other.lanes == stream.lanes]
    if shared:
        raise InvalidStream(f"{stream.name} and {shared[0]} would share their lanes of the outbox; rename one")
    _streams[stream.name] = stream
    return stream


def discover() -> None:
    """Import the `streams` module of every installed application."""
    autodiscover_modules("streams")


def all_streams() -> tuple[Stream, ...]:
    """Every declared stream, by name."""
    return tuple(_streams[name] for name in sorted(_streams))


def stream_named(name: str) -> Stream:
    """The stream of that name; raises UnknownName listing the valid ones."""
    try:
        return _streams[name]
    except KeyError as exc:
        raise UnknownName("stream", name, _streams) from exc
