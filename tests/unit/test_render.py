"""What people read about a step: its gates, how long writers waited, what is in the way and what mends it."""

from typing import Any

from dualwrite.control.gates import Finding
from dualwrite.control.step import Moved
from dualwrite.management.render import disabled_text, in_short, moved_text

OPEN = Finding("parked", True, "", "", {"count": 0}, True)
SHUT = Finding("validation", False, "none has finished", "manage.py run_validation", {"generation": 2}, True)
NEVER = Finding("capture", False, "a trigger is missing", "manage.py dualwrite install", {}, False)


def moved(*gates: Finding, changed: bool = False, blocked: tuple[str, ...] = ()) -> Moved:
    return Moved("things", "shadow", "live", changed, ["A.", "B."], list(gates), 0.0412, 7, blocked)


def test_a_step_that_was_taken_says_how_long_writers_waited_and_where_it_is_kept() -> None:
    text = moved_text(moved(OPEN, changed=True), dry_run=False)
    assert text.startswith("things: shadow → live; writers waited 41 ms; transition 7")
    assert "parked  open   count 0" in text


def test_a_dry_run_shows_the_plan_in_numbers() -> None:
    text = moved_text(moved(OPEN), dry_run=True)
    assert text.startswith("things: shadow → live: nothing blocks it\n\n1. A.\n2. B.\n")


def test_what_blocks_is_told_with_what_mends_it() -> None:
    text = moved_text(moved(OPEN, SHUT, NEVER, blocked=("validation: none",)), dry_run=False)
    assert text.startswith("things: shadow → live: refused")
    assert "validation  CLOSED " in text
    assert "capture     CLOSED, never forced" in text
    assert "! validation: none has finished\n    manage.py run_validation" in text


def test_a_gate_that_was_overridden_is_not_called_closed() -> None:
    text = moved_text(moved(SHUT, changed=True), dry_run=False)
    assert "validation  overridden" in text
    assert "CLOSED" not in text


def test_evidence_is_shortened_and_empty_facts_are_left_out() -> None:
    facts = {"none": None, "text": "", "paused": False, "hash": "f" * 40, "keys": ["a", "b"], "in": {"role": "mirror"}}
    assert in_short(facts) == f"paused no, hash {'f' * 23}…, keys [a, b], in (role mirror)"
    assert len(in_short({f"fact {n}": n for n in range(100)})) == 100


def test_a_stream_that_could_not_be_stopped_cannot_be_overlooked() -> None:
    rows: list[dict[str, Any]] = [
        {"stream": "a", "changed": None, "error": "it is away"},
        {"stream": "b", "changed": True, "authority": "registry", "pending": ("the audit lacks it",), "error": None},
    ]
    lines = disabled_text(rows, dry_run=False).splitlines()
    assert lines[0] == "a: NOT disabled: it is away"
    assert lines[1].startswith("b: disabled; writes to the registry store")
    assert lines[2] == "! b: the audit lacks it"
