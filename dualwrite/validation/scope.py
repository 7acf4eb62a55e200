"""What of a stream is compared: everything, a part of the space of key hashes, some keys, or a part and some keys.

Key hashes are 64-bit numbers, evenly spread whatever the keys are; slices of their range are therefore about equal in
size, cover every key exactly once, and stay the same from run to run as long as the method does.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dualwrite.exceptions import UsageError

LOWEST, HIGHEST = -(2**63), 2**63 - 1
#: So many keys are written out in the text of a scope; more are only counted.
WRITTEN_OUT = 20
_TEXT = re.compile(r"whole|(?:slice (?P<number>\d+)/(?P<of>\d+))?(?: and )?(?:keys (?P<keys>\[.*\]))?", re.DOTALL)


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
        few = len(self.named) <= WRITTEN_OUT
        keys = f"keys {json.dumps(self.named, ensure_ascii=False)}" if few else f"{len(self.named)} keys"
        return " and ".join(filter(None, (part, keys if self.named or not part else "")))

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope of that text, as `str` gives it; raises UsageError where it only counts its keys, or is none."""
        found = _TEXT.fullmatch(text)
        if not text or found is None:
            raise UsageError(f"{text!r} does not say what to compare; valid: whole, slice 3/48, keys [...]")
        if text == "whole":
            return cls.whole()
        keys = tuple(json.loads(found["keys"] or "[]"))
        return replace(cls.slice(int(found["number"]), int(found["of"])), named=keys) if found["of"] else cls.keys(keys)
