"""Bodies of requests: JSON, with as many records as can be valid."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from dualwrite.writing.records import MOST_RECORDS
from registry.api.problems import invalid_body
from registry.bulk.checks import Fault


class Json(JSONParser):
    """JSON that is not nested beyond all measure."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value; raises ParseError."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as exc:
            raise ParseError("the JSON is nested too deeply") from exc


def lists_of(request: Request, *names: str) -> dict[str, list[Any]]:
    """The body's lists by name, empty where not given; raises Invalid for anything but an object of these lists."""
    sent = request.data
    valid = f"valid: an object with {' and '.join(names)}, a list each"
    if not isinstance(sent, dict):
        raise invalid_body([Fault("#", valid)])
    for name, value in sent.items():
        if name not in names or not isinstance(value, list):
            raise invalid_body([Fault(f"#/{name}", valid)])
    found: dict[str, list[Any]] = {name: sent.get(name, []) for name in names}
    number = sum(map(len, found.values()))
    if not number:
        raise invalid_body([Fault("#", f"nothing to do; {valid}")])
    if number > MOST_RECORDS:
        raise invalid_body([Fault("#", f"{number} records in one call; {MOST_RECORDS} are the most")])
    return found
