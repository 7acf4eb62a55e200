"""What a method of a view takes and answers, said beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from actuator.openapi.shapes import Shape, text

F = TypeVar("F", bound=Callable[..., Any])
JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """An answer: its schema and what it means; `example`: one of it; `headers`: name → meaning."""

    shape: Shape
    meaning: str
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = JSON
    #: Others it comes in when asked for.
    also: tuple[str, ...] = ()


def operation(
    name: str,
    tag: str,
    answers: Mapping[int, Answer],
    *,
    body: Shape | None = None,
    example: Any = None,
    query: Mapping[str, Shape] | None = None,
    headers: Mapping[str, Shape] | None = None,
    problems: Mapping[int, str] | None = None,
) -> Callable[[F], F]:
    """Describe it. The first line of its docstring is the summary, all of it the description.

    `problems`: status → when, beside those that every operation may be answered with.
    """

    def describe(method: F) -> F:
        summary, _, more = (method.__doc__ or "").strip().partition("\n")
        responses: dict[Any, Any] = {
            (code, media): _response(code, one) for code, one in answers.items() for media in (one.media, *one.also)
        }
        responses |= {(code, PROBLEM): _problem(why) for code, why in (problems or {}).items()}
        parameters = [_parameter(n, s, OpenApiParameter.QUERY) for n, s in (query or {}).items()]
        parameters += [_parameter(n, s, OpenApiParameter.HEADER) for n, s in (headers or {}).items()]
        parameters += [
            OpenApiParameter(
                header, type=text(), location=OpenApiParameter.HEADER, description=meaning, response=[code]
            )
            for code, one in answers.items()
            for header, meaning in one.headers.items()
        ]
        shown = [] if example is None else [OpenApiExample(name, value=example, request_only=True)]
        return extend_schema(
            operation_id=name,
            summary=summary.rstrip("."),
            description=" ".join(f"{summary}\n{more}".split()),
            tags=[tag],
            request={JSON: body} if body is not None else None,
            responses=responses,
            parameters=parameters,
            examples=shown,
        )(method)

    return describe


def _response(code: int, one: Answer) -> OpenApiResponse:
    examples = [] if one.example is None else [OpenApiExample(str(code), value=one.example, response_only=True)]
    return OpenApiResponse(response=one.shape, description=one.meaning, examples=examples)


def _problem(why: str) -> OpenApiResponse:
    return OpenApiResponse(response={"$ref": "#/components/schemas/Problem"}, description=why)


def _parameter(name: str, shape: Shape, where: Any) -> OpenApiParameter:
    kept = {key: value for key, value in shape.items() if key not in ("description", "x-required")}
    return OpenApiParameter(
        name, type=kept, location=where, description=shape.get("description", ""), required="x-required" in shape
    )
