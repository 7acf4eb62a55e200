"""Whole files of members and of spells: looked at as differences, then imported."""

import csv
import io
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from dualwrite.clearance import Clearance
from registry.api import schema
from registry.api.problems import invalid_body, invalid_parameter
from registry.api.query import Query
from registry.api.renderers import Csv, Json, Rows
from registry.api.view import ApiView
from registry.bulk.checks import Fault
from registry.importing.upload import Imported, Sent, import_sent

#: So many differences, lacking members and rejected rows are told; the counts are of all.
TOLD = 1_000
REJECTED = ("line", "column", "reason")


class CsvParser(BaseParser):
    """A CSV file as the body."""

    media_type = "text/csv"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The bytes."""
        return stream.read()


class RejectsCsv(Csv):
    """The rejected rows as they came, with line, column and reason: to be corrected and sent again."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The file."""
        if isinstance(data, dict) and "rejects" in data:
            return str(data["rejects"]).encode()
        return super().render(data)


class ImportsView(ApiView):
    """POST /api/v1/imports."""

    needs = {"POST": Clearance.OPERATOR}
    parser_classes = (CsvParser, MultiPartParser)
    renderer_classes = (Json, RejectsCsv)

    @schema.imports
    def post(self, request: Request) -> Response:
        """What importing the file would change; with `apply=true` it is imported, with `plan` only if just that."""
        query = Query(request, "index", "exchange", "columns", "into", "filename", "apply", "plan")
        applies = query.truth("apply") or False
        done = import_sent(_sent(request, query), actor=self.consumer, dry_run=not applies, plan=query.text("plan"))
        wants_file = isinstance(request.accepted_renderer, RejectsCsv)
        return Response({"rejects": done.rejects} if wants_file else _answer(done, applies=applies))


def _sent(request: Request, query: Query) -> Sent:
    name = query.text("filename") or "upload.csv"
    content: Any = request.data
    if not isinstance(content, bytes):
        file = request.FILES.get("file")
        if file is None:
            raise invalid_body([Fault("#/file", "missing; valid: a CSV file as `file`, or as the body (text/csv)")])
        name, content = file.name or name, file.read()
    given = query.texts("index", "exchange", "into")
    return Sent(name, content, columns=_columns(query.text("columns") or ""), **given)


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in filter(None, text.split(","))]
    if not all(field and equals and column for field, equals, column in pairs):
        raise invalid_parameter("columns", f"{text!r}; valid: FIELD=COLUMN, separated by commas")
    return {field.strip(): column.strip() for field, _, column in pairs}


def _answer(done: Imported, *, applies: bool) -> dict[str, Any]:
    report = done.report
    return {
        "applied": applies,
        "plan": done.plan,
        **report.counts(),
        "differences": [one.as_data() for one in report.differences[:TOLD]],
        "more_differences": max(0, len(report.differences) - TOLD),
        "lacking": [{"instrument_key": key, "index_id": index} for key, index in report.lacking[:TOLD]],
        "more_lacking": max(0, len(report.lacking) - TOLD),
        **Rows("rejected_rows", REJECTED, rejected_of(done)[:TOLD]).as_data(),
    }


def rejected_of(done: Imported) -> list[list[str]]:
    """Line, column and reason of each row of the rejects file."""
    return [row[: len(REJECTED)] for row in list(csv.reader(io.StringIO(done.rejects)))[1:]]
