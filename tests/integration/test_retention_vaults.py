"""Backups in an object store, here S3: the same promises, and nothing goes when it does not keep them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from django.conf import settings
from django.core.files.storage import FileSystemStorage
from moto import mock_aws

from dualwrite.exceptions import UsageError
from dualwrite.models import RetentionBackup
from dualwrite.retention import vault
from dualwrite.retention.drill import drill
from dualwrite.retention.exceptions import BackupUnusable, StorageFailed
from dualwrite.retention.expiry import expire
from dualwrite.stores import Session
from tests.integration.letters import OPERATOR, approved, brought_back, copied, days_ago, doing, execute, ids, send
from tests.integration.test_retention_faults import Broken, broken, flip

BUCKET, FOLDER = "attic", "registry/backups"


class Bucket:
    """What is in it, by name."""

    def __init__(self) -> None:
        self._client: Any = boto3.client("s3", region_name="us-east-1")
        self._client.create_bucket(Bucket=BUCKET)

    def names(self) -> list[str]:
        return [one["Key"] for one in self._client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def named(self, end: str) -> str:
        return next(name for name in self.names() if name.endswith(end))

    def flip(self, end: str) -> None:
        name = self.named(end)
        data = self._client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        self._client.put_object(Bucket=BUCKET, Key=name, Body=flip(data))

    def remove(self, end: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=self.named(end))

    def away(self) -> None:
        for name in self.names():
            self._client.delete_object(Bucket=BUCKET, Key=name)
        self._client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of nobody, which is where backups are."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", f"s3://{BUCKET}/{FOLDER}?region_name=us-east-1")
    with mock_aws():
        yield Bucket()


@pytest.fixture
def sent(letterbox: Session, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Three batches of old letters, approved; two parts, one session."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_PART_ROWS", "200")
    send(letterbox, 300)
    approved()
    return letterbox


def test_rows_go_there_and_come_back_and_the_backup_ends(sent: Session, bucket: Bucket) -> None:
    before = copied(sent)

    done = execute()

    folder = f"{FOLDER}/{done.location}"
    assert (done.removed, ids(sent)) == (300, set())
    assert bucket.names() == [f"{folder}/{name}" for name in ("manifest.json", "part-00001.zst", "part-00002.zst")]
    assert drill(OPERATOR).status == "passed"
    brought_back(done)
    assert copied(sent) == before
    RetentionBackup.objects.update(expires_at=days_ago(1))
    assert len(expire(OPERATOR, vault.configured())) == 1
    assert bucket.names() == []


def test_a_run_that_was_broken_off_goes_on_from_there(sent: Session, bucket: Bucket) -> None:
    before = copied(sent)
    with doing("retention exported", broken), pytest.raises(Broken):
        execute()
    assert bucket.names() == []
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()

    done = execute()

    assert (done.removed, ids(sent), len(bucket.names())) == (300, set(), 3)
    brought_back(done)
    assert copied(sent) == before


@pytest.mark.parametrize(("what", "damage"), [("part-00002.zst", Bucket.flip), ("manifest.json", Bucket.remove)])
def test_an_object_that_changes_or_goes_behind_our_back_lets_nothing_go(
    sent: Session, bucket: Bucket, what: str, damage: Any
) -> None:
    with doing("retention manifest stored", lambda: damage(bucket, what)), pytest.raises(BackupUnusable) as raised:
        execute()
    assert (what in str(raised.value), len(str(raised.value).splitlines())) == (True, 1)
    assert len(ids(sent)) == 300

    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    damage(bucket, what)
    assert drill(OPERATOR).status == "failed"
    RetentionBackup.objects.update(state="verified")
    with pytest.raises(BackupUnusable):
        execute()

    assert ids(sent) == set(range(101, 301))
    assert RetentionBackup.objects.get().state == "broken"
    assert (execute().removed, ids(sent)) == (200, set())


def test_a_bucket_that_is_missing_is_a_storage_that_is_away(sent: Session, bucket: Bucket) -> None:
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    bucket.away()

    for _ in range(2):
        with pytest.raises(StorageFailed) as raised:
            execute()
        assert f"s3://{BUCKET}" in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1
    tried = drill(OPERATOR)
    assert [one["known"] for one in tried.checked] == [False]
    RetentionBackup.objects.update(expires_at=days_ago(1))
    assert RetentionBackup.objects.get().state == "verified"
    assert ids(sent) == set(range(101, 301))


def test_nothing_goes_when_there_is_no_bucket_at_all(sent: Session, bucket: Bucket) -> None:
    bucket.away()
    with pytest.raises(StorageFailed, match="NoSuchBucket"):
        execute()
    assert len(ids(sent)) == 300


def test_a_network_that_is_away_lets_nothing_go(sent: Session, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **values: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3.example")

    with monkeypatch.context() as patch:
        patch.setattr("botocore.httpsession.URLLib3Session.send", away)
        patch.setattr("botocore.client.BaseClient._make_api_call", away)
        with pytest.raises(StorageFailed, match="Could not connect") as raised:
            execute()
    assert len(str(raised.value).splitlines()) == 1
    assert len(ids(sent)) == 300


def test_an_object_is_never_written_over(bucket: Bucket) -> None:
    store = vault.configured()
    with store.new("letters/x") as file:
        file.write(b"first")
    with pytest.raises(StorageFailed, match="is there already"), store.new("letters/x") as file:
        file.write(b"second")
    with store.read("letters/x") as file:
        assert file.read() == b"first"
    with pytest.raises(Broken), store.new("letters/y"):
        raise Broken
    assert bucket.names() == [f"{FOLDER}/letters/x"]
    store.remove("letters")
    store.remove("letters")
    assert bucket.names() == []


def test_a_backend_with_folders_removes_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    store = vault.RemoteVault(FileSystemStorage(location=tmp_path), "somewhere")
    for name in ("letters/run-1/x", "letters/run-2/x"):
        with store.new(name) as file:
            file.write(b"text")
    store.remove("letters/run-1")
    store.remove("letters/run-1")
    assert [path.parent.name for path in tmp_path.rglob("x")] == ["run-2"]
    with pytest.raises(BackupUnusable, match="no such file"), store.read("letters/run-1/x"):
        raise Broken
    tmp_path.rename(tmp_path.with_name("away"))
    with pytest.raises(StorageFailed, match="somewhere is not there"), store.read("letters/run-2/x"):
        raise Broken


def test_a_file_is_never_written_over_and_never_half_there(tmp_path: Path) -> None:
    store = vault.opened(f"file://{tmp_path}/a%20b")
    with store.new("letters/x") as file:
        file.write(b"first")
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.partial"]
    with pytest.raises(StorageFailed, match="is there already"), store.new("letters/x") as file:
        file.write(b"second")
    with pytest.raises(Broken), store.new("letters/y"):
        raise Broken
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in found] == ["x"]
    assert (found[0].read_bytes(), oct(found[0].stat().st_mode)[-3:]) == (b"first", "600")
    assert oct((tmp_path / "a b").stat().st_mode)[-3:] == "700"
    store.remove("letters")
    store.remove("letters")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "relative/path",
        "file://relative",
        "ftp://host/x",
        "s3://",
        "s3:///folder",
        "s3://bucket?no_such_option=1",
        "://",
    ],
)
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(UsageError, match="BACKUP_STORAGE_URL") as raised:
        vault.opened(address)
    assert len(str(raised.value).splitlines()) == 1


def test_secrets_of_an_address_are_not_shown() -> None:
    with pytest.raises(UsageError) as raised:
        vault.opened("s3://key:very-secret@bucket?no_such_option=also-secret")
    assert "secret" not in str(raised.value)
