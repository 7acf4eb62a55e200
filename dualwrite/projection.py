"""SQL of the canonical record: composed from a stream's declaration, the same for relay, validation and capture.

Pure: declarations in, psycopg fragments out. Expressions are code, so they are put into the text; names are quoted.
"""

from psycopg import sql

from dualwrite.stages import Store
from dualwrite.stream import Field, Side, Stream


def table(side: Side) -> sql.Composable:
    """The quoted, schema-qualified table."""
    return sql.Identifier(side.schema, side.table)


def table_name(side: Side) -> sql.Literal:
    """The same as a text literal, for to_regclass."""
    return sql.Literal(f'"{side.schema}"."{side.table}"')


def expression(text: str) -> sql.SQL:
    """An expression of a declaration as a fragment."""
    return sql.SQL(text)


def typed(field: Field, side: Side) -> sql.Composable:
    """The field read from a row `t`, in the type in which it travels."""
    return sql.SQL("({})::{}").format(expression(side.reads[field.name]), expression(field.type))


def differs(field: Field, side: Side) -> sql.Composable:
    """The condition that the field of a row `t` reads otherwise than that of a record `r`."""
    # By its bytes: a collation may take for the same what a reader sees to be different.
    by_bytes = sql.SQL(' COLLATE "C"' if field.type == "text" else "")
    return sql.SQL("{}{} IS DISTINCT FROM r.{}").format(typed(field, side), by_bytes, sql.Identifier(field.name))


def key(stream: Stream, store: Store) -> sql.Composable:
    """The key of a row `t` as the text of a JSON array without blanks; a part that is NULL reads null."""
    side = stream.side(store)
    parts = [sql.SQL("coalesce(to_json({})::text, 'null')").format(typed(part, side)) for part in stream.key]
    return sql.SQL("('[' || {} || ']')").format(sql.SQL(" || ',' || ").join(parts))


def key_columns(side: Side) -> sql.Composable:
    """The columns a key is made of."""
    return names(side.match)


def names(columns: tuple[str, ...] | list[str], prefix: str = "") -> sql.Composable:
    """Quoted column names, comma separated, optionally each behind `prefix.`."""
    head = sql.SQL(f"{prefix}.") if prefix else sql.SQL("")
    return sql.SQL(", ").join([sql.Composed([head, sql.Identifier(column)]) for column in columns])


def key_parts(stream: Stream, key_text: str) -> sql.Composable:
    """The parts of a key text, each in its type and under its name: `(key::json->>0)::text AS "instrument_key"`."""
    return sql.SQL(", ").join(
        [
            sql.SQL("({}::json->>{})::{} AS {}").format(
                expression(key_text), sql.Literal(position), expression(part.type), sql.Identifier(part.name)
            )
            for position, part in enumerate(stream.key)
        ]
    )


def definitions(fields: tuple[Field, ...]) -> sql.Composable:
    """Column definitions for a temporary table of canonical values."""
    return sql.SQL(", ").join([sql.SQL("{} {}").format(sql.Identifier(f.name), expression(f.type)) for f in fields])


def record(stream: Stream, store: Store) -> sql.Composable:
    """Every field of a row `t`, typed and named."""
    side = stream.side(store)
    return sql.SQL(", ").join(
        [sql.SQL("{} AS {}").format(typed(f, side), sql.Identifier(f.name)) for f in stream.fields]
    )


def match(stream: Stream, store: Store) -> sql.Composable:
    """The condition that row `t` has the key of record `r`, in the store's own columns."""
    side = stream.side(store)
    return sql.SQL(" AND ").join(
        [sql.SQL("t.{} = {}").format(sql.Identifier(c), expression(side.writes[c])) for c in side.match]
    )


def is_record(side: Side) -> sql.Composable:
    """The condition that row `t` counts as a record."""
    return sql.SQL("({})").format(expression(side.where))


def no_null_key(stream: Stream, prefix: str) -> sql.Composable:
    """The condition that no part of the key is NULL."""
    columns = [sql.SQL(f"{prefix}.{{}} IS NOT NULL").format(sql.Identifier(p.name)) for p in stream.key]
    return sql.SQL(" AND ").join(columns)
