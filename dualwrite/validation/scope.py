"""What of a stream is compared: everything, a part of the space of key hashes, some keys, or a part and some keys.

Key hashes are 64-bit numbers, evenly spread whatever the keys are; slices of their range are therefore about equal in
size, cover every key exactly once, and stay the same from run to run as long as the method does.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dualwrite.exceptions import UsageError
from dualwrite.stream import FRACTIONAL, INTEGRAL, Field, Stream, key_text

LOWEST, HIGHEST = -(2**63), 2**63 - 1
#: So many keys are written out in the text of a scope; more are only counted.
WRITTEN_OUT = 20
_TEXT = re.compile(
    r"whole|(?:slice (?P<number>\d+)/(?P<of>\d+))?(?:(?(of) and )(?:keys (?P<keys>\[.*\])|(?P<count>\d+) keys))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Scope:
    """`part`: (number, of) slices of the key hashes, None where only keys are named; `named`: keys beside it."""

    part: tuple[int, int] | None = (0, 1)
    named: tuple[str, ...] = ()

    @classmethod
    def whole(cls) -> "Scope":
        """Everything."""
        return cls()

    @classmethod
    def slice(cls, number: int, of: int) -> "Scope":
        """Slice `number` (from 0) of so many; raises UsageError when there is none such."""
        if not 0 <= number < of:
            raise UsageError(f"slice {number} of {of}; valid: 0 to {of - 1} of at least 1")
        return cls((number, of))

    @classmethod
    def keys(cls, keys: Iterable[str]) -> "Scope":
        """These keys alone."""
        return cls(None, tuple(dict.fromkeys(keys)))

    def and_keys(self, keys: Iterable[str]) -> "Scope":
        """This, and these keys wherever they are; a key of the slice is looked at once."""
        return replace(self, named=() if self.is_whole else tuple(dict.fromkeys((*self.named, *keys))))

    def require_keys_of(self, stream: Stream) -> None:
        """Raise UsageError unless every named key is a key of the stream, written as the stores write it."""
        for key in self.named:
            if not _is_key(stream, key):
                fields = ", ".join(part.name for part in stream.key)
                example = key_text(["..."] * len(stream.key))
                raise UsageError(
                    f"{key!r} is no key of {stream.name}; valid: a JSON array of {fields}, each a text or null, "
                    f"without blanks between them: {example}"
                )

    @property
    def is_written_out(self) -> bool:
        """Whether the text names every key."""
        return len(self.named) <= WRITTEN_OUT

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.part is not None and self.part[1] == 1

    @property
    def bounds(self) -> tuple[int, int]:
        """Lowest and highest key hash of the slice, both part of it; raises UsageError where there is no slice."""
        if self.part is None:
            raise UsageError("some keys are no slice")
        number, of = self.part
        return LOWEST + (number * 2**64) // of, LOWEST + ((number + 1) * 2**64) // of - 1

    @property
    def share(self) -> float:
        """The share of all keys that the slice is."""
        return 1 / self.part[1] if self.part else 0.0

    def __str__(self) -> str:
        if self.is_whole:
            return "whole"
        part = f"slice {self.part[0]}/{self.part[1]}" if self.part else ""
        written = f"keys {json.dumps(self.named, ensure_ascii=False)}"
        keys = written if self.is_written_out else f"{len(self.named)} keys"
        return " and ".join(filter(None, (part, keys if self.named or not part else "")))

    @classmethod
    def parse(cls, text: str, named: Sequence[str] = ()) -> "Scope":
        """The scope of that text, as `str` gives it; `named` are its keys where the text only counts them.

        Raises UsageError for a text that is no scope, or counts other keys than these.
        """
        found = _TEXT.fullmatch(text)
        if not text or found is None:
            raise UsageError(f"{text!r} does not say what to compare; valid: whole, slice 3/48, keys [...]")
        if text == "whole":
            return cls.whole()
        keys = tuple(named) if found["count"] else _listed(found["keys"] or "[]")
        if found["count"] and int(found["count"]) != len(keys):
            raise UsageError(f"{text!r}: {len(keys)} of these keys are known")
        return replace(cls.slice(int(found["number"]), int(found["of"])), named=keys) if found["of"] else cls.keys(keys)


def _listed(text: str) -> tuple[str, ...]:
    keys = _parsed(text)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UsageError(f"{text!r} is no list of keys; valid: a JSON array of texts")
    return tuple(keys)


def _parsed(text: str) -> object:
    """What the JSON says, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_key(stream: Stream, key: str) -> bool:
    parts = _parsed(key)
    if not isinstance(parts, list) or len(parts) != len(stream.key):
        return False
    if not all(_is_part(field, part) for field, part in zip(stream.key, parts, strict=True)):
        return False
    # Compared as text with what the stores write. A number has more digits there than can be told here.
    return any(isinstance(part, float) for part in parts) or key_text(parts) == key


def _is_part(field: Field, part: object) -> bool:
    """Whether a key can have that part: a text that a server can have, NULL, or a number where the field is one."""
    if isinstance(part, str):
        return "\0" not in part and not any("\ud800" <= letter <= "\udfff" for letter in part)
    plain = field.type.partition("(")[0].strip().lower()
    return part is None or (isinstance(part, int | float) and plain in (*FRACTIONAL, *INTEGRAL, "boolean"))
