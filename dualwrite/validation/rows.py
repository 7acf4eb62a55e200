"""The statements of a comparison, for one store of a stream. Pure: declarations in, psycopg compositions out."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stream import Field, Stream
from dualwrite.validation import values
from dualwrite.validation.hashing import Hashing
from dualwrite.validation.scope import Scope

ALL = sql.SQL("true")


@dataclass(frozen=True)
class Rows:
    """The rows of one store of a stream, as one comparison looks at them: these fields, hashed like that."""

    stream: Stream
    store: Store
    fields: tuple[Field, ...]
    hashing: Hashing
    #: Names of the numbers whose column keeps the very digits that travel: they are their own text, not to be rounded.
    exact: frozenset[str] = frozenset()

    def digest(self, buckets: int, within: sql.Composable) -> sql.Composed:
        """Bucket, rows, sum of row hashes; of one bucket without any grouping."""
        side, fields = self.stream.side(self.store), self._hashed_fields
        columns = [sql.Identifier(f"v{number}") for number in range(len(fields))]
        listed = [
            sql.SQL(", {} AS {}").format(values.raw(field, side), column)
            for field, column in zip(fields, columns, strict=True)
        ]
        z = [sql.SQL("z.{}").format(column) for column in columns]
        grouped = {"mask": sql.Literal(buckets - 1)} if buckets > 1 else {}
        return compose(
            "validation",
            "digest" if grouped else "digest_of_all",
            **grouped,
            row_hash=self.hashing.row(sql.SQL("z.kh"), fields, z),
            key_hash=self.key_hash,
            values=sql.Composed(listed),
            within=within,
            **_table(self.stream, self.store),
        )

    def read_as_they_are(self) -> sql.Composed:
        """The fields without a cast and without a row, so that the server describes them."""
        side = self.stream.side(self.store)
        listed = sql.SQL(", ").join([projection.expression(side.reads[field.name]) for field in self.fields])
        return compose("validation", "read_as_they_are", values=listed, table=projection.table(side))

    def hashed(self, within: sql.Composable, *, with_values: bool) -> sql.Composed:
        """Key hash, row hash, key and, when asked for, values of every row, in order."""
        key = projection.key(self.stream, self.store)
        return compose("validation", "hashed_rows", key=key, within=within, **self._hashes(with_values))

    def hashed_of_keys(
        self, keys: Sequence[str], within: sql.Composable, *, by_key_text: bool, with_values: bool
    ) -> sql.Composed:
        """The same of named keys, in no order."""
        asked = {"keys": sql.Literal(f"[{','.join(keys)}]"), "within": within, **self._hashes(with_values)}
        if by_key_text:
            key = projection.key(self.stream, self.store)
            return compose("validation", "hashed_rows_by_key_text", key=key, **asked)
        parts, match = projection.key_parts(self.stream, "k"), projection.match(self.stream, self.store)
        return compose("validation", "hashed_rows_of_keys", key_parts=parts, match=match, **asked)

    def of_scope(self, scope: Scope) -> sql.Composable:
        """The condition that a row is in the slice of the scope."""
        if scope.is_whole:
            return ALL
        low, high = scope.bounds
        bounds = [
            compose("validation", "at_least", key_hash=self.key_hash, low=sql.Literal(low)),
            compose("validation", "at_most", key_hash=self.key_hash, high=sql.Literal(high)),
        ]
        # The bound that most rows are beyond comes first: for the others the hash is made a second time.
        return sql.SQL(" AND ").join(bounds if low + high >= 0 else bounds[::-1])

    def outside(self, scope: Scope) -> sql.Composable:
        """The condition that a row is not in the slice of the scope."""
        return sql.SQL("NOT ({})").format(self.of_scope(scope)) if scope.part else ALL

    def in_buckets(self, buckets: int, some: Sequence[int]) -> sql.Composable:
        """The condition that a row is in one of some buckets."""
        mask, listed = sql.Literal(buckets - 1), sql.Literal(list(some))
        return compose("validation", "in_buckets", key_hash=self.key_hash, mask=mask, buckets=listed)

    @property
    def _hashed_fields(self) -> list[Field]:
        return [Field(field.name) if field.name in self.exact else field for field in self.fields]

    @property
    def key_hash(self) -> sql.Composable:
        """The hash of the key of a row `t`."""
        return self.hashing.key(self.stream, self.store)

    def _hashes(self, with_values: bool) -> dict[str, sql.Composable]:
        side, fields = self.stream.side(self.store), self._hashed_fields
        raw = [values.raw(field, side) for field in fields]
        compared = sql.SQL("to_json({})::text").format(values.compared(self.fields, self.stream, self.store))
        return {
            "key_hash": self.key_hash,
            "row_hash": self.hashing.row(self.key_hash, fields, raw),
            "values": compared if with_values else sql.SQL("''"),
            **_table(self.stream, self.store),
        }


def in_order(rows: sql.Composable) -> sql.Composed:
    """Hashed rows in the order in which those of both stores are merged."""
    return compose("validation", "in_order", rows=rows)


def digest_of_rows(rows: sql.Composable) -> sql.Composed:
    """Of hashed rows: how many, and the sum of their hashes."""
    return compose("validation", "digest_of_rows", rows=rows)


def records(stream: Stream, store: Store, fields: Sequence[Field], *, by_key_text: bool) -> sql.Composed:
    """Key, values of these fields, version, and all fields to be shown, of given keys (parameter `keys`)."""
    shown = {
        "values": values.compared(fields, stream, store),
        "record": values.named(stream, store),
        **_table(stream, store),
    }
    if by_key_text:
        return compose("validation", "records_by_key_text", key=projection.key(stream, store), **shown)
    parts, match = projection.key_parts(stream, "k"), projection.match(stream, store)
    return compose("validation", "records", key_parts=parts, match=match, **shown)


def _table(stream: Stream, store: Store) -> dict[str, sql.Composable]:
    side = stream.side(store)
    return {"table": projection.table(side), "is_record": projection.is_record(side)}


def blocks(low: int, high: int | None) -> sql.Composable:
    """The condition that a row is in these blocks of its table; `high`: the first that is not, None for all."""
    if high is None:
        return compose("validation", "blocks_on", low=sql.Literal(f"({low},0)")) if low else ALL
    return compose("validation", "blocks", low=sql.Literal(f"({low},0)"), high=sql.Literal(f"({high},0)"))
