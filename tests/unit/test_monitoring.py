"""Checks, their outcomes and their metrics, without any server."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client.core import Metric

from dualwrite.exceptions import AuthorityUnknown, StoreUnreachable
from dualwrite.monitoring import side_by_side, streams
from dualwrite.monitoring.checks import ALL, check_named
from dualwrite.monitoring.checks.disk import DiskSpaceCheck
from dualwrite.monitoring.checks.relay import RelayCheck, Relaying
from dualwrite.monitoring.collector import families
from dualwrite.monitoring.exceptions import CannotTell, Down, OutOfService
from dualwrite.monitoring.health import Check, Report, Result, run_checks
from dualwrite.monitoring.kept import Kept
from dualwrite.monitoring.overview import Overview
from dualwrite.monitoring.side_by_side import Outcome
from dualwrite.monitoring.snapshot import Reading, ReadTotals, Snapshot
from dualwrite.monitoring.status import Status, worst
from dualwrite.monitoring.totals import LastLook, Totals
from dualwrite.stages import Store
from dualwrite.stream import Stream

ROW: dict[str, Any] = {
    "name": "memberships",
    "stage": "dualwrite",
    "authority": "screener",
    "mirroring": "paused",
    "verified": True,
    "outbox": {"pending": 7, "pending_is_estimate": False, "oldest_age_seconds": 2.5},
    "lag_seconds": 2.5,
    "parked": 3,
    "breaker": None,
    "transition": None,
    "blocked_by": [],
}


@dataclass(frozen=True, kw_only=True)
class Raising(Check):
    """Raises what it is given, or is UP."""

    name: str = "raising"
    mend: str = "nothing"
    error: Exception | None = None

    def run(self) -> dict[str, Any]:
        """Raise it."""
        if self.error is not None:
            raise self.error
        return {"fine": True}


@dataclass(frozen=True, kw_only=True)
class Hanging(Check):
    """Waits until it is let go."""

    name: str = "hanging"
    mend: str = "nothing"
    limit_seconds: float = 0.2
    go: threading.Event = field(default_factory=threading.Event)
    entered: list[float] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Wait."""
        self.entered.append(time.monotonic())
        self.go.wait(30)
        return {}


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A check that hangs for the length of a test, and is gone afterwards."""
    check = Hanging()
    yield check
    check.go.set()
    for thread in threading.enumerate():
        if thread.name == "ask health hanging":
            thread.join(5)
    side_by_side.forget()


def test_the_worst_status_wins_in_this_order() -> None:
    assert worst([Status.UP, Status.UNKNOWN]) is Status.UNKNOWN
    assert worst([Status.UNKNOWN, Status.OUT_OF_SERVICE, Status.UP]) is Status.OUT_OF_SERVICE
    assert worst([Status.OUT_OF_SERVICE, Status.DOWN]) is Status.DOWN
    assert worst([Status.UP, Status.UP]) is Status.UP
    assert worst([]) is Status.UNKNOWN


def test_only_down_and_out_of_service_do_not_serve() -> None:
    assert [status for status in Status if not status.serves] == [Status.DOWN, Status.OUT_OF_SERVICE]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, Status.UP),
        (Down("gone"), Status.DOWN),
        (OutOfService("stands"), Status.OUT_OF_SERVICE),
        (CannotTell("fog"), Status.UNKNOWN),
        (StoreUnreachable("screener"), Status.UNKNOWN),
        (AuthorityUnknown("both"), Status.DOWN),
        (RuntimeError("boom"), Status.DOWN),
    ],
)
def test_what_a_check_raises_decides_its_status(error: Exception | None, status: Status) -> None:
    assert run_checks([Raising(error=error)]).status is status


def test_an_unexpected_error_is_logged_and_its_text_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    report = run_checks([Raising(error=RuntimeError("secret text"))])
    assert "secret text" not in str(report.as_data())
    assert "RuntimeError" in str(report.as_data())
    assert "secret text" in caplog.text


def test_the_details_of_a_finding_are_shown_with_its_reason() -> None:
    details = run_checks([Raising(error=Down("gone", {"version": "15"}))]).results[0].details
    assert details == {"error": "gone", "version": "15"}


def test_a_hanging_check_is_down_within_its_limit_and_holds_up_no_other(hanging: Hanging) -> None:
    began = time.monotonic()
    report = run_checks([hanging, Raising()])
    assert time.monotonic() - began < 2
    assert {r.name: r.status for r in report.results} == {"hanging": Status.DOWN, "raising": Status.UP}
    assert report.results[0].details == {"error": "no answer within 0.2 s"}
    assert report.results[0].seconds >= 0.2


def test_while_a_check_hangs_no_second_one_is_begun(hanging: Hanging) -> None:
    for _ in range(3):
        assert run_checks([hanging]).status is Status.DOWN
    assert len(hanging.entered) == 1
    hanging.go.set()
    assert run_checks([hanging]).status is Status.UP
    assert run_checks([hanging]).status is Status.UP
    assert len(hanging.entered) == 2


def test_whoever_is_in_a_hurry_is_told_in_time_and_the_next_one_gets_the_late_answer(hanging: Hanging) -> None:
    began = time.monotonic()
    first = run_checks([hanging], within=0.05).results[0]
    assert time.monotonic() - began < 0.15
    assert first.details == {"error": "no answer within 0.05 s"}
    hanging.go.set()
    assert run_checks([hanging], within=5).status is Status.UP
    assert len(hanging.entered) == 1


def test_a_late_answer_that_is_old_is_not_given_any_more(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    run_checks([hanging])
    hanging.go.set()
    monkeypatch.setattr(side_by_side, "LATE_SECONDS", 0.0)
    deadline = time.monotonic() + 5
    while any(thread.name == "ask health hanging" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
    assert run_checks([hanging]).status is Status.UP
    assert len(hanging.entered) == 2


def test_checks_run_side_by_side() -> None:
    met = threading.Barrier(2, timeout=5)

    @dataclass(frozen=True, kw_only=True)
    class Meeting(Check):
        mend: str = "nothing"

        def run(self) -> Mapping[str, Any]:
            return {"met": met.wait() >= 0}

    report = run_checks([Meeting(name="one"), Meeting(name="two")])
    assert report.status is Status.UP


def test_a_component_has_status_details_and_the_time_taken() -> None:
    data = Report((Result("a", Status.UP, 0.12345, "", {"x": 1}),)).as_data()
    assert data == {
        "status": "UP",
        "components": {"a": {"status": "UP", "details": {"x": 1, "seconds": 0.123}}},
    }


def test_every_component_is_found_by_its_name() -> None:
    assert [check_named(check.name) for check in ALL] == list(ALL)
    assert {check.name for check in ALL} == {
        "database",
        "screener",
        "redis",
        "celery",
        "beat",
        "relay",
        "dualWrite",
        "canary",
        "validation",
        "configService",
        "retention",
        "diskSpace",
    }


def test_a_disk_with_less_free_than_the_threshold_is_down() -> None:
    assert run_checks([DiskSpaceCheck(threshold=1)]).status is Status.UP
    full = run_checks([DiskSpaceCheck(threshold=1 << 62)]).results[0]
    assert full.status is Status.DOWN
    assert full.details["threshold"] == 1 << 62


@pytest.mark.parametrize(
    ("held", "age", "standing", "words"),
    [
        (16, 299.0, "", []),
        (0, 0.0, "", ["no relay works on stream memberships"]),
        (15, 0.0, "", ["memberships: 15 of 16 partitions are worked on"]),
        (16, 301.0, "", ["memberships: the oldest noted key waits for 301 s"]),
        (16, 301.0, "paused by an operator", []),
    ],
)
def test_a_relay_is_judged_by_its_partitions_and_the_oldest_key(
    held: int, age: float, standing: str, words: list[str]
) -> None:
    one = Relaying("memberships", 16, held, (), 1, age, 0, standing, "")
    assert RelayCheck().troubles(one) == words


def test_a_kept_value_is_made_anew_only_when_it_is_old() -> None:
    made: list[int] = []
    kept = Kept(lambda: made.append(1) or len(made), 60)  # type: ignore[func-returns-value]
    assert [kept.get(), kept.get()] == [1, 1]
    stale = Kept(lambda: made.append(1) or len(made), -1)  # type: ignore[func-returns-value]
    assert [stale.get(), stale.get()] == [2, 3]


def test_a_stream_without_an_answer_says_why_and_what_to_do(memberships: Stream) -> None:
    row = streams.row(memberships, Outcome(5.0))
    assert row["name"] == memberships.name
    assert row["blocked_by"] == [
        {"gate": "status", "why": "no answer within 5 s", "mend": "manage.py run_health_checks"}
    ]


def test_each_problem_of_the_overview_names_the_next_step() -> None:
    row = {
        **ROW,
        "blocked_by": [{"gate": "paused", "why": "an operator paused it", "mend": "manage.py dualwrite resume"}],
        "transition": "enable: the backfill is not complete; manage.py dualwrite enable --stream memberships",
    }
    report = Report((Result("redis", Status.DOWN, 0.1, "start Redis", {"error": "refused"}),))
    assert [vars(problem) for problem in Overview(report, (row,)).problems] == [
        {"where": "redis", "why": "refused", "next": "start Redis"},
        {"where": "memberships", "why": "an operator paused it", "next": "manage.py dualwrite resume"},
        {
            "where": "memberships",
            "why": "half-done: enable: the backfill is not complete",
            "next": "manage.py dualwrite enable --stream memberships",
        },
    ]


def test_a_database_that_is_away_is_told_once_and_each_paused_stream_for_itself() -> None:
    away = {"gate": "registry", "why": "registry is away", "mend": "start it"}
    paused = {"gate": "paused", "why": "an operator paused it", "mend": "resume"}
    rows = tuple({**ROW, "name": name, "blocked_by": [away, away, paused]} for name in ("a", "b"))
    report = Report(
        (
            Result("database", Status.DOWN, 0.1, "start the database", {"error": "registry is away"}),
            Result("relay", Status.UNKNOWN, 0.1, "relay", {"error": "registry is away"}),
        )
    )
    found = [(problem.where, problem.why) for problem in Overview(report, rows).problems]
    assert found == [
        ("database", "registry is away"),
        ("a", "an operator paused it"),
        ("b", "an operator paused it"),
    ]


def _samples(snapshot: Snapshot, now: float) -> dict[tuple[str, ...], float]:
    found: list[Metric] = list(families(snapshot, now))
    return {(s.name, *s.labels.values()): s.value for family in found for s in family.samples}


def test_a_reading_becomes_the_named_metrics() -> None:
    reading = Reading(ROW, {Store.SCREENER: 0, Store.REGISTRY: 12}, 1700000000.0, 1690000000.0, 90.0)
    results = (Result("redis", Status.DOWN, 0.1, ""), Result("relay", Status.UNKNOWN, 0.1, ""))
    found = _samples(Snapshot({"memberships": reading}, results, True, 95.0), 100.0)
    head = "registry_dualwrite"
    assert found[f"{head}_stage", "memberships", "dualwrite"] == 1
    assert found[f"{head}_stage", "memberships", "live"] == 0
    assert found[f"{head}_authority", "memberships", "screener"] == 1
    assert found[f"{head}_authority", "memberships", "registry"] == 0
    assert found[f"{head}_mirroring", "memberships"] == 0
    assert found[f"{head}_verified", "memberships"] == 1
    assert found[f"{head}_outbox_pending", "memberships"] == 7
    assert found[f"{head}_outbox_oldest_age_seconds", "memberships"] == 2.5
    assert found[f"{head}_lag_seconds", "memberships"] == 2.5
    assert found[f"{head}_parked", "memberships"] == 3
    assert found[f"{head}_applied_total", "memberships", "registry"] == 12
    assert found["registry_validation_last_success_timestamp_seconds", "memberships"] == 1700000000.0
    assert found["registry_health_status", "redis"] == 0
    assert found["registry_health_status", "relay"] == -1
    assert found["registry_metrics_snapshot_age_seconds",] == 10.0
    assert found["registry_metrics_collector_success",] == 1


def test_totals_become_the_named_metrics() -> None:
    looks = {
        "memberships": LastLook({"field_mismatch": 2, "unsettled": 0}, 0.75, 1.5),
        "empty": LastLook({}, None, None),
    }
    removed, firing = {("audit", "delete"): 40}, {("lag", "critical"): 1, ("parked", "warning"): 0}
    totals = Totals({("memberships", "passed"): 3}, looks, removed, 512, {"audit": 1.7e9}, [0.02, 0.3], firing)
    found = _samples(Snapshot({}, (), True, 95.0, ReadTotals(totals, 91.0)), 100.0)
    assert found["registry_validation_runs_total", "memberships", "passed"] == 3
    assert found["registry_validation_differences", "memberships", "field_mismatch"] == 2
    assert found["registry_validation_match_ratio", "memberships"] == 0.75
    assert ("registry_validation_match_ratio", "empty") not in found
    assert found["registry_validation_duration_seconds", "memberships"] == 1.5
    assert found["registry_retention_rows_total", "audit", "delete"] == 40
    assert found["registry_retention_backup_bytes_total",] == 512
    assert found["registry_retention_last_success_timestamp_seconds", "audit"] == 1.7e9
    assert found["registry_dualwrite_switch_stall_seconds_bucket", "0.025"] == 1
    assert found["registry_dualwrite_switch_stall_seconds_bucket", "+Inf"] == 2
    assert found["registry_dualwrite_switch_stall_seconds_sum",] == 0.32
    assert found["registry_alerts_firing", "lag", "critical"] == 1
    assert found["registry_alerts_firing", "parked", "warning"] == 0
    assert found["registry_metrics_snapshot_age_seconds",] == 9.0


def test_a_stream_never_validated_has_no_last_success() -> None:
    reading = Reading(ROW, {}, None, None, 90.0)
    names = {key[0] for key in _samples(Snapshot({"memberships": reading}, (), False, 95.0), 100.0)}
    assert "registry_validation_last_success_timestamp_seconds" not in names
