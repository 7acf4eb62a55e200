"""What a backup is: its parts and batches, of which table, by which policy. Stored last; without it there is none."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.part import Part
from dualwrite.retention.rows import Batch
from dualwrite.retention.vault import Vault

FILE = "manifest.json"
FORM = 1


@dataclass(frozen=True)
class Stored:
    """A part with the batches of its rows, in their order."""

    part: Part
    batches: tuple[Batch, ...]

    def placed(self) -> Iterator[tuple[Batch, int]]:
        """Each batch, and how many bytes of the part's text come before it."""
        before = 0
        for batch in self.batches:
            yield batch, before
            before += batch.text_bytes


@dataclass(frozen=True)
class Moment:
    """The snapshot of the export: transactions below `snapshot` had ended, from `until` on none had begun; and in which
    cluster transactions are numbered so."""

    snapshot: str
    until: str
    system: str


@dataclass(frozen=True)
class Manifest:
    """Everything that is needed to restore the rows, with the server's own program alone if need be.

    columns: name → type, in the order of the lines. `policy`: as it was frozen. `cutoff`, `made_at`: ISO 8601.
    `server`: version and encoding. `previous`: the sha256 of the manifest before it of the same table; a chain.
    """

    run: int
    name: str
    policy: Mapping[str, Any]
    policy_hash: str
    schema_hash: str
    schema: str
    table: str
    key: str
    columns: Mapping[str, str]
    cutoff: str
    made_at: str
    server: Mapping[str, str]
    previous: str
    moment: Moment
    parts: tuple[Stored, ...]

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(stored.part.rows for stored in self.parts)

    @property
    def size(self) -> int:
        """Stored bytes of all parts."""
        return sum(stored.part.bytes for stored in self.parts)

    def encoded(self) -> bytes:
        """As it is stored."""
        totals = {"form": FORM, "rows": self.rows, "bytes": self.size, "text": "COPY, format text, zstd"}
        return json.dumps({**totals, **asdict(self)}, indent=1, ensure_ascii=False).encode()


def store(vault: Vault, folder: str, manifest: Manifest) -> str:
    """Store it, which makes the parts a backup; its sha256. Raises StorageFailed."""
    data = manifest.encoded()
    with vault.new(f"{folder}/{FILE}") as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def load(vault: Vault, folder: str, sha256: str) -> Manifest:
    """The manifest of a backup; raises StorageFailed where it is not there, BackupUnusable where it was changed."""
    with vault.read(f"{folder}/{FILE}") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BackupUnusable(f"{folder}/{FILE} is not as it was written: its sha256 differs")
    return decoded(data)


def decoded(data: bytes) -> Manifest:
    """The manifest of its bytes; raises BackupUnusable."""
    try:
        found = json.loads(data)
        if found.pop("form") != FORM:
            raise BackupUnusable("its form is not known to this version")
        own = {name: found[name] for name in Manifest.__dataclass_fields__ if name not in ("parts", "moment")}
        moment = Moment(**found["moment"])
        parts = tuple(
            Stored(Part(**stored["part"]), tuple(Batch(**batch) for batch in stored["batches"]))
            for stored in found["parts"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BackupUnusable(f"the manifest cannot be read: {exc}") from exc
    return Manifest(parts=parts, moment=moment, **own)
