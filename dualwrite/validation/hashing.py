"""SQL of the hashes: of a key, and of a row with all that is compared. Pure.

`Method.NATIVE` chains the server's own 64-bit text hash: the hash of the key is the seed of the first field's, that one
of the second's, and so on. A value is therefore bound to its key and its field, and nothing is joined that could be cut
elsewhere. Its chain is made of text by value, since the native hashes of numbers ignore the sign and those of 64-bit
integers and timestamps fold to 32 bits. `Method.MD5` is for servers whose own hashes are not the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stream import Field, Stream
from dualwrite.validation import values


class Method(StrEnum):
    """How rows are hashed."""

    NATIVE = "native"
    MD5 = "md5"


@dataclass(frozen=True)
class Hashing:
    """The hashes of one run. `nothing` stands for NULL: a word made anew for each run, so that no value can be it."""

    method: Method
    nothing: str

    def key(self, stream: Stream, store: Store) -> sql.Composable:
        """The 64-bit hash of the key of a row `t`; from run to run the same."""
        text = projection.key(stream, store)
        if self.method is Method.MD5:
            return _expression("md5_key", key=text)
        chain: sql.Composable = sql.Literal(0)
        for part in stream.key:
            value = projection.typed(part, stream.side(store))
            chain = _expression("native_key_part", value=value, seed=chain)
        return _expression("native_key", chain=chain, key=text)

    def row(self, seed: sql.Composable, fields: Sequence[Field], raw: Sequence[sql.Composable]) -> sql.Composable:
        """The 64-bit hash of a row: of its key's hash and the values of these fields, read by these expressions."""
        if not fields:
            return seed
        if self.method is Method.MD5:
            by_value = [values.text(field, value) for field, value in zip(fields, raw, strict=True)]
            listed = sql.SQL(", ").join(by_value)
            return _expression("md5_row", nothing=self._nothing, seed=seed, values=listed)
        for field, value in zip(fields, raw, strict=True):
            seed = self._link(field, value, seed)
        return seed

    def _link(self, field: Field, value: sql.Composable, seed: sql.Composable) -> sql.Composable:
        if field.type == "date":
            return _expression("native_date", value=value, seed=seed)
        text = values.text(field, value)
        return _expression("native_text", value=text, nothing=self._nothing, seed=seed)

    @property
    def _nothing(self) -> sql.Literal:
        return sql.Literal(self.nothing)


def _expression(name: str, **fragments: sql.Composable) -> sql.Composed:
    """A named expression; without its comments, as it stands in a statement several times."""
    lines = [line for line in statement("validation", name).splitlines() if not line.startswith("--")]
    return sql.SQL("\n".join(lines)).format(**fragments)
