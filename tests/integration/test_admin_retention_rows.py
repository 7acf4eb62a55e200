"""Runs, backups, restores, drills and holds in the admin: read, and acted on by the verbs alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from dualwrite import runs
from dualwrite.models import Audit, LegalHold, RestoreRun, RetentionBackup, RetentionRun
from dualwrite.retention import holds
from dualwrite.retention.drill import drill
from dualwrite.stores import Session
from tests.integration.letters import LETTERS, OPERATOR, approved, execute, ids, letters, send
from tests.integration.retention_pages import ACT, BASE, Keeper

REACHED = {"phase": "deleting", "rows": 500, "total": 1_000, "rows_per_second": 250, "eta_seconds": 2.0}
ROWS = ("retentionrun", "retentionbackup", "restorerun", "drillrun", "legalhold")
ALL = {"part": "", "keys": "", "since": "", "until": "", "on_conflict": "fail"}
HOLD: dict[str, object] = {"table": "letters", "name": "", "value": "", "until": "", "reason": "case 4711"}


@pytest.fixture(autouse=True)
def table(registry: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    with letters(registry):
        yield


@pytest.fixture
def anna(stores: None) -> Keeper:
    """An operator."""
    return Keeper(ACT)


@pytest.fixture
def removed(registry: Session) -> RetentionRun:
    """Five letters are gone, and in a backup."""
    send(registry, 5)
    approved()
    return execute()


def counted(anna: Keeper, backup: object, **values: str) -> RestoreRun:
    """The dry run that the form of a restore makes."""
    said = anna.presses("retentionbackup", backup, "restore", **{**ALL, **values})
    assert said.startswith("success: Of "), said
    found = RestoreRun.objects.first()
    assert found is not None
    assert found.dry_run
    return found


def test_a_run_under_way_shows_how_far_it_is_and_is_asked_to_stop(anna: Keeper) -> None:
    with runs.only(RetentionRun, LETTERS) as owner:
        run = RetentionRun.objects.create(
            stream="letters", policy="letters", dry_run=False, progress=REACHED, **owner.as_fields()
        )
        for path in (f"{BASE}/retentionrun/", f"{BASE}/retentionrun/{run.pk}/change/"):
            page = anna.client.get(path)
            assert page["Refresh"] == "2"
            assert "running, deleting: 500 of about 1000 rows, 250/s, 2 s left" in page.content.decode()
        assert anna.presses("retentionrun", run.pk, "cancel") == f"success: Retention run {run.pk}: asked to stop"
        run.refresh_from_db()
        assert (run.status, run.cancel_asked_by) == ("running", "anna")
    said = anna.presses("retentionrun", run.pk, "cancel")
    assert said.startswith(f"success: Retention run {run.pk}: its process")
    assert "has ended already, as error" in anna.presses("retentionrun", run.pk, "cancel")
    assert not anna.client.get(f"{BASE}/retentionrun/{run.pk}/change/").has_header("Refresh")


def test_runs_are_cancelled_from_the_list_too(anna: Keeper) -> None:
    run = RetentionRun.objects.create(stream="letters", policy="letters", owner="far:1", backend=1)
    sent = {"action": "cancel_runs", "_selected_action": [run.pk]}
    anna.client.post(f"{BASE}/retentionrun/", sent)
    run.refresh_from_db()
    assert run.status == "error"
    assert Audit.objects.get(verb="cancel retention").actor == "anna"


def test_a_run_leads_to_its_backup_and_that_to_its_parts(removed: RetentionRun, anna: Keeper) -> None:
    page = anna.reads("retentionrun", removed.pk, "change")
    assert f'href="{BASE}/retentionbackup/{removed.backup_id}/change/">{removed.location}' in page
    assert f'href="{BASE}/retentionbackup/{removed.backup_id}/restore/"' in page
    assert "5 planned; 5 removed" in page
    page = anna.reads("retentionbackup", removed.backup_id, "change")
    assert "<td>part-00001.zst</td><td>5</td>" in page
    assert f'href="{BASE}/retentionrun/{removed.pk}/change/"' in page


def test_a_backup_whose_manifest_is_gone_says_so_on_its_page(
    removed: RetentionRun, anna: Keeper, tmp_path: Path
) -> None:
    (tmp_path / "backups" / removed.location / "manifest.json").unlink()
    assert f"{removed.location}/manifest.json" in anna.reads("retentionbackup", removed.backup_id, "change")


def test_rows_are_counted_first_and_come_back_when_that_is_confirmed_with_a_reason(
    removed: RetentionRun, anna: Keeper, registry: Session
) -> None:
    dry = counted(anna, removed.backup_id, keys="2\r\n4\r\n")
    assert (dry.found, dry.restored, ids(registry)) == (2, 2, set())
    page = anna.reads("restorerun", dry.pk, "restore")
    assert "Of 2 rows asked for, 2 rows would be restored" in page
    assert f"manage.py restore_backup {removed.pk} --key 2 --key 4 --on-conflict fail --reason WHY" in page
    seen = anna.seen("restorerun", dry.pk, "restore")
    assert "A reason is needed" in str(anna.is_not_taken("restorerun", dry.pk, "restore", seen=seen).content)
    assert ids(registry) == set()

    said = anna.agrees("restorerun", dry.pk, "restore", reason="needed by the desk")

    assert "2 rows restored" in said
    assert "warning: policy letters is enabled and would remove these rows again" in said
    assert ids(registry) == {2, 4}
    line = Audit.objects.get(verb="restore")
    assert (line.actor, line.reason) == ("anna", "needed by the desk")


def test_what_would_be_overwritten_is_told_before(removed: RetentionRun, anna: Keeper, registry: Session) -> None:
    anna.agrees("restorerun", counted(anna, removed.backup_id).pk, "restore", reason="needed")
    dry = counted(anna, removed.backup_id, on_conflict="overwrite")
    assert "5 rows that are in the table now lose what they have." in anna.reads("restorerun", dry.pk, "restore")


def test_a_restore_that_is_refused_says_why_and_the_form_comes_back(
    removed: RetentionRun, anna: Keeper, registry: Session
) -> None:
    anna.agrees("restorerun", counted(anna, removed.backup_id).pk, "restore", reason="needed")
    answer = anna.is_not_taken("retentionbackup", removed.backup_id, "restore", **ALL)
    assert "5 of 5 rows are in the table" in answer.content.decode()
    for wrong in ({"part": "7"}, {"since": "2026-01-02", "until": "2026-01-01"}, {"on_conflict": "guess"}):
        anna.is_not_taken("retentionbackup", removed.backup_id, "restore", **{**ALL, **wrong})
    refused = RestoreRun.objects.filter(dry_run=True).exclude(status="planned").get()
    assert "the dry run did not come to its end" in anna.reads("restorerun", refused.pk, "change").lower()


def test_a_day_is_enough_to_say_since_when(removed: RetentionRun, anna: Keeper) -> None:
    assert counted(anna, removed.backup_id, since="2020-01-01", until="2020-02-01").found == 0
    assert counted(anna, removed.backup_id, since="2020-01-01").found == 5


def test_a_large_restore_is_never_done_while_the_page_waits(
    removed: RetentionRun, anna: Keeper, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    RetentionBackup.objects.update(rows=20_001)
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    answer = anna.is_not_taken("retentionbackup", removed.backup_id, "restore", **ALL)
    assert f"manage.py restore_backup {removed.pk} --on-conflict fail --dry-run" in answer.content.decode()
    assert not RestoreRun.objects.exists()


def test_a_backup_that_has_expired_is_neither_tried_nor_restored(removed: RetentionRun, anna: Keeper) -> None:
    RetentionBackup.objects.update(state="expired")
    page = anna.reads("retentionbackup", removed.backup_id, "change")
    assert "it has expired, and was removed" in page.lower()
    said = anna.presses("retentionbackup", removed.backup_id, "restore", **ALL)
    assert said == "warning: There is no such backup any more."


def test_drills_are_listed_with_what_was_found(removed: RetentionRun, anna: Keeper, tmp_path: Path) -> None:
    (tmp_path / "backups" / removed.location / "part-00001.zst").unlink()
    made = drill(OPERATOR)
    assert "1 of 1 backups cannot be restored" in anna.reads("drillrun")
    assert "part-00001.zst" in anna.reads("drillrun", made.pk, "change")
    assert "Broken" in anna.reads("retentionbackup")


def test_rows_are_held_and_released_with_a_reason_and_never_edited(anna: Keeper) -> None:
    anna.saves("legalhold/add", {**HOLD, "name": "recipient", "value": "NSE:TCS"})
    held = LegalHold.objects.get()
    assert (held.table, held.name, held.value, held.reason, held.by) == (
        "letters",
        "recipient",
        "NSE:TCS",
        "case 4711",
        "anna",
    )
    assert Audit.objects.get(verb="hold").reason == "case 4711"
    assert 'name="reason"' not in anna.reads("legalhold", held.pk, "change")
    assert anna.is_forbidden("POST", "legalhold", held.pk, "change")
    assert anna.is_forbidden("POST", "legalhold", held.pk, "delete")

    assert anna.agrees("legalhold", held.pk, "release", reason="closed").startswith("success: Hold 1 is released")
    held.refresh_from_db()
    assert (held.released_by, held.released_because) == ("anna", "closed")
    assert "It was released already." in str(
        anna.is_not_taken("legalhold", held.pk, "release", reason="again", seen="-").content
    )


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"reason": ""}, "reason", "A reason is needed; it is kept."),
        ({"table": "nothing"}, "table", "not one of the available choices"),
        ({"name": "broker", "value": "x"}, "name", "valid: recipient"),
        ({"name": "recipient"}, "value", "names a value of one of: recipient; or neither"),
        ({"value": "x"}, "value", "names a value of one of: recipient; or neither"),
        ({"until": "2020-01-01"}, "until", "a hold that has ended already would keep nothing"),
    ],
)
def test_a_hold_that_would_keep_nothing_is_not_made(
    values: dict[str, object], field: str, sentence: str, anna: Keeper
) -> None:
    errors = anna.errors("legalhold/add", {**HOLD, **values})
    assert list(errors) == [field]
    assert sentence in errors[field][0]
    assert not LegalHold.objects.exists()


def test_whoever_may_only_look_reads_every_row_and_acts_on_none(removed: RetentionRun) -> None:
    held = holds.hold("letters", OPERATOR)
    looker = Keeper(*(f"view_{model}" for model in ROWS), name="bert")
    for model in ROWS:
        looker.reads(model)
        assert looker.is_forbidden("GET", model, "add")
    for model, number in (("retentionrun", removed.pk), ("retentionbackup", removed.backup_id), ("legalhold", held.pk)):
        assert "dw-verb" not in looker.reads(model, number, "change")
    for model, number, verb in (
        ("retentionrun", removed.pk, "cancel"),
        ("retentionbackup", removed.backup_id, "drill"),
        ("retentionbackup", removed.backup_id, "restore"),
        ("restorerun", 1, "restore"),
        ("legalhold", held.pk, "release"),
    ):
        assert looker.is_forbidden("POST", model, number, verb), (model, verb)


def test_nobody_edits_or_deletes_a_row_not_even_a_superuser(removed: RetentionRun, client: Client) -> None:
    client.force_login(get_user_model().objects.create_superuser("root"))
    drill(OPERATOR)
    holds.hold("letters", OPERATOR)
    for model, number in (("retentionrun", removed.pk), ("retentionbackup", removed.backup_id), ("drillrun", 1)):
        assert client.post(f"{BASE}/{model}/{number}/change/", {}).status_code == 403
        assert client.post(f"{BASE}/{model}/{number}/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{BASE}/{model}/add/").status_code == 403
    assert client.post(f"{BASE}/legalhold/1/delete/", {"post": "yes"}).status_code == 403
