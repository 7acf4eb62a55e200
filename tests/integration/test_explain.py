"""`dualwrite explain` tells the life of one record; `dualwrite skip` gives a parked key up and keeps what it was."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from dualwrite.control.explain import explain
from dualwrite.control.parked import redrive, skip
from dualwrite.exceptions import UsageError
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.archiving import archive
from tests.support import add, column, enabled, one, tampered

TCS = '["NSE:TCS","NIFTY 50"]'
BAD = '["NSE:BAD","NIFTY 50"]'
WITHOUT_REASON = Actor("test", "")


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> None:
    enabled(memberships)


def told(*words: str, code: int = 0, **options: object) -> tuple[dict[str, Any], str]:
    """What the command says, as JSON and as text."""
    answers = []
    for form in (["--json"], []):
        out = StringIO()
        if code:
            with pytest.raises(SystemExit) as end:
                call_command("dualwrite", "explain", *words, *form, stdout=out)
            assert end.value.code == code
        else:
            call_command("dualwrite", "explain", *words, *form, stdout=out, **options)
        answers.append(out.getvalue())
    return json.loads(answers[0]), answers[1]


def test_a_record_is_followed_from_its_write_to_its_comparison(screener: Session, memberships: Stream) -> None:
    add(screener, "TCS", weight=4)
    written = explain(memberships, TCS)
    assert written.waits_seconds is not None
    assert (written.differing, written.relayed_at, written.compared) == (["weight", "sector", "date_added"], None, None)
    worker.drain(memberships)
    relayed = explain(memberships, TCS)
    assert (relayed.waits_seconds, relayed.differing) == (None, [])
    assert relayed.relayed_at is not None
    run = validate(memberships)
    compared = explain(memberships, TCS)
    assert compared.relayed_at is None
    assert compared.compared is not None
    assert (compared.compared.run, compared.compared.status) == (run.pk, "passed")
    assert compared.compared.at >= relayed.relayed_at


def test_a_key_put_back_for_another_look_was_not_relayed_again(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "TCS", weight=4)
    worker.drain(memberships)
    tampered(registry, "UPDATE instrument_registry.index_memberships SET weight = 5")
    validate(memberships)
    found = explain(memberships, TCS)
    assert one(registry, "SELECT count(*) FROM dualwrite.touched WHERE %s = ANY (keys)", TCS) == 1
    assert (found.relayed_at, found.differing) == (None, ["weight"])


def test_both_stores_and_the_spells_are_shown(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "TCS", weight=4)
    worker.drain(memberships)
    tampered(registry, "UPDATE instrument_registry.index_memberships SET weight = 5")
    data, text = told("NSE:TCS", "NIFTY 50")
    (record,) = data["records"]
    assert [(side["store"], side["role"]) for side in record["stores"]] == [
        ("screener", "authority"),
        ("registry", "mirror"),
    ]
    assert [float(side["records"][0]["weight"]) for side in record["stores"]] == [4, 5]
    assert record["differing"] == ["weight"]
    assert [spell["source"] for spell in record["history"]] == ["membership"]
    for line in ("screener (authority)", "registry (mirror)", "differs   in weight", "waits     no", "spell ["):
        assert line in text


def test_archived_spells_are_shown_too(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "TCS", effective_date="2020-01-01")
    worker.drain(memberships)
    screener.execute("DELETE FROM index_memberships")
    worker.drain(memberships)
    before = explain(memberships, TCS).history
    assert archive() == len(before) == 2
    assert explain(memberships, TCS).history == before


def test_a_parked_key_is_shown_with_its_error(screener: Session, memberships: Stream) -> None:
    add(screener, "BAD", weight="NaN")
    worker.drain(memberships)
    parked = explain(memberships, BAD).parked
    assert parked is not None
    assert (parked.error, parked.attempts) == (ParkedKey.objects.get().error, 1)
    redrive(memberships, TESTER)
    worker.drain(memberships)
    again = explain(memberships, BAD).parked
    assert again is not None
    assert again.attempts == 2


@pytest.mark.parametrize("words", [[TCS], ['["NSE:TCS", "NIFTY 50"]'], ["NSE:TCS", "NIFTY 50"], ["--key", TCS]])
def test_a_key_may_be_typed_as_json_or_in_words(screener: Session, words: list[str]) -> None:
    add(screener, "TCS")
    data, _ = told(*words)
    assert [(record["stream"], record["key"]) for record in data["records"]] == [("index_memberships", TCS)]
    assert data["records"][0]["stores"][0]["records"]


def test_a_record_that_nobody_has_is_told_as_such() -> None:
    data, text = told("NSE:NONE", "NIFTY 50")
    assert [side["records"] for side in data["records"][0]["stores"]] == [[], []]
    assert text.count("no such record") == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name the key: explain KEY"),
        (
            ["a", "b", "c"],
            "has 3 parts, and no stream has such a key; valid: index_memberships: instrument_key, index_id",
        ),
        (["a", "--stream", "index_memberships"], "is no key of index_memberships; valid: a JSON array of"),
        (["a", "--stream", "nope"], "valid: index_memberships, instruments"),
    ],
)
def test_what_is_no_key_is_told_in_a_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=r"^[^\n]*$") as caught:
        call_command("dualwrite", "explain", *words)
    assert sentence in str(caught.value)
    assert caught.value.returncode == 2


@pytest.mark.parametrize("verb", ["status", "pause"])
def test_a_word_that_a_verb_does_not_take_is_refused(verb: str) -> None:
    with pytest.raises(CommandError, match=f"{verb} takes no index_memberships") as caught:
        call_command("dualwrite", verb, "index_memberships")
    assert caught.value.returncode == 2


def test_a_store_that_cannot_be_asked_keeps_the_rest_from_nothing(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(screener, "TCS")
    worker.drain(memberships)
    connection = connections[Store.SCREENER.alias]
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    data, text = told("NSE:TCS", "NIFTY 50", code=3)
    (record,) = data["records"]
    assert (record["stores"][0]["records"], record["differing"]) == (None, None)
    assert len(record["stores"][1]["records"]) == 1
    assert len(record["unknown"]) == 1
    assert "screener" in record["unknown"][0]
    assert "could not be asked" in text
    assert "cannot be told" in text


def test_skip_gives_a_parked_key_up_and_the_audit_keeps_what_it_was(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "BAD", weight="NaN")
    worker.drain(memberships)
    error = ParkedKey.objects.get().error
    out = StringIO()
    call_command(
        "dualwrite", "skip", "--stream", "index_memberships", "--key", BAD, "--reason", "source mends it", stdout=out
    )
    assert not ParkedKey.objects.exists()
    assert "the mirror keeps what it has" in out.getvalue()
    (kept,) = column(
        registry, "SELECT evidence FROM dualwrite.audit WHERE verb = 'skip' AND reason = 'source mends it'"
    )
    assert (kept["key"], kept["error"], kept["record"][0]["symbol"]) == (BAD, error, "BAD")
    assert validate(memberships).missing_in_mirror == 1


def test_skip_needs_a_reason_and_a_parked_key(screener: Session, memberships: Stream) -> None:
    add(screener, "BAD", weight="NaN")
    worker.drain(memberships)
    with pytest.raises(UsageError, match="skip needs a reason"):
        skip(memberships, WITHOUT_REASON, BAD)
    with pytest.raises(UsageError, match="not parked in index_memberships"):
        skip(memberships, TESTER, TCS)
    with pytest.raises(CommandError, match="name the key with --key"):
        call_command("dualwrite", "skip", "--stream", "index_memberships", "--reason", "why")
    assert ParkedKey.objects.count() == 1
