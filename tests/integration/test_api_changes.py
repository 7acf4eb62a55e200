"""The feed of changes: nothing is ever missed, each record's changes are in order, whoever writes and however."""

import threading
from contextlib import ExitStack
from typing import Any

from django.test import Client

from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from registry.models import Change
from registry.reading import feed
from tests.integration.asking import V1, alone, api, got, instrument, member
from tests.support import add, at_work, enabled, until_it_waits

__all__ = ["alone", "api"]


def told(api: Client, after: str | None = None, **query: Any) -> tuple[list[tuple[Any, ...]], str]:
    """What changed behind the cursor, shortly; and the next cursor."""
    answer = got(api, f"{V1}/changes", **({"after": after} if after else {}), **query)
    found = [(one["instrument_key"], one["index_id"], one["operation"], one["after"]) for one in answer["changes"]]
    return found, answer["next"]


def test_every_kind_of_change_is_told_once_in_order_with_what_was_before(api: Client, alone: Session) -> None:
    start = told(api, feed.LATEST)[1]
    instrument(alone, "NSE:TCS", name="Tata")
    member(alone, "NSE:TCS", weight="4.50")
    alone.execute("UPDATE index_memberships SET weight = 5 WHERE true")
    alone.execute("UPDATE index_memberships SET weight = 5, is_active = true WHERE true")
    alone.execute("UPDATE instruments SET name = 'Tata Consultancy', updated_at = now() WHERE true")
    alone.execute("UPDATE index_memberships SET is_active = false WHERE true")
    alone.execute("UPDATE index_memberships SET weight = 7 WHERE true")
    alone.execute("UPDATE index_memberships SET is_active = true WHERE true")
    alone.execute("TRUNCATE index_memberships")
    alone.execute("TRUNCATE instruments")
    answer = got(api, f"{V1}/changes", after=start)
    short = [(one["kind"], one["operation"], one["before"], one["after"]) for one in answer["changes"]]
    five, seven = ({"weight": weight, "sector": None, "date_added": None} for weight in ("5", "7"))
    assert [(kind, what) for kind, what, _, _ in short] == [
        ("instrument", "began"),
        ("membership", "began"),
        ("membership", "changed"),
        ("instrument", "changed"),
        ("membership", "ended"),
        ("membership", "began"),
        ("membership", "ended"),
        ("instrument", "ended"),
    ]
    assert short[2][2:] == ({**five, "weight": "4.5"}, five)
    assert short[4][2:] == (five, None)
    assert short[6][2:] == (seven, None)
    assert (short[3][2]["name"], short[3][3]["name"]) == ("Tata", "Tata Consultancy")
    assert answer["stages"] == {"instruments": "complete", "index_memberships": "complete"}
    assert told(api, answer["next"]) == ([], answer["next"])


def test_a_change_that_commits_after_later_ones_were_read_is_told_all_the_same(api: Client, alone: Session) -> None:
    start = told(api, feed.LATEST)[1]
    with dedicated(Store.REGISTRY, "test") as slow, slow.transaction():
        member(slow, "NSE:SLOW")
        member(alone, "NSE:FAST")
        first, cursor = told(api, start)
        assert [one[0] for one in first] == ["NSE:FAST"]
        member(alone, "NSE:NEXT")
        second, cursor = told(api, cursor)
        assert [one[0] for one in second] == ["NSE:NEXT"]
    third, cursor = told(api, cursor)
    assert [one[0] for one in third] == ["NSE:SLOW"]


def test_changes_of_one_record_are_in_order_also_when_the_earlier_transaction_changes_it_later(
    api: Client, alone: Session
) -> None:
    member(alone, "NSE:TCS", weight=1)
    start = told(api, feed.LATEST)[1]
    with dedicated(Store.REGISTRY, "test") as older, older.transaction():
        member(older, "NSE:OTHER")  # it has its transaction number now
        alone.execute("UPDATE index_memberships SET weight = 2 WHERE instrument_key = 'NSE:TCS'")
        older.execute("UPDATE index_memberships SET weight = 3 WHERE instrument_key = 'NSE:TCS'")
    found, _ = told(api, start)
    assert [one[3]["weight"] for one in found if one[0] == "NSE:TCS"] == ["2", "3"]


def test_readers_at_once_give_each_change_one_place_and_miss_none(api: Client, alone: Session) -> None:
    """Four writers and three followers: what each follower has seen in the end is what the tables hold."""
    start = feed.changes(feed.LATEST, limit=1).next
    gate, ended = threading.Barrier(7), threading.Event()

    def write(name: int) -> None:
        with dedicated(Store.REGISTRY, "test") as session:
            gate.wait(30)
            for number in range(40):
                with session.transaction():
                    session.execute(
                        "INSERT INTO index_memberships (instrument_key, index_id, weight) VALUES (%s, 'X', %s)"
                        " ON CONFLICT (instrument_key, index_id) DO UPDATE SET weight = excluded.weight",
                        (f"NSE:K{number % 5}", (name * 40 + number) % 97),
                    )
                    if number % 7 == name:
                        session.execute("DELETE FROM index_memberships WHERE instrument_key = 'NSE:K1'")

    def follow() -> list[feed.FeedChange]:
        gate.wait(30)
        found: list[feed.FeedChange] = []
        cursor, last = start, False
        while True:
            page = feed.changes(cursor, limit=13)
            found += page.changes
            cursor = page.next
            if last and not page.changes:
                return found
            last = ended.is_set()

    with (
        at_work(follow) as one,
        at_work(follow) as two,
        at_work(follow) as three,
        at_work(lambda: write(0)) as w0,
        at_work(lambda: write(1)) as w1,
        at_work(lambda: write(2)) as w2,
        at_work(lambda: write(3)) as w3,
    ):
        for work in (w0, w1, w2, w3):
            work.result(120)
        ended.set()
        seen = [work.result(120) for work in (one, two, three)]
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == Change.objects.count()
    replayed: dict[str, Any] = {}
    for change in seen[0]:
        assert change.before == replayed.get(change.instrument_key), "not in order"
        replayed[change.instrument_key] = change.after
    rows = alone.execute("SELECT instrument_key, trim_scale(weight)::text FROM index_memberships").fetchall()
    assert {key: after["weight"] for key, after in replayed.items() if after} == dict(rows)


def test_places_are_given_by_one_reader_at_a_time(api: Client, alone: Session) -> None:
    """A second reader waits for the first, and gives places only to what has none by then."""
    start = feed.changes(feed.LATEST, limit=1).next
    with dedicated(Store.REGISTRY, "test") as slow, dedicated(Store.REGISTRY, "test") as first, ExitStack() as stack:
        with first.transaction():
            with slow.transaction():
                member(slow, "NSE:SLOW")
                member(alone, "NSE:A")
                member(alone, "NSE:B")
                first.execute("SELECT instrument_registry.number_changes_v1(100)")
            second = stack.enter_context(at_work(lambda: feed.changes(start, limit=10)))
            until_it_waits(alone, second)
        found = [one.instrument_key for one in second.result(30).changes]
    assert found == ["NSE:A", "NSE:B", "NSE:SLOW"]


def test_pages_and_filters_of_the_feed_go_on_where_they_ended(api: Client, alone: Session) -> None:
    start = told(api, feed.LATEST)[1]
    for number in range(3):
        instrument(alone, f"NSE:S{number}")
        member(alone, f"NSE:S{number}")
        member(alone, f"NSE:S{number}", "NIFTY NEXT 50")
    seen, cursor, pages = [], start, 0
    while True:
        answer = got(api, f"{V1}/changes", after=cursor, limit=2, kind="membership", index_id="NIFTY 50")
        seen += [one["instrument_key"] for one in answer["changes"]]
        cursor, pages = answer["next"], pages + 1
        if not answer["more"]:
            break
    assert (seen, pages) == (["NSE:S0", "NSE:S1", "NSE:S2"], 2)
    assert told(api, cursor) == ([], cursor)
    assert len(told(api, start, kind="instrument")[0]) == 3
    # Without a cursor: from the oldest that is kept.
    assert len(told(api)[0]) == 9


def test_a_cursor_is_refused_when_changes_behind_it_are_gone_or_it_is_of_another_feed(
    api: Client, alone: Session
) -> None:
    for number in range(4):
        member(alone, f"NSE:S{number}")
    old = told(api, limit=1)[1]
    newest = told(api)[1]
    path = f"{V1}/changes"
    Change.objects.filter(position__lte=2).delete()
    problem = got(api, path, status=410, after=old)
    assert problem["detail"].startswith("Changes behind that cursor are no longer kept")
    assert got(api, path, after=newest)["changes"] == []
    assert [one[0] for one in told(api)[0]] == ["NSE:S2", "NSE:S3"]
    name, _, place = newest.partition(".")
    for foreign in (f"other.{place}", f"{name}.{int(place) + 1}"):
        assert got(api, path, status=410, after=foreign)["detail"].startswith("That cursor is not of this feed")
    for nonsense in ("1", f"{name}.x", f"{name}.-1", f"{name}.{'9' * 40}"):
        assert "no cursor" in got(api, path, status=400, after=nonsense)["detail"]
    Change.objects.all().delete()
    assert got(api, path, status=410, after=old)
    assert got(api, path, after=newest)["changes"] == []


def test_changes_that_nobody_reads_get_their_places_all_the_same_and_then_go_by_age(alone: Session) -> None:
    member(alone, "NSE:TCS")
    assert Change.objects.filter(position=None).count() == 1
    assert feed.number() == 1
    assert list(Change.objects.values_list("position", flat=True)) == [1]


def test_what_the_relay_writes_is_told_too(api: Client, screener: Session, memberships: Stream) -> None:
    start = told(api, feed.LATEST)[1]
    add(screener, "TCS", weight=4)
    enabled(memberships)
    assert got(api, f"{V1}/changes", after=start)["stages"]["index_memberships"] == "dualwrite"
    assert [(one[0], one[2]) for one in told(api, start)[0]] == [("NSE:TCS", "began")]


def test_weights_that_were_recorded_otherwise_are_told_between_two_days(api: Client, alone: Session) -> None:
    for key, weight in (("NSE:A", 1), ("NSE:B", 2), ("NSE:C", 3), ("NSE:D", None)):
        member(alone, key, weight=weight)
    alone.execute("UPDATE changes SET at = '2024-01-01 12:00+00'")
    assert feed.number() == 4
    alone.execute("UPDATE changes_head SET began_at = '2023-12-01'")
    for day, key, weight in (("02", "A", 5), ("03", "A", 6), ("03", "B", 9), ("04", "B", 2), ("05", "C", 8)):
        alone.execute("UPDATE index_memberships SET weight = %s WHERE instrument_key = %s", (weight, f"NSE:{key}"))
        alone.execute(
            "UPDATE changes SET at = %s::timestamptz WHERE id = (SELECT max(id) FROM changes)",
            (f"2024-01-{day} 12:00+00",),
        )
    member(alone, "NSE:NEW", weight=1)
    path = f"{V1}/indices/NIFTY 50/changes"

    def weights(first: str, last: str) -> dict[str, tuple[str, str]]:
        answer = got(api, path, **{"from": f"2024-01-{first}", "to": f"2024-01-{last}"})
        return {one["instrument_key"][4:]: (one["before"], one["after"]) for one in answer["reweighted"]}

    assert weights("01", "02") == {"A": ("1", "5")}
    assert weights("01", "03") == {"A": ("1", "6"), "B": ("2", "9")}
    assert weights("01", "31") == {"A": ("1", "6"), "C": ("3", "8")}
    assert weights("03", "04") == {"B": ("9", "2")}
    Change.objects.filter(at__lt="2024-01-03T00:00:00Z").delete()
    feed.number()
    Change.objects.filter(position=5).delete()
    answer = got(api, path, **{"from": "2024-01-01", "to": "2024-01-31"})
    assert answer["weights_since"] == "2024-01-03T12:00:00Z"
    assert {one["instrument_key"] for one in answer["reweighted"]} == {"NSE:C"}
