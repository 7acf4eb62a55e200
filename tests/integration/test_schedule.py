"""Occurrences of tasks: each is done once, one at a time, again when it broke; one scheduler of several schedules."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from kombu.exceptions import OperationalError
from redis import Redis

from config.celery import app
from dualwrite import tasks
from dualwrite.exceptions import AlreadyRunning, StoreUnreachable
from dualwrite.models import Measure, TaskRun, TaskStatus
from dualwrite.monitoring.alerts.sources import tasks as source
from dualwrite.runs import only_run
from dualwrite.runs.lock import own
from dualwrite.schedule import heal, recorded, rows
from dualwrite.schedule.beat import Scheduler, Seat
from dualwrite.schedule.entries import ENTRIES, missing, seed
from dualwrite.schedule.outcome import ATTEMPTS
from dualwrite.schedule.recorded import Named, perform
from dualwrite.schedule.rows import Occurrence
from tests.integration.admin_site import Operator

pytestmark = pytest.mark.usefixtures("stores")

TASK = "dualwrite.monitoring.check"
#: A broker that no other test talks to.
BROKER = settings.REDIS_URL.rpartition("/")[0] + "/11"


@pytest.fixture(autouse=True)
def clean(stores: None) -> None:
    TaskRun.objects.all().delete()
    PeriodicTask.objects.all().delete()
    seed()


def occurrence(number: int = 1, **fields: Any) -> Occurrence:
    """An occurrence of a row of the schedule."""
    values: dict[str, Any] = {"task": TASK, "slot": f"{TASK} {number}", "actor": "schedule", "schedule": TASK}
    return Occurrence(**{**values, **fields})


def statuses() -> list[tuple[str, int, str]]:
    """Slot number, attempt and status of every row, oldest first."""
    found = TaskRun.objects.order_by("pk").values_list("slot", "attempt", "status")
    return [(slot.rpartition(" ")[2], attempt, status) for slot, attempt, status in found]


def die(one: Occurrence, lock: str = TASK) -> None:
    """Begin it as a worker that dies in the middle."""
    with only_run(rows.KIND, Named(lock)) as session:
        assert rows.begin(one, lock, own(session))


def broken() -> None:
    raise StoreUnreachable("screener")


def test_a_registry_begins_with_the_schedule_of_the_interfaces_and_each_row_expires_before_the_next() -> None:
    found = {row.task: row for row in PeriodicTask.objects.select_related("interval", "crontab")}
    assert set(found) == {entry.task for entry in ENTRIES}
    every = {name: str(row.interval or row.crontab) for name, row in found.items()}
    assert every["dualwrite.validation.run"] == "every 30 minutes"
    assert every["dualwrite.retention.run"] == "0 2 * * * (m/h/dM/MY/d) UTC"
    assert every["dualwrite.monitoring.check"] == "every 5 minutes"
    assert every["dualwrite.relay.sweep"] == "every 10 seconds"
    for row in found.values():
        began = timezone.now()
        interval = row.schedule.remaining_estimate(began) if row.crontab is None else timedelta(hours=24)
        assert timedelta(seconds=row.expire_seconds or 0) < max(interval, timedelta(seconds=10)) or "drill" in row.task


def test_a_row_that_an_operator_changed_or_removed_stays_so_until_it_is_asked_for() -> None:
    PeriodicTask.objects.filter(task=TASK).update(enabled=False, name="how is it")
    PeriodicTask.objects.filter(task="dualwrite.relay.sweep").delete()
    assert missing() == ["dualwrite.relay.sweep"]
    assert seed() == ["dualwrite.relay.sweep"]
    assert not PeriodicTask.objects.get(task=TASK).enabled


def test_an_occurrence_is_done_once_however_often_its_message_comes() -> None:
    done: list[int] = []
    for _ in range(3):
        perform(occurrence(), TASK, lambda: done.append(1))
    assert len(done) == 1
    assert statuses() == [("1", 1, "done")]


def test_while_one_is_under_way_another_is_refused_politely_and_that_is_kept() -> None:
    other: list[Any] = []

    def work() -> None:
        other.append(perform(occurrence(2, schedule="", actor="anna"), TASK, lambda: pytest.fail("two at once")))
        other.append(perform(occurrence(), TASK, lambda: pytest.fail("the same again")))

    perform(occurrence(), TASK, work)
    assert other == [None, None]
    assert statuses() == [("1", 1, "done"), ("2", 1, "refused")]
    assert "already running" in TaskRun.objects.get(actor="anna").sentence


def test_what_fails_is_tried_again_later_and_later_and_then_no_more() -> None:
    sent: list[TaskRun] = []
    perform(occurrence(), TASK, broken)
    for attempt in range(1, ATTEMPTS):
        failed, further = TaskRun.objects.order_by("attempt")[attempt - 1 : attempt + 1]
        assert failed.sentence == "A database cannot be reached: screener"
        pause = (further.due_at - (failed.finished_at or further.due_at)).total_seconds()
        assert 10 * 2 ** (attempt - 1) <= pause <= 31 * 2 ** (attempt - 1)
        assert heal.heal(sent.append).sent == 0, "it is not due yet"
        TaskRun.objects.filter(pk=further.pk).update(due_at=timezone.now())
        assert heal.heal(sent.append).sent == 1
        perform(occurrence(attempt=attempt + 1), TASK, broken)
    assert statuses() == [("1", attempt, "failed") for attempt in range(1, ATTEMPTS + 1)]


def test_what_was_decided_against_or_comes_again_soon_is_not_tried_again() -> None:
    soon = timezone.now() + timedelta(seconds=9)
    perform(occurrence(1, expires_at=soon), TASK, broken)
    perform(occurrence(2), TASK, lambda: tasks.validate_ordered(["nonsense"], "anna"))
    assert statuses() == [("1", 1, "failed"), ("2", 1, "refused")]


def test_a_fault_of_the_program_is_kept_and_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        perform(occurrence(), TASK, lambda: 1 / 0)
    assert TaskRun.objects.get(attempt=1).status == TaskStatus.FAILED


def test_the_run_of_a_dead_worker_is_crashed_and_begun_again_and_its_own_close_changes_nothing() -> None:
    die(occurrence())
    sent: list[TaskRun] = []
    assert heal.heal(sent.append) == heal.Healed(crashed=1, sent=1)
    assert [(row.slot, row.attempt) for row in sent] == [(f"{TASK} 1", 2)]
    perform(occurrence(attempt=2), TASK, lambda: None)
    assert statuses() == [("1", 1, "crashed"), ("1", 2, "done")]
    assert heal.heal(sent.append) == heal.Healed()


def test_the_run_of_a_worker_that_lives_is_left_alone() -> None:
    with only_run(rows.KIND, Named(TASK)) as session:
        rows.begin(occurrence(), TASK, own(session))
        assert heal.heal(lambda row: None) == heal.Healed()
    assert statuses() == [("1", 1, "running")]


def test_an_order_and_what_was_overtaken_are_not_begun_again() -> None:
    die(occurrence(1, schedule="", actor="anna"), "an order")
    die(occurrence(2))
    perform(occurrence(3), TASK, lambda: None)
    assert heal.heal(lambda row: None) == heal.Healed(crashed=2)
    assert [status for _, _, status in statuses()] == ["crashed", "crashed", "done"]


def test_a_worker_that_dies_again_and_again_is_not_given_the_occurrence_for_ever() -> None:
    die(occurrence())
    for attempt in range(2, rows.MOST_ATTEMPTS + 1):
        assert heal.heal(lambda row: None).sent == 1
        die(occurrence(attempt=attempt))
    assert heal.heal(lambda row: None) == heal.Healed(crashed=1)


def test_what_nobody_took_is_sent_again_but_no_flood_of_it_and_in_the_end_it_is_missed() -> None:
    rows.queue(occurrence(expires_at=timezone.now() + timedelta(minutes=4)))
    sent: list[TaskRun] = []
    assert [heal.heal(sent.append).sent for _ in range(3)] == [1, 0, 0]
    TaskRun.objects.update(sent_at=timezone.now() - rows.MOST_PATIENCE)
    assert heal.heal(sent.append).sent == 1
    TaskRun.objects.update(expires_at=timezone.now())
    assert heal.heal(sent.append) == heal.Healed(missed=1)
    perform(occurrence(), TASK, lambda: pytest.fail("too late"))
    assert statuses() == [("1", 1, "missed")]


def test_what_cannot_be_sent_waits_for_the_broker() -> None:
    rows.queue(occurrence())

    def away(row: TaskRun) -> None:
        raise OperationalError("connection refused")

    assert heal.heal(away) == heal.Healed()
    TaskRun.objects.update(sent_at=timezone.now() - rows.MOST_PATIENCE)
    assert heal.heal(lambda row: None).sent == 1


def test_without_the_registry_the_work_is_done_unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnreachable("registry")

    monkeypatch.setattr(recorded, "only_run", away)
    assert perform(occurrence(), TASK, lambda: "done") == "done"
    assert not TaskRun.objects.exists()


def test_old_runs_go_and_quiet_ones_earlier() -> None:
    now = timezone.now()
    for number, days in ((1, 40), (2, 2), (3, 0)):
        perform(occurrence(number), TASK, lambda: None)
        TaskRun.objects.filter(slot=f"{TASK} {number}").update(queued_at=now - timedelta(days=days))
    perform(occurrence(4), TASK, lambda: {"status": "refused", "sentence": "told"})
    TaskRun.objects.filter(slot=f"{TASK} 4").update(queued_at=now - timedelta(days=2))
    assert rows.prune(now - timedelta(days=30), [], now) == 1
    assert rows.prune(now - timedelta(days=30), [TASK], now - timedelta(days=1)) == 1
    assert [slot for slot, _, _ in statuses()] == ["3", "4"]


def test_the_alert_counts_occurrences_in_a_row_that_did_not_come_to_their_end() -> None:
    assert source.tasks() == []
    perform(occurrence(1), TASK, lambda: None)
    perform(occurrence(2), TASK, broken)
    perform(occurrence(2, attempt=2), TASK, broken)
    perform(occurrence(3), TASK, broken)
    (found,) = source.tasks()
    assert (found.measure, found.subject, found.value) == (Measure.TASK_FAILING, TASK, 2.0)
    assert "screener" in found.why
    perform(occurrence(4), TASK, lambda: None)
    assert source.tasks()[0].value == 0.0


@pytest.fixture
def broker() -> Iterator[Redis]:
    with Redis.from_url(BROKER) as found:
        found.flushdb()
        yield found
        found.flushdb()


@pytest.fixture
def scheduler(broker: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """One that sends to a broker of its own."""
    monkeypatch.setattr(Scheduler, "producer", app.amqp.Producer(app.connection_for_write(BROKER)), raising=False)
    found = Scheduler(app=app)
    yield found
    found.close()


def due(task: str = TASK) -> None:
    """Let it be due."""
    PeriodicTask.objects.exclude(task=task).update(enabled=False)
    PeriodicTask.objects.filter(task=task).update(last_run_at=timezone.now() - timedelta(hours=1))
    PeriodicTasks.update_changed()


def messages(broker: Redis, queue: str) -> list[dict[str, Any]]:
    """The headers of what waits in the queue."""
    return [json.loads(text)["headers"] for text in broker.lrange(queue, 0, -1)]


def test_what_is_due_is_written_down_and_sent_with_its_name_to_the_queue_of_watchers(
    broker: Redis, scheduler: Scheduler
) -> None:
    due()
    scheduler.tick()
    (row,) = TaskRun.objects.all()
    (headers,) = messages(broker, "watch")
    assert (row.status, row.schedule, headers[recorded.SLOT]) == ("queued", TASK, row.slot)
    assert row.expires_at
    assert PeriodicTask.objects.get(task=TASK).total_run_count == 1, "it is written down at once"


def test_a_scheduler_that_died_before_it_wrote_down_what_it_sent_is_followed_by_one_that_sends_nothing_twice(
    broker: Redis, scheduler: Scheduler
) -> None:
    due()
    before = PeriodicTask.objects.get(task=TASK)
    scheduler.tick()
    PeriodicTask.objects.filter(task=TASK).update(last_run_at=before.last_run_at, total_run_count=0)
    scheduler.close()
    follower = Scheduler(app=app)
    follower.tick()
    follower.close()
    assert len(messages(broker, "watch")) == 1
    assert TaskRun.objects.count() == 1


def test_a_daily_run_that_was_missed_is_caught_up_however_late(broker: Redis, scheduler: Scheduler) -> None:
    due("dualwrite.retention.run")
    late = timezone.now() - timedelta(hours=30)
    hour = (timezone.now() - timedelta(hours=9)).hour
    row = PeriodicTask.objects.get(task="dualwrite.retention.run")
    row.crontab.hour = str(hour)
    row.crontab.save()
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=late)
    scheduler.tick()
    assert len(messages(broker, "work")) == 1


def test_of_two_schedulers_one_schedules_and_the_other_takes_over_with_what_is_written(
    broker: Redis, scheduler: Scheduler
) -> None:
    due()
    scheduler.tick()
    second = Scheduler(app=app)
    for _ in range(3):
        assert second.tick() == 2.0
    assert len(messages(broker, "watch")) == 1
    scheduler.close()
    for _ in range(3):
        second.tick()
    assert len(messages(broker, "watch")) == 1, "it knows that it was sent"
    due()
    second.tick()
    second.close()
    assert len(messages(broker, "watch")) == 2


def test_whoever_had_the_seat_goes_on_without_the_registry_and_nobody_else_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seat, other = Seat(), Seat()
    assert seat.take() == (True, True)
    assert seat.take() == (True, False)
    assert other.take() == (False, False)

    def away(*_: object) -> None:
        raise StoreUnreachable("registry")

    seat._let_go()
    monkeypatch.setattr("dualwrite.schedule.beat.only_run", away)
    assert seat.take() == (True, False)
    assert other.take() == (False, False)

    def taken(*_: object) -> None:
        raise AlreadyRunning

    monkeypatch.setattr("dualwrite.schedule.beat.only_run", taken)
    assert seat.take() == (False, False)


def test_a_row_that_is_made_anew_under_the_same_name_runs_again(broker: Redis, scheduler: Scheduler) -> None:
    due()
    scheduler.tick()
    PeriodicTask.objects.filter(task=TASK).delete()
    seed()
    due()
    for _ in range(2):
        scheduler.tick()
    assert len(messages(broker, "watch")) == 2


def test_the_command_tells_each_row_and_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    perform(occurrence(), TASK, broken)
    PeriodicTask.objects.filter(task="dualwrite.retention.drill").delete()
    with pytest.raises(SystemExit) as ended:
        call_command("schedule", "--json")
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert told["missing"] == ["dualwrite.retention.drill"]
    health = next(one for one in told["tasks"] if one["name"] == TASK)
    assert health["last_run"]["status"] == "failed"
    with pytest.raises(SystemExit):
        call_command("schedule", "--seed")
    assert "added dualwrite.retention.drill" in capsys.readouterr().out
    TaskRun.objects.all().delete()
    call_command("schedule")


def test_the_admin_shows_runs_with_links_to_what_they_made() -> None:
    perform(occurrence(task="dualwrite.validation.run"), TASK, lambda: [{"stream": "s", "status": "passed", "run": 7}])
    perform(occurrence(2), TASK, broken)
    operator = Operator("view_taskrun")
    page = operator.client.get("/admin/dualwrite/taskrun/").content.decode()
    assert "/admin/dualwrite/validationrun/7/change/" in page
    for row in TaskRun.objects.all():
        answer = operator.client.get(f"/admin/dualwrite/taskrun/{row.pk}/change/")
        assert answer.status_code == 200
        assert 'name="_save"' not in answer.content.decode()
