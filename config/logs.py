"""How a line of the log comes about: from any logger, with the ids of its request, and nothing secret in it.

1. structlog's loggers and the standard library's meet in one `formatter`, which every handler has;
2. what is bound to the thread (`dualwrite.trace`) is added, exceptions become text;
3. `Redaction` takes out what must not be there: the last line of defence, as what logs has to know better;
4. one line of JSON is written, or one for people where LOG_FORMAT is `console`.

How it can fail, and the answer: a secret is logged → it is taken out by its value, whatever the sentence; an error of a
database repeats a row → the lines that do are left out; something that JSON does not know → its text.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from django.core.exceptions import ImproperlyConfigured
from structlog.typing import EventDict, Processor, WrappedLogger

SERVER_ERROR, AWAY = 500, 503
FORMS = ("json", "console")
SECRET, KEY = "[secret]", "[key]"
#: A shorter one would be found in other words.
SHORTEST = 6
_NAMES_SECRET = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|_DSN)$|^ALERT_", re.IGNORECASE)
_PARAMETER = re.compile(r"[?&][^=&]*(?:key|secret|token|password)[^=&]*=([^&]+)", re.IGNORECASE)
_ACCOUNT = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@")
#: A record's key as the engine writes it, `["NSE:X","NIFTY 50"]`, also where it was quoted once more.
_PART = r'(?:"(?:[^"\\]|\\.)*"|\\"[^"]*\\")'
_RECORD_KEY = re.compile(rf"\[{_PART}(?:, ?(?:{_PART}|null|true|false|-?[0-9.]+))*\]")
#: What PostgreSQL adds to an error: the values of the row, the statement.
_ROWS = re.compile(r"^(\s*(?:DETAIL|CONTEXT|LINE \d+):).*$", re.MULTILINE)


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """The secrets that these variables hold: of some the whole value, of an address its password."""
    found: set[str] = set()
    for name, value in environment.items():
        if _NAMES_SECRET.search(name):
            found.update((value, *value.split(",")))
        for address in value.split(",") if "://" in value else ():
            found.update(_passwords(address))
    return {text for text in map(str.strip, found) if len(text) >= SHORTEST}


def _passwords(address: str) -> Iterable[str]:
    yield from _PARAMETER.findall(address)
    try:
        password = urlsplit(address).password
    except ValueError:  # no address; what it is will be said by whoever needs one
        return
    if password:
        yield from (password, unquote(password))


class Redaction:
    """Takes secrets and keys of records out of everything a line has; a processor of structlog."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        texts = sorted(secrets_in(environment), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """The line without them."""
        return {name: self._clean(value) for name, value in line.items()}

    def text(self, text: str) -> str:
        """The text without them."""
        text = _ACCOUNT.sub(rf"\1:{SECRET}@", self._secrets.sub(SECRET, text))
        return _ROWS.sub(r"\1 left out", _RECORD_KEY.sub(KEY, text))

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(name): self._clean(each) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(each) for each in value]
        return self.text(str(value))


def formatter(form: str) -> logging.Formatter:
    """The formatter of every handler, which knows the secrets of the environment; raises ImproperlyConfigured."""
    if form not in FORMS:
        raise ImproperlyConfigured(f"LOG_FORMAT is {form!r}; valid: {', '.join(FORMS)}")
    plain = structlog.dev.plain_traceback
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=plain)
    if form == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.StackInfoRenderer(),
            Redaction(os.environ),
            renderer,
        ],
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def configure() -> None:
    """Let structlog's own loggers go the standard library's way."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_of(form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING; `level`: LOG_LEVEL, or empty for what each logger has by itself."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": formatter, "form": form}},
        "filters": {"requests": {"()": "django.utils.log.CallbackFilter", "callback": of_request}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level or "WARNING"},
        "loggers": {
            "dualwrite": {"level": level or "INFO"},
            "django_structlog": {"level": level or "INFO"},
            "django.request": {"filters": ["requests"]},
            "django.security.csrf": {"filters": ["requests"]},
            # They tell the whole address of each request, and that of a webhook may be a secret.
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
            # A wrong Host header is the client's fault: answered with 400, and no traceback for each.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            # That a task failed is told with its traceback by django_structlog already.
            "celery.app.trace": {"level": "CRITICAL"},
        },
    }


def of_request(record: logging.LogRecord) -> bool:
    """Keep the line; drop the traceback of what was answered with an error of the request's own making, and the path.

    The same where a database is away: a line for each request says enough.
    Django logs a refused permission (403) with the exception that said so; who was refused what stands in the line.
    A path may have the key of a record, so the pattern of the address stands in its place.
    """
    status = getattr(record, "status_code", SERVER_ERROR)
    if status < SERVER_ERROR or status == AWAY:
        record.exc_info = record.exc_text = None
    request = getattr(record, "request", None)
    if request is not None and isinstance(record.args, tuple):
        record.args = tuple(route_of(request) if one == request.path else one for one in record.args)
    return True


def route_of(request: Any) -> str:
    """The pattern of the request's address, as urls.py has it."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match is not None else "an unknown address"
