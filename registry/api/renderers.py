"""Answers as JSON, CSV and lines of JSON."""

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rest_framework.renderers import BaseRenderer

COMPACT = (",", ":")


@dataclass(frozen=True)
class Rows:
    """An answer that is a table: its name, columns and rows, and what else there is to say of it."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    about: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """For JSON: what is said of it, then the rows as objects."""
        columns = self.columns
        return {**self.about, self.name: [dict(zip(columns, row, strict=True)) for row in self.rows]}


def told(value: Any) -> Any:
    """What JSON has no form for. Numbers go as text, so that no digit is lost on the way."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def as_json(data: Any) -> bytes:
    """The text of an answer."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, Rows):
        data = data.as_data()
    try:
        return json.dumps(data, default=told, ensure_ascii=False, separators=COMPACT).encode()
    except UnicodeEncodeError:
        # A half of a letter that was sent, and is told back as what is wrong.
        return json.dumps(data, default=told, separators=COMPACT).encode()


class Json(BaseRenderer):
    """JSON, without blanks."""

    media_type, format, charset = "application/json", "json", None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The text; nothing where there is nothing."""
        return b"" if data is None else as_json(data)


class Csv(Json):
    """A header and a line for each row. An error is told as JSON."""

    media_type, format, charset = "text/csv", "csv", "utf-8"  # type: ignore[assignment]

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The text."""
        if not isinstance(data, Rows):
            return super().render(data)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(data.columns)
        writer.writerows([_cell(value) for value in row] for row in data.rows)
        return text.getvalue().encode()


class Ndjson(Json):
    """A line of JSON for each row. An error is told as JSON."""

    media_type, format, charset = "application/x-ndjson", "ndjson", None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The text."""
        if not isinstance(data, Rows):
            return super().render(data)
        return b"".join(as_json(dict(zip(data.columns, row, strict=True))) + b"\n" for row in data.rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None or isinstance(value, str | int) else told(value)
