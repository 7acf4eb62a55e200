"""The backup is damaged, its storage full or away, a clock wrong: nothing is removed, and the run says why."""

import datetime as dt
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from dualwrite.exceptions import DualWriteError
from dualwrite.models import BackupState, RetentionBackup, RetentionRun, RetentionState
from dualwrite.retention.exceptions import BackupUnusable, StorageFailed
from dualwrite.retention.expiry import expire
from dualwrite.retention.sweep import sweep
from dualwrite.retention.vault import configured
from dualwrite.stores import Session
from tests.integration.letters import OPERATOR, approved, brought_back, doing, execute, files, ids, send, texts

FIRST, REST = set(range(1, 101)), set(range(101, 301))


@pytest.fixture
def sent(letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Three batches of old letters, approved; two parts, one session."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_PART_ROWS", "200")
    send(letterbox, 300)
    letterbox.execute("UPDATE letters SET topic = md5(id::text) || md5((-id)::text)")
    approved()
    return letterbox


def part(folder: Path, number: int = 2) -> Path:
    (found,) = folder.rglob(f"part-0000{number}.zst")
    return found


def manifest(folder: Path) -> Path:
    (found,) = folder.rglob("manifest.json")
    return found


def altered(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def swap(folder: Path) -> None:
    first, second = part(folder, 1).read_bytes(), part(folder, 2).read_bytes()
    part(folder, 1).write_bytes(second)
    part(folder, 2).write_bytes(first)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit flipped": lambda folder: altered(part(folder), flip),
    "the last byte lost": lambda folder: altered(part(folder), lambda data: data[:-1]),
    "cut in half": lambda folder: altered(part(folder), lambda data: data[: len(data) // 2]),
    "nothing left": lambda folder: altered(part(folder), lambda data: b""),
    "a byte more": lambda folder: altered(part(folder), lambda data: data + b"\0"),
    "doubled": lambda folder: altered(part(folder), lambda data: data * 2),
    "parts swapped": swap,
    "a part missing": lambda folder: part(folder).unlink(),
    "the manifest missing": lambda folder: manifest(folder).unlink(),
    "the manifest altered": lambda folder: altered(
        manifest(folder), lambda data: data.replace(b'"rows": 200', b'"rows": 1')
    ),
    "the manifest cut": lambda folder: altered(manifest(folder), lambda data: data[:-20]),
}


def require_refusal(kind: type[DualWriteError], state: str) -> str:
    """The run ends with one sentence, which is kept with it."""
    with pytest.raises(kind) as raised:
        execute()
    made = RetentionRun.objects.filter(dry_run=False).latest("id")
    assert (made.status, made.error, made.state) == ("error", str(raised.value), state)
    assert len(made.error.splitlines()) == 1
    return made.error


def test_a_backup_damaged_before_it_is_verified_lets_nothing_go(sent: Session, backups: Path) -> None:
    before = texts(sent)
    for name, damage in DAMAGES.items():
        with doing("retention manifest stored", lambda damage=damage: damage(newest(backups))):  # type: ignore[misc]
            require_refusal(BackupUnusable, RetentionState.EXPORTING)
        assert texts(sent) == before, name
        assert not RetentionBackup.objects.exists()

    assert execute().removed == 300, "the next run clears away what is left and begins anew"
    assert len(files(backups)) == 3


def test_a_backup_damaged_after_a_run_was_broken_off_lets_nothing_more_go(sent: Session, backups: Path) -> None:
    for name, damage in DAMAGES.items():
        with doing("retention batch", broken, 2), pytest.raises(Broken):
            execute()
        left = texts(sent)
        assert len(left) == 200
        damage(newest(backups))

        require_refusal(BackupUnusable, RetentionState.VERIFIED)

        assert texts(sent) == left, name
        assert RetentionBackup.objects.latest("id").state == BackupState.BROKEN
        assert (execute().removed, ids(sent)) == (200, set()), "the next run begins anew"
        states = RetentionRun.objects.filter(dry_run=False).order_by("-id").values_list("state", flat=True)
        assert list(states[:3]) == ["complete", "abandoned", "continued"]
        send(sent, 300)


def newest(folder: Path) -> Path:
    """The folder of the latest backup."""
    return folder / RetentionRun.objects.exclude(location="").latest("id").location


def test_a_part_that_is_exchanged_while_batches_go_stops_a_count_by_its_keys(sent: Session, backups: Path) -> None:
    def change() -> None:
        sent.execute("UPDATE letters SET copies = 0 WHERE id = 250")
        altered(part(backups), flip)

    with doing("retention batch", change, 3):
        require_refusal(BackupUnusable, RetentionState.DELETING)

    assert ids(sent) == set(range(201, 301)), "the batch is rolled back"


@contextmanager
def room(size: int) -> Iterator[None]:
    """Files of this process cannot be longer, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_lets_nothing_go_and_keeps_nothing_half_stored(sent: Session, backups: Path) -> None:
    before = texts(sent)

    with room(5_000):
        said = require_refusal(StorageFailed, RetentionState.EXPORTING)

    assert "File too large" in said
    assert (texts(sent), files(backups)) == (before, [])
    assert execute().removed == 300


def test_a_disk_without_room_for_the_manifest_lets_nothing_go(sent: Session, backups: Path) -> None:
    before = texts(sent)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with doing("retention exported", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))):
            require_refusal(StorageFailed, RetentionState.EXPORTING)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert (texts(sent), files(backups)) == (before, [])


def test_a_storage_that_cannot_be_written_lets_nothing_go(
    sent: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "file" / "backups"))

    said = require_refusal(StorageFailed, RetentionState.EXPORTING)

    assert "Not a directory" in said
    assert len(ids(sent)) == 300


def test_a_storage_that_is_away_when_a_run_is_to_go_on_is_waited_for(sent: Session, backups: Path) -> None:
    before = texts(sent)
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    away = backups.rename(backups.with_name("away"))

    for _ in range(2):
        said = require_refusal(StorageFailed, RetentionState.VERIFIED)
        assert f"{backups} is not there" in said
    assert (ids(sent), RetentionBackup.objects.get().state) == (REST, BackupState.VERIFIED)

    away.rename(backups)
    done = execute()
    assert (done.removed, ids(sent)) == (300, set())
    brought_back(done)
    assert texts(sent) == before


def test_a_storage_that_goes_away_before_it_is_read_back_lets_nothing_go(sent: Session, backups: Path) -> None:
    with doing("retention manifest stored", lambda: shutil.move(backups, backups.with_name("away"))):
        require_refusal(StorageFailed, RetentionState.EXPORTING)

    assert len(ids(sent)) == 300


@contextmanager
def clock(monkeypatch: pytest.MonkeyPatch, **apart: float) -> Iterator[None]:
    """This machine's clock is wrong by so much."""
    now = timezone.now
    with monkeypatch.context() as patch:
        patch.setattr("django.utils.timezone.now", lambda: now() + dt.timedelta(**apart))
        yield


@pytest.mark.parametrize("hours", [-1, 1, -24 * 3650, 24 * 3650])
def test_a_wrong_clock_of_this_machine_lets_nothing_go(
    sent: Session, backups: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    with clock(monkeypatch, hours=hours):
        for force in (False, True):
            refused = execute(force=force)
            assert (refused.status, refused.removed) == ("refused", None)
            assert "they may be" in refused.error

    assert (len(ids(sent)), files(backups)) == (300, [])


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_when_a_run_is_to_go_on_lets_nothing_more_go(
    sent: Session, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()

    with clock(monkeypatch, hours=hours):
        refused = execute()

    assert (refused.status, ids(sent)) == ("refused", REST)
    assert "they may be" in refused.error
    assert (execute().removed, ids(sent)) == (300, set()), "with the right one it goes on"


def test_a_clock_of_the_server_that_went_back_lets_nothing_go(sent: Session) -> None:
    RetentionRun.objects.update(started_at=timezone.now() + dt.timedelta(days=1))

    refused = execute(force=True)

    assert (refused.status, len(ids(sent))) == ("refused", 300)
    assert "and the last run began" in refused.error


@pytest.mark.parametrize("days", [-4000, 4000])
def test_a_wrong_clock_ends_no_backup(sent: Session, backups: Path, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    done = execute()

    with clock(monkeypatch, days=days):
        with pytest.raises(DualWriteError, match="they may be"):
            expire(OPERATOR, configured())
        swept, expired = sweep(OPERATOR)
        assert "they may be" in swept[-1].sentence
        assert not expired

    assert len(files(backups)) == 3
    assert brought_back(done).restored == 300


class Broken(Exception):
    """The process broke off here."""


def broken() -> None:
    raise Broken
