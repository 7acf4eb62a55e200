"""Records as they are given: checked against the stream, and turned into the JSON that the server reads. No I/O."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from dualwrite.exceptions import RecordInvalid
from dualwrite.stream import Stream

#: More records in one call would hold the authority's locks for too long.
MOST_RECORDS = 10_000
#: Of a whole number; Python writes no longer one out.
MOST_BITS = 14_000


def as_json(stream: Stream, records: Sequence[Mapping[str, object]]) -> str:
    """The records as a JSON array of objects; raises RecordInvalid saying which record and what is wrong with it.

    A record maps every field of the stream, those of the key included, to its value: text, a number, a date, a time, a
    truth value, or None where the field may lack one.
    """
    return _as_json(stream, records, [f.name for f in (*stream.key, *stream.fields)])


def keys_as_json(stream: Stream, keys: Sequence[Mapping[str, object]]) -> str:
    """The same of keys: a mapping has the key's fields and nothing else."""
    return _as_json(stream, keys, [f.name for f in stream.key])


def amended_as_json(stream: Stream, records: Sequence[Mapping[str, object]]) -> tuple[tuple[str, ...], str]:
    """The same of records with some fields beside the key's, the same in all: the names of these, and the JSON."""
    if not _is_list(records):
        raise RecordInvalid("records: a list of mappings is needed")
    given = set(records[0]) if records and isinstance(records[0], Mapping) else set()
    fields = tuple(f.name for f in stream.fields if f.name in given)
    if records and not fields:
        raise RecordInvalid(f"record 1: nothing to change; the fields are {', '.join(f.name for f in stream.fields)}")
    return fields, _as_json(stream, records, [*[f.name for f in stream.key], *fields])


def _as_json(stream: Stream, records: Sequence[Mapping[str, object]], fields: Sequence[str]) -> str:
    if not _is_list(records):
        raise RecordInvalid("records: a list of mappings is needed")
    if len(records) > MOST_RECORDS:
        raise RecordInvalid(f"{len(records)} records in one call; {MOST_RECORDS} are the most")
    seen: dict[str, int] = {}
    for number, record in enumerate(records, start=1):
        _check(stream, number, record, fields)
        key = json.dumps([record[part.name] for part in stream.key], default=_text)
        if seen.setdefault(key, number) != number:
            raise RecordInvalid(f"records {seen[key]} and {number} have the same key {key}")
    return json.dumps([{name: _value(record[name]) for name in fields} for record in records], default=_text)


def _is_list(records: object) -> bool:
    return isinstance(records, Sequence) and not isinstance(records, (str, bytes))


def _check(stream: Stream, number: int, record: object, fields: Sequence[str]) -> None:
    if not isinstance(record, Mapping):
        raise RecordInvalid(f"record {number}: a mapping of field names to values is needed")
    unknown = sorted(str(name) for name in record if name not in fields)
    if unknown:
        raise RecordInvalid(f"record {number}: unknown {', '.join(unknown)}; the fields are {', '.join(fields)}")
    missing = [name for name in fields if name not in record]
    if missing:
        raise RecordInvalid(f"record {number}: {', '.join(missing)} missing; None says that there is no value")
    empty = [part.name for part in stream.key if record[part.name] is None]
    if empty:
        raise RecordInvalid(f"record {number}: {', '.join(empty)} is part of the key and has no value")
    for name in fields:
        _check_value(number, name, record[name])
    nul = [name for name in fields if "\0" in str(record[name])]
    if nul:
        raise RecordInvalid(
            f"record {number}: {', '.join(nul)} has a character with the code 0, which no text may have"
        )


def _check_value(number: int, name: str, value: object) -> None:
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise RecordInvalid(f"record {number}: {name} is a number of more digits than can be written")
    if isinstance(value, (list, tuple, set, Mapping)):
        raise RecordInvalid(
            f"record {number}: {name} has a value of the type {type(value).__name__}; that is not one value"
        )


def _value(value: object) -> object:
    # JSON knows neither; the server reads both from a text.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, Decimal) or hasattr(value, "hex"):
        return str(value)
    raise RecordInvalid(f"a value of the type {type(value).__name__} cannot be written")
