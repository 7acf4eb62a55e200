"""From which store consumers read, stage by stage; the comparison with the other one, which nobody waits for."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dualwrite.control.advance import rollback
from dualwrite.control.disable import disable
from dualwrite.control.pause import pause
from dualwrite.exceptions import StoreUnreachable
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from registry.models import ConsumerCalls, IgnoreRule, ReadMismatch
from registry.reading import comparison, counted, records, stage, usage
from registry.reading.rollout import place_of
from tests.conftest import TESTER
from tests.integration.asking import OLD, V1, api, consumer, got
from tests.integration.away import CLOSED_PORT, move
from tests.integration.moving import bring, eventually, proven, quick, relay_at_work, relayed
from tests.support import add, at_work, enabled

__all__ = ["api"]

PREFIX = "INSTRUMENT_REGISTRY_"


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read is compared, with time enough."""
    monkeypatch.setenv(f"{PREFIX}READ_COMPARED_PERCENT", "100")
    monkeypatch.setenv(f"{PREFIX}READ_COMPARISON_SECONDS", "30")


@pytest.fixture
def moving(api: Client, screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """The stream with one record, enabled, a relay at work."""
    quick(monkeypatch)
    add(screener, "TCS", weight=4)
    with relay_at_work(memberships):
        enabled(memberships)
        yield memberships


def asked(client: Client, **query: str) -> tuple[str, str]:
    """Stage and store of an answer."""
    answer = client.get(f"{V1}/index-memberships", query)
    assert answer.status_code == 200, answer.content
    return answer.headers["Registry-Stage"], answer.headers["Registry-Store"]


def asked_at(client: Client, stage: Stage) -> tuple[str, str]:
    """The same once the stage is known: a thread that reads it meanwhile lets the others go on with the one before."""
    eventually(lambda: asked(client)[0] == stage.value)
    return asked(client)


def results(mode: str = "ab") -> dict[str, int]:
    """Comparisons of memberships so far, by result."""
    comparison.close()
    found = {}
    for metric in counted.COMPARISONS.collect():
        for sample in metric.samples:
            labels = sample.labels
            mine = (labels["stream"], labels["mode"]) == ("index_memberships", mode)
            if mine and sample.name.endswith("_total") and sample.value:
                found[labels["result"]] = int(sample.value)
    return found


def grown(before: dict[str, int], mode: str = "ab") -> dict[str, int]:
    return {name: value - before.get(name, 0) for name, value in results(mode).items() if value != before.get(name, 0)}


def tampered(session: Session, query: str) -> None:
    """Change a store without anybody noticing."""
    with session.transaction():
        session.execute("ALTER TABLE index_memberships DISABLE TRIGGER USER")
        session.execute(query.encode())
        session.execute("ALTER TABLE index_memberships ENABLE TRIGGER USER")


def test_each_stage_reads_from_its_store_and_compares_with_the_other_one_at_shadow_and_live(
    api: Client, moving: Stream, screener: Session, compared: None
) -> None:
    """Through all stages, forth and back, while the old service and the API write."""
    ended = threading.Event()

    def write() -> int:
        """Whichever store takes the writes, by the API, and a read of what was just written."""
        number = 0
        while not ended.is_set():
            number += 1
            record = {"instrument_key": f"NSE:W{number % 7}", "index_id": "NIFTY 50", "weight": number % 90}
            sent = {"memberships": [{**record, "sector": None, "date_added": None}]}
            answer = api.post(f"{V1}/index-memberships/bulk", sent, content_type="application/json")
            assert answer.status_code == 200, answer.content
            told = got(api, f"{V1}/index-memberships", instrument_key=record["instrument_key"], index_id="NIFTY 50")
            assert told["memberships"][0]["weight"] == str(number % 90)
        return number

    before, seen = results(), []
    with at_work(write) as writes:
        try:
            for to in (Stage.SHADOW, Stage.LIVE):
                bring(moving, to)
                seen.append(asked_at(api, to))
            proven(moving)
            rollback(moving, TESTER)
            seen.append(asked_at(api, Stage.SHADOW))
            for to in (Stage.LIVE, Stage.RAMPDOWN):
                bring(moving, to)
                seen.append(asked_at(api, to))
        finally:
            ended.set()
        assert writes.result(60) > 10
    assert seen == [
        ("shadow", "screener"),
        ("live", "registry"),
        ("shadow", "screener"),
        ("live", "registry"),
        ("rampdown", "registry"),
    ]
    found = grown(before)
    assert found.keys() <= {"equal", "unsettled", "timeout", "dropped"}, (found, list(ReadMismatch.objects.values()))
    assert found["equal"] > 0
    assert not ReadMismatch.objects.exists()


def test_before_shadow_and_after_live_nothing_is_compared(api: Client, moving: Stream, compared: None) -> None:
    before = results()
    assert asked(api) == ("dualwrite", "screener")
    assert got(api, OLD)["memberships"][0]["symbol"] == "TCS"
    assert grown(before) == {}


def test_a_record_that_differs_is_a_mismatch_and_kept_as_a_sample(
    api: Client, moving: Stream, screener: Session, registry: Session, compared: None
) -> None:
    bring(moving, Stage.SHADOW)
    tampered(registry, "UPDATE index_memberships SET weight = 5, sector = 'IT'")
    before = results()
    assert asked(consumer("pricing")) == ("shadow", "screener")
    assert grown(before) == {"mismatch": 1}
    row = ReadMismatch.objects.get()
    assert (row.consumer, row.stage, row.served_by, row.key) == (
        "pricing",
        "shadow",
        "screener",
        '["NSE:TCS","NIFTY 50"]',
    )
    assert row.served is not None
    assert row.other is not None
    assert (row.fields, row.served["weight"], row.other["weight"]) == (["weight", "sector"], "4.000000", "5.000000")
    tampered(registry, "DELETE FROM index_memberships")
    assert asked(api, index_id="NIFTY 50") == ("shadow", "screener")
    results()
    assert ReadMismatch.objects.latest("id").other is None


def test_a_known_difference_is_ignored_by_its_rule_until_the_rule_ends(
    api: Client, moving: Stream, registry: Session, compared: None
) -> None:
    bring(moving, Stage.SHADOW)
    tampered(registry, "UPDATE index_memberships SET sector = 'IT'")
    until = timezone.now() + timedelta(days=1)
    rule = IgnoreRule(
        name="sectors", stream="index_memberships", fields=["sector"], reason="another source", until=until
    )
    rule.save()
    before = results()
    asked(api)
    assert grown(before) == {"ignored": 1}
    tampered(registry, "UPDATE index_memberships SET weight = 7")
    asked(api)
    assert grown(before) == {"ignored": 1, "mismatch": 1}, "a rule covers its fields, and no others"
    tampered(registry, "UPDATE index_memberships SET weight = 4")
    IgnoreRule.objects.update(until=timezone.now())
    asked(api)
    assert grown(before) == {"ignored": 1, "mismatch": 2}


def test_what_is_being_relayed_is_no_mismatch(
    api: Client, screener: Session, memberships: Stream, compared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    add(screener, "TCS", weight=4)
    with relay_at_work(memberships):
        enabled(memberships)
        bring(memberships, Stage.SHADOW)
    monkeypatch.setenv(f"{PREFIX}READ_COMPARISON_SECONDS", "0.3")
    screener.execute("UPDATE index_memberships SET weight = 5")  # no relay is at work
    before = results()
    asked(api)
    assert grown(before) == {"unsettled": 1}


def test_compared_with_itself_the_noise_of_comparing_is_measured(
    api: Client, moving: Stream, registry: Session, compared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(moving, Stage.SHADOW)
    tampered(registry, "UPDATE index_memberships SET weight = 5")
    monkeypatch.setenv(f"{PREFIX}READ_COMPARED_WITH_ITSELF", "true")
    before = results("aa"), results("ab")
    asked(api)
    assert grown(before[0], "aa") == {"equal": 1}
    assert grown(before[1], "ab") == {}


def test_a_percentage_of_consumers_reads_from_the_registry_and_each_stays_where_it_is(
    api: Client, moving: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(moving, Stage.SHADOW)
    clients = {name: consumer(name) for name in (f"consumer {number}" for number in range(12))}

    def on_registry(percent: str) -> set[str]:
        monkeypatch.setenv(f"{PREFIX}READ_ROLLOUT_SHADOW_PERCENT", percent)
        return {name for name, client in clients.items() if asked(client)[1] == "registry"}

    found = [on_registry(percent) for percent in ("0", "30", "60", "60", "100")]
    assert found[0] == set()
    assert found[4] == clients.keys()
    assert found[0] < found[1] < found[2] == found[3] < found[4]
    assert found[1] == {name for name in clients if place_of(name) < 3_000}
    monkeypatch.setenv(f"{PREFIX}READ_PINNED", "consumer 1=screener, consumer 2=registry")
    assert on_registry("100") == clients.keys() - {"consumer 1"}
    assert on_registry("0") == {"consumer 2"}


def test_whoever_writes_reads_it_also_from_the_store_that_follows(
    api: Client, screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    add(screener, "TCS", weight=4)
    with relay_at_work(memberships):
        enabled(memberships)
        bring(memberships, Stage.SHADOW)
    monkeypatch.setenv(f"{PREFIX}READ_ROLLOUT_SHADOW_PERCENT", "100")
    key = {"instrument_key": "NSE:TCS", "index_id": "NIFTY 50"}
    assert asked(api, **key) == ("shadow", "registry")
    screener.execute("UPDATE index_memberships SET weight = 5")  # no relay is at work
    assert asked(api, **key) == ("shadow", "screener")
    assert got(api, f"{V1}/index-memberships", **key)["memberships"][0]["weight"] == "5"
    assert asked(api) == ("shadow", "registry"), "lists come from the store that follows"
    with relay_at_work(memberships):
        relayed(memberships)
    assert asked(api, **key) == ("shadow", "registry")


@pytest.mark.parametrize("stop", [pause, disable])
def test_a_store_that_does_not_follow_answers_nobody(
    api: Client, moving: Stream, monkeypatch: pytest.MonkeyPatch, stop: Any
) -> None:
    bring(moving, Stage.SHADOW)
    monkeypatch.setenv(f"{PREFIX}READ_ROLLOUT_SHADOW_PERCENT", "100")
    assert asked(api) == ("shadow", "registry")
    stop(moving, TESTER)
    assert asked(api)[1] == "screener"


def test_with_the_registry_away_the_old_store_goes_on_answering(
    api: Client, moving: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(moving, Stage.SHADOW)
    monkeypatch.setenv(f"{PREFIX}READ_ROLLOUT_SHADOW_PERCENT", "100")
    assert asked(api) == ("shadow", "registry")
    with monkeypatch.context() as away:
        move(Store.REGISTRY, CLOSED_PORT, away)
        assert asked(api) == ("shadow", "screener"), "the stage of before"
        stage.forget()
        assert asked(api) == ("off", "screener"), "the old store knows that it takes the writes"
        assert got(api, OLD)["memberships"]
        problem = got(api, f"{V1}/changes", status=503)
        assert "registry" in problem["detail"]


def test_with_the_store_that_takes_the_writes_away_nobody_is_answered_by_the_other_one(
    api: Client, moving: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(moving, Stage.SHADOW)
    with monkeypatch.context() as away:
        move(Store.SCREENER, CLOSED_PORT, away)
        assert "screener" in got(api, f"{V1}/index-memberships", status=503)["detail"]


def test_a_store_that_hangs_or_is_away_slows_no_answer_and_is_counted(
    api: Client, moving: Stream, registry: Session, compared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison is stuck behind a lock when the answer is there already; the queue takes no more than it holds."""
    bring(moving, Stage.SHADOW)
    monkeypatch.setenv(f"{PREFIX}READ_COMPARISON_SECONDS", "0.5")
    monkeypatch.setattr(comparison, "COMPARER", comparison.Comparer(waiting=2))
    before = results()
    with registry.transaction():
        registry.execute("LOCK index_memberships IN ACCESS EXCLUSIVE MODE")
        for _ in range(8):
            assert asked(api) == ("shadow", "screener")
        comparison.COMPARER.close()
    found = grown(before)
    assert found.keys() == {"timeout", "dropped"}
    assert sum(found.values()) == 8
    with monkeypatch.context() as away:
        away.setattr(records, "read", _fails_in("compare reads", records.read))
        assert asked(api) == ("shadow", "screener")
        assert grown(before)["failed"] == 1
    asked(api)
    assert grown(before)["equal"] == 1, "the next one is compared again"


def _fails_in(thread: str, otherwise: Any) -> Any:
    def read(*args: Any) -> Any:
        if threading.current_thread().name == thread:
            raise StoreUnreachable("gone")
        return otherwise(*args)

    return read


def test_calls_are_counted_by_consumer_and_contract_and_the_end_of_the_old_one_is_told(
    api: Client, moving: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    pricing, risk = consumer("pricing"), consumer("risk")
    for _ in range(3):
        got(pricing, OLD)
    got(risk, OLD)
    got(risk, f"{V1}/indices")
    assert "Deprecation" not in pricing.get(OLD).headers
    monkeypatch.setenv(f"{PREFIX}SCREENER_DEPRECATED_SINCE", "2026-01-01")
    monkeypatch.setenv(f"{PREFIX}SCREENER_SUNSET", "2027-06-30")
    headers = pricing.get(OLD).headers
    assert (headers["Deprecation"], headers["Sunset"]) == ("@1767225600", "Wed, 30 Jun 2027 00:00:00 GMT")
    assert "Sunset" not in pricing.get(f"{V1}/indices").headers
    found = got(api, f"{V1}/consumers")["consumers"]
    told = {(one["consumer"], one["contract"]): (one["calls"], one["answered_by"]) for one in found}
    assert told[("pricing", "screener")] == (5, "screener")
    assert told[("risk", "screener")] == (1, "screener")
    assert told[("risk", "api")] == (1, "screener")
    old = got(api, f"{V1}/consumers", contract="screener")["consumers"]
    assert {one["consumer"] for one in old} == {"pricing", "risk"}


def test_counts_that_cannot_be_kept_now_are_kept_later(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = usage.Usage()
    monkeypatch.setattr(mine, "_thread", threading.current_thread())  # none of its own
    mine.note("pricing", "api")
    with monkeypatch.context() as away:
        move(Store.REGISTRY, CLOSED_PORT, away)
        mine.flush()
        mine.note("pricing", "api")
    mine.flush()
    mine.note("pricing", "api")
    mine.flush()
    assert list(ConsumerCalls.objects.values_list("consumer", "calls")) == [("pricing", 3)]
