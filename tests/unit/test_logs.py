"""What a line of the log looks like, what is never in it, and which request it belongs to."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from django.core.exceptions import ImproperlyConfigured
from psycopg import errors

from config.logs import Redaction, formatter, secrets_in
from dualwrite import trace
from dualwrite.said import said
from tests.logged import Logged, leaks

ROOT = Path(__file__).parent.parent.parent
#: What tests/conftest.py has for it.
READING = ("pytest_configure", "nothing_secret_is_logged", "pytest_sessionfinish")
KEY = '["NSE:TCS","NIFTY 50"]'
ENVIRONMENT = {
    "SECRET_KEY": "django-secret",
    "DATABASE_URL": "postgres://app:pass%21word@db:5432/registry",
    "REDIS_URL": "redis://:redis-pass@cache:6379/0",
    "BACKUP_STORAGE_URL": "s3://bucket/path?region=x&secret_key=s3-secret-value",
    "ALERT_WEBHOOK": "https://hooks.example/T000/B000/hook-path",
    "ALERT_KEYS": "first-key, second-key",
    "INTERNAL_API_KEY": "operator-key",
    "PATH": "/usr/bin:/bin",
    "SHORT_KEY": "abc",
}


def line(message: str, *values: object, error: BaseException | None = None) -> dict[str, str]:
    """What is written of a message of the standard library's loggers."""
    caught = (type(error), error, None) if error else None
    record = logging.LogRecord("dualwrite.x", logging.WARNING, "x.py", 1, message, values, caught)
    found: dict[str, str] = json.loads(formatter("json").format(record))
    return found


def test_a_line_is_json_with_time_level_logger_and_the_ids_of_its_request() -> None:
    with trace.begun(stream="letters"):
        found = line("stream %s: %d keys", "letters", 3)
        assert found.items() >= {"event": "stream letters: 3 keys", "level": "warning", "logger": "dualwrite.x"}.items()
        assert found.items() >= {**trace.ids(), "stream": "letters"}.items()
        assert found["timestamp"].endswith("Z")
    assert trace.ids() == {}
    assert "request_id" not in line("afterwards")


def test_the_form_for_people_is_one_line_and_a_form_that_there_is_not_is_refused() -> None:
    record = logging.LogRecord("dualwrite.x", logging.WARNING, "x.py", 1, "it is %s", ("so",), None)
    assert "it is so" in formatter("console").format(record)
    with pytest.raises(ImproperlyConfigured, match="LOG_FORMAT is 'xml'; valid: json, console"):
        formatter("xml")


def test_the_secrets_of_the_environment_are_known_and_other_values_are_none() -> None:
    assert secrets_in(ENVIRONMENT) == {
        *("django-secret", "pass%21word", "pass!word", "redis-pass", "s3-secret-value", "operator-key"),
        *("https://hooks.example/T000/B000/hook-path", "first-key, second-key", "first-key", "second-key"),
    }


@pytest.mark.parametrize("secret", sorted(secrets_in(ENVIRONMENT)))
def test_a_secret_is_taken_out_wherever_it_stands(secret: str) -> None:
    clean = Redaction(ENVIRONMENT)
    found = clean(None, "info", {"event": f"see {secret}!", "more": {"in": [secret, 1]}, "exception": f"x\n{secret}"})
    assert secret not in str(found)
    assert found["event"] == "see [secret]!"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("redis://user:other@host/0 is away", "redis://user:[secret]@host/0 is away"),
        ("redis://:x@host/0", "redis://:[secret]@host/0"),
        (f"key {KEY} is parked", "key [key] is parked"),
        (f"key {json.dumps(KEY)} is parked", 'key "[key]" is parked'),
        ('["NSE:a\\"b", null, 1.5]', "[key]"),
        ("['a list', 'of Python']", "['a list', 'of Python']"),
        ("x\nDETAIL:  Key (k)=(NSE:TCS) already exists.\ny", "x\nDETAIL: left out\ny"),
        ("LINE 1: INSERT INTO t VALUES ('NSE:TCS')", "LINE 1: left out"),
    ],
)
def test_passwords_of_addresses_keys_and_rows_are_left_out(text: str, written: str) -> None:
    assert Redaction({}).text(text) == written


def test_a_traceback_is_in_the_line_without_what_a_server_repeats_of_a_row() -> None:
    found = line("it failed", error=errors.UniqueViolation("duplicate\nDETAIL:  Key (k)=(NSE:TCS) already exists."))
    assert "UniqueViolation: duplicate" in found["exception"]
    assert "TCS" not in str(found)


def test_what_structlog_logs_goes_the_same_way(caplog: pytest.LogCaptureFixture) -> None:
    structlog.get_logger("dualwrite.x").warning("it is %s", "away", at="redis://user:other@host/0")
    (record,) = caplog.records
    found = json.loads(formatter("json").format(record))
    assert (found["event"], found["at"]) == ("it is away", "redis://user:[secret]@host/0")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.InvalidTextRepresentation('invalid input syntax: "NSE:TCS"'), "InvalidTextRepresentation (22P02)"),
        (errors.LockNotAvailable("canceling statement\nCONTEXT: x"), "canceling statement"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_is_said_of_an_error_has_no_value_of_a_record(error: Exception, sentence: str) -> None:
    assert said(error) == sentence


@pytest.mark.parametrize("given", ["an-id.of/the:client=1", "x" * 128])
def test_a_valid_id_is_kept(given: str) -> None:
    assert trace.request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "line\nbreak", "ü"])
def test_another_gets_a_new_one(given: str | None) -> None:
    assert trace.request_id(given) not in (given, trace.request_id(given))


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("given", [f"00-{TRACE}-{PARENT}-00", f" 00-{TRACE}-{PARENT}-01 "])
def test_a_valid_traceparent_is_kept(given: str) -> None:
    assert trace.traceparent(given) == given.strip()


def test_one_of_a_later_version_is_taken_as_far_as_this_one_knows_it() -> None:
    assert trace.traceparent(f"cc-{TRACE}-{PARENT}-01-more") == f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "given",
    [
        *(None, "", "00", f"00-{TRACE}-{PARENT}", f"00-{TRACE}-{PARENT}-01-more", f"ff-{TRACE}-{PARENT}-01"),
        *(f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01"),
    ],
)
def test_what_is_no_traceparent_begins_a_new_trace(given: str | None) -> None:
    made = trace.traceparent(given)
    assert trace.traceparent(made) == made
    assert TRACE not in made


LEAKING = f"""
import logging, os, pytest
LINES = ('{KEY}', 'NSE:TCS is away', os.environ['SECRET_KEY'])
@pytest.mark.parametrize('line', LINES, ids=['key', 'instrument', 'secret'])
def test_x(line):
    logging.getLogger('dualwrite.x').info('%s', line)
"""


def test_a_test_that_logs_what_it_must_not_fails(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(LEAKING)
    (tmp_path / "conftest.py").write_text(f"from tests.conftest import {', '.join(READING)}")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout
    assert "3 passed, 3 errors" in done.stdout, done.stdout
    for what in ("a key of a record: …", "a secret: …"):
        assert f"dualwrite.x (as it was meant): {what}" in done.stdout


def test_what_a_process_wrote_is_read_too() -> None:
    logged = Logged()
    logged.read(f"No key {KEY} is parked\n")
    assert logged.found() == [], "a command may answer with a key"
    logged.read(json.dumps({"event": f"parked {KEY}"}))
    logged.read("postgres://me:pass-of-the-process@db/x", {"DATABASE_URL": "postgres://me:pass-of-the-process@db/x"})
    assert [one.split(": …")[0] for one in logged.found()] == [
        "of a process: a key of a record",
        "of a process: a key of a record",
        "of a process: a secret",
    ]


def test_a_plain_line_leaks_nothing() -> None:
    assert leaks("stream index_memberships: 3 records came back different", ENVIRONMENT) == []
