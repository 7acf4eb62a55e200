"""Each component against real servers: up, away, silent, broken, held."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.core.management import call_command
from django.db import connections

from dualwrite.control.enable import enable
from dualwrite.control.pause import pause
from dualwrite.management.commands import run_health_checks
from dualwrite.models import StreamControl
from dualwrite.monitoring.checks import ALL, check_named
from dualwrite.monitoring.checks.redis import RedisCheck
from dualwrite.monitoring.checks.relay import RelayCheck
from dualwrite.monitoring.health import Result, run_checks
from dualwrite.monitoring.status import Status
from dualwrite.monitoring.streams import stream_rows
from dualwrite.relay.pipe import open_pipe
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream, all_streams
from tests.conftest import TESTER
from tests.integration.away import ATTENDED, CLOSED_PORT, move, unattended
from tests.support import one


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def relayed(stores: None) -> Iterator[None]:
    """Every stream enabled, with all partitions held as a relay holds them; nothing is moved."""
    with ExitStack() as stack:
        for stream in all_streams():
            enable(stream, TESTER)
            pipe = open_pipe(stream)
            assert pipe is not None
            stack.enter_context(pipe)
        yield


def result_of(name: str) -> Result:
    """Run one component's check."""
    return run_checks([check_named(name)]).results[0]


@pytest.mark.usefixtures("stores")
def test_with_both_stores_installed_and_nothing_mirrored_everything_is_up() -> None:
    report = run_checks(ATTENDED)
    assert report.as_data()["components"]["relay"]["details"]["instruments"] == {"mirrored": False}
    assert report.status is Status.UP, report.as_data()


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize(("name", "store"), [("database", Store.REGISTRY), ("screener", Store.SCREENER)])
def test_a_closed_port_is_down_and_names_the_store_without_its_password(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(store, CLOSED_PORT, monkeypatch)
    monkeypatch.setitem(connections[store.alias].settings_dict, "PASSWORD", "hidden-word")
    found = result_of(name)
    assert found.status is Status.DOWN
    assert found.details["error"].startswith(f"A database cannot be reached: {store} (127.0.0.1:1/")
    assert "hidden-word" not in str(found)


@pytest.mark.usefixtures("stores")
def test_what_cannot_be_asked_because_a_store_is_away_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    move(Store.SCREENER, CLOSED_PORT, monkeypatch)
    statuses = {result.name: result.status for result in run_checks(ATTENDED).results}
    assert statuses == {
        "database": Status.UP,
        "screener": Status.DOWN,
        "redis": Status.UP,
        "relay": Status.UNKNOWN,
        "dualWrite": Status.UNKNOWN,
        "canary": Status.UNKNOWN,
        "validation": Status.UNKNOWN,
        "configService": Status.UP,
        "retention": Status.UP,
        "diskSpace": Status.UP,
    }


@pytest.mark.usefixtures("stores")
def test_a_server_that_accepts_and_says_nothing_is_down_in_time(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(Store.REGISTRY, silent_port, monkeypatch)
    began = time.monotonic()
    report = run_checks(ALL)
    assert time.monotonic() - began < 5
    assert report.results[0].status is Status.DOWN


@pytest.mark.usefixtures("stores")
def test_a_silent_server_is_waited_for_once_so_that_the_other_store_is_still_told(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(Store.REGISTRY, silent_port, monkeypatch)
    for row in stream_rows(all_streams()):
        assert (row["authority"], row["outbox"]["pending"]) == ("screener", 0), row


@pytest.mark.usefixtures("stores")
def test_a_server_that_takes_no_writes_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    options = connections["screener"].settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "options", f"{options['options']} -c default_transaction_read_only=on")
    found = result_of("screener")
    assert found.status is Status.DOWN
    assert "takes no writes" in found.details["error"]


def test_redis_away_is_down_and_its_password_not_shown() -> None:
    check = RedisCheck(url="redis://:hidden-word@127.0.0.1:1/0")
    report = run_checks([check])
    assert report.status is Status.DOWN
    assert "hidden-word" not in str(report) + repr(check)


def test_a_silent_redis_is_down_in_time(silent_port: int) -> None:
    began = time.monotonic()
    assert run_checks([RedisCheck(url=f"redis://127.0.0.1:{silent_port}/0")]).status is Status.DOWN
    assert time.monotonic() - began < 4


@pytest.mark.usefixtures("stores")
def test_a_mirrored_stream_without_relay_is_down(instruments: Stream) -> None:
    enable(instruments, TESTER)
    found = result_of("relay")
    assert found.status is Status.DOWN
    assert found.details["error"] == "no relay works on stream instruments"
    assert found.details["index_memberships"] == {"mirrored": False}


@pytest.mark.usefixtures("relayed")
def test_a_relay_that_holds_every_partition_is_up() -> None:
    found = result_of("relay")
    assert found.status is Status.UP, found
    assert found.details["instruments"]["partitions_held"] == 16
    assert len(found.details["instruments"]["holders"]) == 1


def test_a_relay_whose_session_ended_is_down_whatever_the_other_database_has_locked(
    relayed: None, screener: Session, registry: Session
) -> None:
    registry.execute("SELECT pg_advisory_lock(25720, hashtext('instruments/3'))")
    gone = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s"
    )
    assert screener.execute(gone, ("dualwrite relay instruments presence",)).fetchone() == (True,)
    found = result_of("relay")
    assert found.details["error"] == "no relay works on stream instruments"
    assert found.details["index_memberships"]["partitions_held"] == 16


@pytest.mark.usefixtures("relayed")
def test_a_key_that_waits_too_long_is_down_unless_the_stream_is_paused(instruments: Stream, screener: Session) -> None:
    screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES ('X', 'NSE')")
    check = RelayCheck(oldest_limit_seconds=0)
    found = run_checks([check]).results[0]
    assert "instruments: the oldest noted key waits for" in found.details["error"]
    assert found.details["instruments"]["pending"] == 1
    pause(instruments, TESTER)
    paused = run_checks([check]).results[0]
    assert paused.status is Status.UP
    assert paused.details["instruments"]["standing_still"] == "paused by an operator"


def test_a_disabled_trigger_is_down(screener: Session) -> None:
    screener.execute("ALTER TABLE public.instruments DISABLE TRIGGER ALL")
    found = result_of("dualWrite")
    assert found.status is Status.DOWN
    assert "instruments: screener:" in found.details["error"]


@pytest.mark.usefixtures("stores")
def test_a_stream_held_by_the_brake_is_out_of_service(instruments: Stream) -> None:
    StreamControl.objects.create(stream=instruments.name, held_because="too many deletes")
    found = result_of("dualWrite")
    assert found.status is Status.OUT_OF_SERVICE
    assert found.details["error"] == "instruments: too many deletes"


def test_two_authorities_are_down(registry: Session) -> None:
    registry.execute("UPDATE dualwrite.stream_state SET role = 'authority'")
    assert result_of("dualWrite").status is Status.DOWN


def test_checks_leave_no_connection_behind(registry: Session) -> None:
    run_checks(ALL)
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY (%s) AND application_name = 'dualwrite monitoring'"
    )
    databases = [connections[store.alias].settings_dict["NAME"] for store in Store]
    deadline = time.monotonic() + 5
    while one(registry, left, databases):
        assert time.monotonic() < deadline


@pytest.mark.usefixtures("stores")
def test_the_command_prints_json_and_exits_0_when_everything_is_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unattended(monkeypatch, run_health_checks)
    call_command("run_health_checks", json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "UP"
    assert set(answer["components"]) == {check.name for check in ATTENDED}
    assert all(set(component) == {"status", "details"} for component in answer["components"].values())


@pytest.mark.usefixtures("stores")
def test_the_command_exits_1_when_something_is_down_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    with pytest.raises(SystemExit) as ended:
        call_command("run_health_checks")
    assert ended.value.code == 1
    assert "! database: start the registry's database, or correct DATABASE_URL" in capsys.readouterr().out
