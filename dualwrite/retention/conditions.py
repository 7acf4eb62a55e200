"""Which rows of a table a policy is about: a typed filter that becomes SQL with bound values. Pure, but `try_values`.

A condition that does not hold, NULL included, keeps its row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from psycopg import errors, sql

from dualwrite.exceptions import first_line
from dualwrite.retention.exceptions import InvalidPolicy
from dualwrite.sql import compose
from dualwrite.stores import Session


class Is(StrEnum):
    """How a column is compared; each knows what value it takes and its SQL."""

    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    IN = "in"
    NOT_IN = "not_in"
    LESS = "less"
    GREATER = "greater"
    STARTS_WITH = "starts_with"
    NULL = "null"
    NOT_NULL = "not_null"

    @property
    def takes(self) -> str:
        """`none`, `list` or `one` value."""
        if self in (Is.NULL, Is.NOT_NULL):
            return "none"
        return "list" if self in (Is.IN, Is.NOT_IN) else "one"

    @property
    def template(self) -> str:
        """Its SQL, with places for the column, its type and the value."""
        return _TEMPLATES[self]


_TEMPLATES: Mapping[Is, str] = {
    Is.EQUAL: "{column} = {value}::{type}",
    Is.NOT_EQUAL: "{column} <> {value}::{type}",
    Is.IN: "{column} = ANY({value}::text[]::{type}[])",
    Is.NOT_IN: "{column} <> ALL({value}::text[]::{type}[])",
    Is.LESS: "{column} < {value}::{type}",
    Is.GREATER: "{column} > {value}::{type}",
    Is.STARTS_WITH: "starts_with({column}::text, {value})",
    Is.NULL: "{column} IS NULL",
    Is.NOT_NULL: "{column} IS NOT NULL",
}


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value, or with several."""

    column: str
    how: Is
    value: str | tuple[str, ...] | None

    def as_data(self) -> dict[str, object]:
        """As it stands in a policy."""
        own: dict[str, object] = {"column": self.column, "is": self.how.value}
        return own if self.value is None else {**own, "value": self._plain()}

    def compared(self) -> Sequence[str]:
        """The values that are read as the column's type."""
        if self.value is None or self.how is Is.STARTS_WITH:
            return ()
        return self.value if isinstance(self.value, tuple) else (self.value,)

    def _plain(self) -> object:
        return list(self.value) if isinstance(self.value, tuple) else self.value


def _invalid(why: str) -> InvalidPolicy:
    return InvalidPolicy(why, "conditions")


def parse(data: object, columns: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of a policy that may name these columns; raises InvalidPolicy saying what is valid."""
    if not isinstance(data, list):
        raise _invalid('conditions are a list such as [{"column": "action", "is": "in", "value": ["create"]}]')
    return tuple(_condition(number, item, columns) for number, item in enumerate(data, 1))


def _condition(number: int, item: object, columns: Sequence[str]) -> Condition:
    where = f"condition {number}"
    if not isinstance(item, dict) or not {"column", "is"} <= item.keys() <= {"column", "is", "value"}:
        raise _invalid(f'{where}; valid: an object of "column", "is" and "value"')
    if item["column"] not in columns:
        raise _invalid(f"{where}: column {item['column']!r}; valid: {', '.join(columns) or 'none'}")
    try:
        how = Is(item["is"])
    except ValueError as exc:
        raise _invalid(f"{where}: is {item['is']!r}; valid: {', '.join(Is)}") from exc
    return Condition(item["column"], how, _VALUES[how.takes](where, item))


def _no_value(where: str, item: Mapping[str, Any]) -> None:
    if "value" in item:
        raise _invalid(f"{where}: {item['is']} takes no value")


def _one_value(where: str, item: Mapping[str, Any]) -> str:
    return _text(where, item.get("value"))


def _several_values(where: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    values = item.get("value")
    if not isinstance(values, list) or not values:
        raise _invalid(f"{where}: {item['is']} takes a list of one value and more")
    return tuple(_text(where, value) for value in values)


def _text(where: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float) or "\0" in str(value):
        raise _invalid(f"{where}: {value!r} is no value; valid: text, a number, true or false")
    return str(value)


_VALUES: Mapping[str, Callable[[str, Mapping[str, Any]], str | tuple[str, ...] | None]] = {
    "none": _no_value,
    "one": _one_value,
    "list": _several_values,
}


def compiled(
    conditions: Sequence[Condition], types: Mapping[str, str]
) -> tuple[list[sql.Composable], dict[str, str | list[str]]]:
    """The conditions over the row `t` and their values; `types`: the columns' types as the catalog has them.

    Raises InvalidPolicy for a column that the table does not have.
    """
    parts: list[sql.Composable] = []
    values: dict[str, str | list[str]] = {}
    for number, condition in enumerate(conditions):
        if condition.column not in types:
            raise _invalid(f"the table has no column {condition.column}")
        name = f"condition_{number}"
        parts.append(
            sql.SQL(condition.how.template).format(  # a constant of this module
                column=sql.Identifier("t", condition.column),
                value=sql.Placeholder(name),
                type=sql.SQL(types[condition.column]),  # as the catalog writes it
            )
        )
        if condition.value is not None:
            values[name] = list(condition.value) if isinstance(condition.value, tuple) else condition.value
    return parts, values


def try_values(conditions: Sequence[Condition], types: Mapping[str, str], session: Session) -> None:
    """Raise InvalidPolicy for a value that the server does not take for its column, or a column it does not have."""
    compiled(conditions, types)
    for number, condition in enumerate(conditions, 1):
        for value in condition.compared():
            try:
                cast = compose("retention", "try_value", type=sql.SQL(types[condition.column]))  # as the catalog has it
                session.execute(cast, {"value": value})
            except errors.DataError as exc:
                raise _invalid(f"condition {number}: {first_line(exc)}") from exc
