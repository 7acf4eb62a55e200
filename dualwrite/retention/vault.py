"""The storage of backups: a directory of this machine, or any backend of django-storages.

What is stored is whole or not there: a local file is flushed to the disk under another name, renamed, and its folder
flushed; a remote one is finished on this machine first, then sent in one piece.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from dualwrite.exceptions import UsageError
from dualwrite.retention.exceptions import BackupUnusable, StorageFailed

#: The scheme of BACKUP_STORAGE_URL → a backend, and the option that the part behind `//` names.
BACKENDS = {
    "s3": ("storages.backends.s3.S3Storage", "bucket_name"),
    "gs": ("storages.backends.gcloud.GoogleCloudStorage", "bucket_name"),
    "azure": ("storages.backends.azure_storage.AzureStorage", "azure_container"),
    "sftp": ("storages.backends.sftpstorage.SFTPStorage", "host"),
}
VALID = f"valid: a directory, file:///DIRECTORY, or {', '.join(f'{name}://...' for name in BACKENDS)}"
PARTIAL = ".partial"


class Vault(Protocol):
    """Where backups are. Names have folders, separated by `/`. Each raises StorageFailed; BackupUnusable
    where a file is not there. `readers`: how many of its files may be read at once."""

    readers: int

    def new(self, name: str) -> Any:
        """A context that gives a file to be written, stored under that name when it ends well, else not at all."""

    def read(self, name: str) -> Any:
        """A context that gives a file to be read."""

    def remove(self, folder: str) -> None:
        """Remove a folder with all that is in it, if it is there."""

    def require_there(self) -> None:
        """Raise StorageFailed where the whole storage is away: then a file that is missing is not lost."""

    def describe(self) -> str:
        """Where it is, fit to be shown."""


class LocalVault:
    """A directory of this machine."""

    #: Expanding and hashing keep two processors busy; more would be taken from whom the machine is for.
    readers = 2

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        """As Vault says."""
        path = self._root / name
        partial = path.with_name(path.name + PARTIAL)
        with _failing(f"{path} cannot be written"):
            self._make(path.parent)
            if path.exists():
                raise StorageFailed(f"{path} is there already")
            try:
                with open(partial, "xb", opener=_private) as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                partial.rename(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            _flush(path.parent)

    @contextmanager
    def read(self, name: str) -> Iterator[IO[bytes]]:
        """As Vault says."""
        path = self._root / name
        self.require_there()
        with _failing(f"{path} cannot be read"), path.open("rb") as file:
            yield file

    def remove(self, folder: str) -> None:
        """As Vault says."""
        path = self._root / folder
        with _failing(f"{path} cannot be removed"):
            if path.exists():
                shutil.rmtree(path)

    def require_there(self) -> None:
        """As Vault says."""
        if not self._root.is_dir():
            raise StorageFailed(f"{self._root} is not there")

    def describe(self) -> str:
        """As Vault says."""
        return str(self._root)

    def _make(self, folder: Path) -> None:
        for step in reversed([step for step in (folder, *folder.parents) if not step.exists()]):
            step.mkdir(mode=0o700, exist_ok=True)
            _flush(step.parent)


def _private(path: str, flags: int) -> int:
    """Nobody else reads what is backed up."""
    return os.open(path, flags, 0o600)


def _flush(folder: Path) -> None:
    """A name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RemoteVault:
    """A backend of django-storages."""

    #: Not every backend may be used by two threads.
    readers = 1

    def __init__(self, storage: Storage, where: str) -> None:
        self._storage, self._where = storage, where

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        """As Vault says."""
        with _failing(f"{self._where}: {name} cannot be stored"), tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            if self._storage.exists(name):
                raise StorageFailed(f"{self._where}: {name} is there already")
            stored = self._storage.save(name, File(file, name=name))
            if stored != name:
                raise StorageFailed(f"{self._where}: {name} was stored as {stored}")

    @contextmanager
    def read(self, name: str) -> Iterator[IO[bytes]]:
        """As Vault says."""
        with _failing(f"{self._where}: {name} cannot be read"):
            try:
                file = self._storage.open(name, "rb")
            except FileNotFoundError:
                self.require_there()
                raise
            with file:
                yield cast("IO[bytes]", file)

    def remove(self, folder: str) -> None:
        """As Vault says."""
        with _failing(f"{self._where}: {folder} cannot be removed"):
            try:
                folders, files = self._storage.listdir(folder)
            except FileNotFoundError:
                return  # some backends have folders, and this one is gone
            for name in files:
                self._storage.delete(f"{folder}/{name}")
            for name in folders:
                self.remove(f"{folder}/{name}")

    def require_there(self) -> None:
        """As Vault says."""
        with _failing(f"{self._where} is not there"):
            try:
                self._storage.listdir("")
            except FileNotFoundError as exc:
                raise StorageFailed(f"{self._where} is not there") from exc

    def describe(self) -> str:
        """As Vault says."""
        return self._where


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise BackupUnusable(f"{what}: there is no such file") from exc
    except OSError as exc:
        raise StorageFailed(f"{what}: {exc.strerror or exc}") from exc
    except Exception as exc:
        if not _is_the_backends(exc):
            raise
        raise StorageFailed(f"{what}: {(str(exc).splitlines() or [type(exc).__name__])[0]}") from exc


def _is_the_backends(exc: Exception) -> bool:
    """Each backend has exceptions of its own, which have no family in common."""
    return type(exc).__module__.split(".")[0] in ("boto3", "botocore", "s3transfer", "google", "azure", "paramiko")


def configured() -> Vault:
    """The vault of BACKUP_STORAGE_URL; raises UsageError for an address that is none, StorageFailed."""
    return opened(str(settings.BACKUP_STORAGE_URL))


def opened(address: str) -> Vault:
    """The vault at the address; options of a backend follow a question mark, as `s3://bucket/folder?region_name=...`."""
    parts = urlsplit(address)
    if not parts.scheme or parts.scheme == "file":
        if not parts.path.startswith("/"):
            raise UsageError(f"BACKUP_STORAGE_URL {address!r} is no whole path; {VALID}")
        return LocalVault(Path(unquote(parts.path)))
    if parts.scheme not in BACKENDS or not parts.hostname:
        raise UsageError(f"BACKUP_STORAGE_URL has the scheme {parts.scheme!r}; {VALID}")
    backend, first = BACKENDS[parts.scheme]
    options = {first: parts.netloc.rpartition("@")[2], **dict(parse_qsl(parts.query))}
    if parts.path.strip("/"):
        options["root_path" if parts.scheme == "sftp" else "location"] = unquote(parts.path.strip("/"))
    where = f"{parts.scheme}://{options[first]}{parts.path}"
    try:
        storage = import_string(backend)(**options)
    except ImportError as exc:
        raise UsageError(f"BACKUP_STORAGE_URL {parts.scheme}://: a package is missing ({exc})") from exc
    except Exception as exc:
        raise UsageError(f"BACKUP_STORAGE_URL {where}: {exc}") from exc
    return RemoteVault(storage, where)
