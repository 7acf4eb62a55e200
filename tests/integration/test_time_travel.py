"""A store that went back in time is noticed before anything is done, and there is a way out of every such state.

The stores are restored for real: the database is replaced by a copy of it made earlier. `as_a_disk` hides that it is
a copy, so that only what is behind can show it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from psycopg import sql

from dualwrite import capture, failpoints, outbox, router, switch
from dualwrite.control.disable import disable
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.control.status import stream_status
from dualwrite.control.uninstall import uninstall
from dualwrite.exceptions import AuthorityUnknown, ConcurrentChange, NotInstalled, Refused, Superseded, WentBack
from dualwrite.relay import worker
from dualwrite.relay.pipe import open_pipe
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import identity
from dualwrite.switch.memory import Reading
from dualwrite.switch.reading import read
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.restoring import Backup, asked, execute, tidy
from tests.support import add, engine_role

OLD, NEW = Store.SCREENER, Store.REGISTRY
READ = "dualwrite.switch.identity.read"
RUNBOOK = r"docs/runbooks/store-went-back\.md"
PLACES = ["switch locked", "switch fenced", "switch drained", "switch promoted", "switch demoted"]


class Killed(BaseException):
    """The process ended here: nothing catches it."""


def kill() -> None:
    """End the process, as far as its databases can tell."""
    raise Killed


@pytest.fixture(autouse=True)
def _no_failpoints() -> Iterator[None]:
    yield
    failpoints.clear()


@pytest.fixture(scope="module", autouse=True)
def _tidy(databases: None) -> Iterator[None]:
    yield
    tidy()


def write(store: Store, symbol: str, weight: int = 1) -> None:
    """A membership, written or written again, by somebody else's program."""
    if store is OLD:
        execute(
            OLD,
            "MERGE INTO index_memberships t USING (SELECT %s AS symbol, %s AS weight) r ON t.symbol = r.symbol"
            " WHEN MATCHED THEN UPDATE SET weight = r.weight"
            " WHEN NOT MATCHED THEN INSERT (symbol, exchange, index_name, weight)"
            " VALUES (r.symbol, 'NSE', 'NIFTY 50', r.weight)",
            symbol,
            weight,
        )
    else:
        execute(
            NEW,
            "MERGE INTO index_memberships t"
            " USING (SELECT 'NSE:' || %s AS key, %s AS weight) r ON t.instrument_key = r.key"
            " WHEN MATCHED THEN UPDATE SET weight = r.weight"
            " WHEN NOT MATCHED THEN INSERT (instrument_key, index_id, weight, is_active)"
            " VALUES (r.key, 'NIFTY 50', r.weight, true)",
            symbol,
            weight,
        )


def written(stream: Stream, *symbols: str, weight: int = 1) -> None:
    """Memberships written where the writes are taken, and relayed."""
    for symbol in symbols:
        write(switch.authority(stream).store, symbol, weight)
    worker.drain(stream)


def rows(store: Store) -> dict[str, int]:
    """symbol → weight."""
    query = {
        OLD: "SELECT symbol, weight::int FROM index_memberships",
        NEW: "SELECT replace(instrument_key, 'NSE:', ''), weight::int FROM index_memberships WHERE is_active",
    }
    with dedicated(store, "test") as session:
        return dict(session.execute(query[store]).fetchall())


def roles(stream: Stream) -> tuple[Role, Role]:
    """Of the old store and the new one."""
    old, new = switch.both(stream)
    return old.role, new.role


@pytest.fixture
def proven(stores: None, memberships: Stream) -> Stream:
    """Enabled, with one row, equal in both stores."""
    enable(memberships, TESTER)
    written(memberships, "A")
    return memberships


def switched(stream: Stream, to: Store) -> None:
    """The authority moved there, and written to afterwards; a row is relayed in the new direction."""
    hand_over(stream, to, TESTER)
    written(stream, f"AT {to}")


def assert_refused(stream: Stream, seen: str) -> None:
    """Nothing is relayed, switched, enabled or validated, and each refusal says what was seen."""
    uses: list[Callable[[], Any]] = [
        switch.require_pair,
        lambda: enable(stream, TESTER),
        lambda: enable(stream, TESTER, dry_run=True),
        lambda: validate(stream),
    ]
    if switch.both(stream)[0].role is not switch.both(stream)[1].role:
        uses += [lambda: worker.drain(stream), lambda: hand_over(stream, other(stream), TESTER)]
    for use in uses:
        with pytest.raises(WentBack, match=f"{RUNBOOK}: .*{seen}"):
            use()


def other(stream: Stream) -> Store:
    """The store that does not take the writes."""
    return switch.authority(stream).store.peer


def assert_mended(stream: Stream, authority: Store) -> None:
    """Enabled anew, relayed, equal."""
    enable(stream, TESTER, force=True)
    assert switch.authority(stream).store is authority
    worker.drain(stream)
    switch.require_pair()
    assert rows(OLD) == rows(NEW)


def assert_as_new(stream: Stream, authority: Store) -> None:
    """The same; verified, and the switch works in both directions."""
    assert_mended(stream, authority)
    assert validate(stream).status == "passed"
    assert stream_status(stream)["verified"]
    for to in (authority.peer, authority):
        switched(stream, to)
        switch.require_pair()
    assert rows(OLD) == rows(NEW)


# What is noticed


@pytest.mark.parametrize("restored", Store)
@pytest.mark.parametrize("authority", Store)
def test_within_one_epoch_a_store_set_back_is_noticed_in_either_direction(
    proven: Stream, restored: Store, authority: Store
) -> None:
    if authority is NEW:
        switched(proven, NEW)
    before = Backup(restored)
    epochs = [state.epoch for state in switch.both(proven)]
    written(proven, "B")
    before.restore(as_a_disk=True)
    assert [state.epoch for state in switch.both(proven)] == epochs
    seen = "has given out note" if restored is authority else "has applied"
    assert_refused(proven, f"{restored} \\(.* {seen}")
    gates = [gate for gate in stream_status(proven)["blocked_by"] if gate["gate"] == "identity"]
    assert gates, stream_status(proven)["blocked_by"]
    assert str(restored) in gates[0]["why"]
    assert_as_new(proven, authority)


@pytest.mark.parametrize("restored", Store)
@pytest.mark.parametrize("to", Store)
def test_a_store_from_before_a_switch_is_noticed(proven: Stream, restored: Store, to: Store) -> None:
    if to is OLD:
        switched(proven, NEW)
    before = Backup(restored)
    epoch = switch.state(proven, restored).epoch
    hand_over(proven, to, TESTER)
    before.restore(as_a_disk=True)
    assert_refused(
        proven, rf"stream index_memberships in {restored} \(.*\) is at epoch {epoch}, .* remembers epoch {epoch + 1}"
    )


def test_a_backup_restored_from_a_dump_is_noticed_although_it_has_overtaken_everything_since(proven: Stream) -> None:
    before = Backup(OLD)
    written(proven, "B")
    before.restore()
    for number in range(20):
        write(OLD, f"S{number}")
    assert_refused(proven, r"screener \(.*\) is another copy of itself: database number \d+")


@pytest.mark.parametrize(("part", "words"), [("system", "server"), ("timeline", "timeline")])
@pytest.mark.parametrize("store", Store)
def test_another_server_or_timeline_under_the_same_identity_is_noticed(
    proven: Stream, store: Store, part: str, words: str
) -> None:
    known = asked(store.peer, "SELECT peer_place FROM dualwrite.store_identity")
    assert known == identity.evidence()[store]["place"]
    assert set(known) == {"system", "timeline", "database", "outbox"}
    execute(
        store.peer,
        "UPDATE dualwrite.store_identity SET peer_place = peer_place || jsonb_build_object(%s::text, '0')",
        part,
    )
    assert_refused(proven, rf"{store} \(.*\) is another copy of itself: {words} {known[part]}, .* remembers 0")
    assert_mended(proven, OLD)


@pytest.mark.parametrize("role", [Role.AUTHORITY, Role.MIRROR])
def test_two_authorities_or_none_are_noticed_although_nothing_is_behind(proven: Stream, role: Role) -> None:
    for store in Store:
        execute(store, "UPDATE dualwrite.stream_state SET role = %s WHERE stream = 'index_memberships'", role.value)
    assert_refused(proven, f"screener is {role} at epoch 0, registry is {role} at epoch 0")
    with pytest.raises(AuthorityUnknown, match="name the store whose records count"):
        enable(proven, TESTER, force=True)
    switch.pair(TESTER, anew=True, right=NEW)
    assert_mended(proven, NEW)


def test_a_running_relay_stops_within_its_next_check(proven: Stream) -> None:
    with open_pipe(proven) as pipe:  # type: ignore[union-attr]
        assert pipe.check()
        execute(NEW, "UPDATE dualwrite.relay_fence SET peer_noted = 1000000 WHERE partition = 3")
        with pytest.raises(WentBack, match="has applied its note 1000000"):
            pipe.check()


def test_a_half_done_switch_is_not_settled_with_a_store_that_went_back(proven: Stream) -> None:
    """Its outbox is empty, so the mirror would be promoted without what it lost."""
    before = Backup(NEW)
    written(proven, "LOST")
    failpoints.at("switch drained", kill)
    with pytest.raises(Killed):
        hand_over(proven, NEW, TESTER)
    failpoints.clear()
    before.restore(as_a_disk=True)
    lane = worker.Lane(proven)
    try:
        lane.step()
    finally:
        lane.close()
    for use in (lambda: switch.settle(proven, TESTER), lambda: disable(proven, TESTER)):
        with pytest.raises(WentBack, match="has applied"):
            use()
    assert roles(proven) == (Role.FENCED, Role.MIRROR)
    assert_mended(proven, OLD)


# What is no alarm


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("to", Store)
def test_no_place_at_which_a_switch_may_die_looks_like_time_travel(proven: Stream, place: str, to: Store) -> None:
    if to is OLD:
        switched(proven, NEW)
    failpoints.at(place, kill)
    with pytest.raises(Killed):
        hand_over(proven, to, TESTER)
    failpoints.clear()
    switch.require_pair()
    switch.settle(proven, TESTER)
    switch.require_pair()
    written(proven, "B")
    for back in (other(proven), other(proven).peer):
        switched(proven, back)
        switch.require_pair()


def test_neither_does_a_switch_that_is_taken_back(proven: Stream) -> None:
    epoch = switch.fence(proven, OLD, TESTER)
    switch.require_pair()
    switch.burn(proven, NEW, epoch, TESTER)
    switch.require_pair()
    switch.revert(proven, OLD, epoch, switch.state(proven, NEW), TESTER)
    switch.require_pair()
    written(proven, "B")
    switched(proven, NEW)
    switch.require_pair()


def test_neither_does_anything_that_happens_between_the_readings_of_both_stores(
    proven: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    between: list[Callable[[], object]] = []

    def reading(store: Store) -> Reading:
        found = read(store)
        if between and store is OLD:
            monkeypatch.setattr(READ, read)
            between.pop()()
            monkeypatch.setattr(READ, reading)
        return found

    monkeypatch.setattr(READ, reading)
    for happens in (
        lambda: written(proven, "B", "C"),
        lambda: hand_over(proven, NEW, TESTER),
        lambda: written(proven, "D"),
        lambda: hand_over(proven, OLD, TESTER),
    ):
        between.append(happens)
        switch.require_pair()
        assert not between


def test_neither_do_numbers_that_jumped_ahead_in_a_crash(proven: Stream) -> None:
    execute(OLD, "SELECT setval('dualwrite.outbox_id_seq', last_value + 32) FROM dualwrite.outbox_id_seq")
    switch.require_pair()
    written(proven, "B")
    switch.require_pair()


@pytest.mark.parametrize("store", Store)
def test_neither_does_uninstalling_and_installing(proven: Stream, store: Store) -> None:
    uninstall(store, TESTER, force=True)
    switch.require_pair()
    capture.install(store)
    switch.require_pair()
    enable(proven, TESTER)
    written(proven, "B")
    switch.require_pair()


def test_neither_does_disabling_and_enabling_or_an_emptied_table(proven: Stream) -> None:
    disable(proven, TESTER)
    switch.require_pair()
    write(OLD, "B")
    enable(proven, TESTER)
    switch.require_pair()
    execute(OLD, "TRUNCATE index_memberships")
    worker.drain(proven)
    outbox.note(proven, OLD, ['["NSE:A","NIFTY 50"]'], outbox.Cause.REDRIVE)
    worker.drain(proven)
    switch.require_pair()


def test_neither_does_a_relay_that_dies_after_applying(proven: Stream) -> None:
    write(OLD, "B")
    failpoints.at("relay applied", kill)
    with pytest.raises(Killed):
        worker.drain(proven)
    failpoints.clear()
    switch.require_pair()
    worker.drain(proven)
    switch.require_pair()


# What is remembered


def memory(store: Store, column: str) -> int:
    """The highest of that column in the store's fences."""
    with dedicated(store, "test") as session:
        query = sql.SQL("SELECT max({}) FROM dualwrite.relay_fence").format(sql.Identifier(column))
        row = session.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_each_batch_is_remembered_on_both_sides(proven: Stream) -> None:
    for _ in range(3):
        written(proven, "B", "C")
        assert memory(NEW, "peer_noted") == asked(OLD, "SELECT last_value FROM dualwrite.outbox_id_seq")
        assert memory(OLD, "peer_applied") == memory(NEW, "applied")
    assert (memory(OLD, "peer_noted"), memory(NEW, "peer_applied")) == (0, 0)
    switched(proven, NEW)
    assert memory(OLD, "peer_noted") == asked(NEW, "SELECT last_value FROM dualwrite.outbox_id_seq")
    assert memory(NEW, "peer_applied") == memory(OLD, "applied")


def test_the_authority_remembers_only_what_the_mirror_has_committed(proven: Stream) -> None:
    before = memory(OLD, "peer_applied")
    write(OLD, "B")
    failpoints.at("relay applied", kill)
    with pytest.raises(Killed):
        worker.drain(proven)
    assert memory(NEW, "applied") > before
    assert memory(OLD, "peer_applied") == before


def test_a_batch_that_is_rolled_back_is_not_remembered(proven: Stream) -> None:
    before = memory(NEW, "peer_noted")
    execute(NEW, "ALTER TABLE index_memberships ADD CONSTRAINT none_more CHECK (instrument_key = 'NSE:A')")
    try:
        written(proven, "B")
    finally:
        execute(NEW, "ALTER TABLE index_memberships DROP CONSTRAINT none_more")
    assert memory(NEW, "peer_noted") == before


# An installation or a server that cannot say


def test_an_installation_from_before_these_columns_is_told_to_install(proven: Stream) -> None:
    execute(OLD, "ALTER TABLE dualwrite.relay_fence DROP COLUMN peer_noted")
    with pytest.raises(NotInstalled, match=r"`manage\.py dualwrite install"):
        switch.require_pair()


def test_a_role_with_no_more_than_what_install_grants_can_pair_relay_and_pair_anew(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch):
        enable(memberships, TESTER)
        add(screener, "A")
        worker.drain(memberships)
        assert identity.evidence()[OLD]["not_told_by_server"] == []
        execute(NEW, "UPDATE dualwrite.relay_fence SET peer_noted = 500 WHERE partition = 0")
        with pytest.raises(WentBack):
            switch.require_pair()
        enable(memberships, TESTER, force=True)
        worker.drain(memberships)
        assert validate(memberships).status == "passed"


def test_a_server_that_does_not_tell_its_timeline_is_done_without(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    screener.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        with engine_role(screener, monkeypatch):
            enable(memberships, TESTER)
            add(screener, "A")
            worker.drain(memberships)
            facts = identity.evidence()[OLD]
            assert facts["not_told_by_server"] == ["system", "timeline"]
            assert set(facts["place"]) == {"database", "outbox"} == set(known_place(NEW))
            with transaction.atomic(using=OLD.alias):
                identity.evidence()
                switch.require_pair()  # the refusal has not spoiled the transaction
    finally:
        screener.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
    enable(memberships, TESTER)  # pairs, although it is enabled already
    assert set(known_place(NEW)) == {"system", "timeline", "database", "outbox"}


def known_place(store: Store) -> dict[str, str]:
    """Where that store remembers the other one to be."""
    found: dict[str, str] = asked(store, "SELECT peer_place FROM dualwrite.store_identity")
    return found


# The ways out


def test_two_authorities_end_as_one_and_nothing_is_overwritten_before_it_was_looked_at(proven: Stream) -> None:
    """The old store is restored to before the switch and takes writes again, as it believes it should."""
    before = Backup(OLD)
    switched(proven, NEW)
    before.restore(as_a_disk=True)
    write(OLD, "A", weight=7)
    write(OLD, "ONLY HERE")
    write(NEW, "A", weight=9)
    assert roles(proven) == (Role.AUTHORITY, Role.AUTHORITY)
    assert_refused(proven, "is at epoch 0, the registry store remembers epoch 1")
    with pytest.raises(AuthorityUnknown):
        worker.drain(proven)

    switch.pair(TESTER, anew=True)
    assert roles(proven) == (Role.MIRROR, Role.AUTHORITY)
    worker.drain(proven)
    assert rows(OLD) == {"A": 7, "ONLY HERE": 1}, "what it took meanwhile is still there to be looked at"
    found = enable(proven, TESTER, dry_run=True).preview
    assert found is not None
    assert (found.add, found.overwrite, found.delete) == (1, 1, 1)
    assert {difference["key"] for difference in validate(proven).differences} == {
        '["NSE:A","NIFTY 50"]',
        '["NSE:AT registry","NIFTY 50"]',
        '["NSE:ONLY HERE","NIFTY 50"]',
    }
    assert_as_new(proven, NEW)
    assert asked(OLD, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'pair anew'") == 2  # one for each stream


def test_no_authority_at_all_ends_with_the_store_that_did_not_go_back(proven: Stream) -> None:
    before = Backup(NEW)
    switched(proven, NEW)
    before.restore(as_a_disk=True)
    assert roles(proven) == (Role.MIRROR, Role.MIRROR)
    assert_refused(proven, "is at epoch 0, the screener store remembers epoch 1")
    assert_as_new(proven, OLD)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("restored", Store)
def test_from_every_place_at_which_a_switch_may_have_died_there_is_a_way_out(
    proven: Stream, restored: Store, place: str
) -> None:
    before = Backup(restored)
    written(proven, "B")
    failpoints.at(place, kill)
    with pytest.raises(Killed):
        hand_over(proven, NEW, TESTER)
    failpoints.clear()
    before.restore(as_a_disk=True)
    with pytest.raises(WentBack):
        switch.require_pair()
    switch.pair(TESTER, anew=True)
    assert sorted(roles(proven)) == [Role.AUTHORITY, Role.MIRROR]
    assert_mended(proven, switch.authority(proven).store)


def test_the_mirror_can_be_taken_for_the_right_one(proven: Stream) -> None:
    """The authority lost the last writes; the mirror still has them."""
    before = Backup(OLD)
    written(proven, "LOST", weight=3)
    before.restore(as_a_disk=True)
    assert "LOST" not in rows(OLD)
    switch.pair(TESTER, anew=True, right=NEW)
    assert_as_new(proven, NEW)
    assert rows(OLD)["LOST"] == 3


def test_which_store_is_right_is_asked_only_when_something_is_wrong(proven: Stream) -> None:
    with pytest.raises(Refused, match="a switch moves the authority"):
        switch.pair(TESTER, anew=True, right=NEW)
    assert roles(proven) == (Role.AUTHORITY, Role.MIRROR)


def test_of_two_strangers_that_both_take_the_writes_somebody_must_name_the_right_one(proven: Stream) -> None:
    hand_over(proven, NEW, TESTER)
    execute(OLD, "UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    execute(OLD, "UPDATE dualwrite.stream_state SET role = 'authority', epoch = 9")
    with pytest.raises(AuthorityUnknown, match="name the store whose records count"):
        switch.pair(TESTER, anew=True)
    assert roles(proven) == (Role.AUTHORITY, Role.AUTHORITY), "nothing was changed"
    switch.pair(TESTER, anew=True, right=NEW)
    assert_mended(proven, NEW)


def test_every_number_goes_on_behind_the_highest_ever_seen(proven: Stream) -> None:
    old, new = Backup(OLD), Backup(NEW)
    switched(proven, NEW)
    switched(proven, OLD)
    for _ in range(5):
        switch.begin_capture(proven, OLD, TESTER)
    known = {store: (memory(store.peer, "peer_noted"), memory(store.peer, "peer_applied")) for store in Store}
    generation = switch.authority(proven).generation
    old.restore(as_a_disk=True)
    assert switch.authority(proven).generation < generation
    with pytest.raises(WentBack, match="is at epoch 0, the registry store remembers epoch 2"):
        switch.require_pair()
    enable(proven, TESTER, force=True)
    assert [state.epoch for state in switch.both(proven)] == [3, 3]
    assert switch.authority(proven).generation > generation
    assert asked(OLD, "SELECT last_value FROM dualwrite.outbox_id_seq") > known[OLD][0]
    assert memory(OLD, "applied") >= known[OLD][1]
    new.restore(as_a_disk=True)
    with pytest.raises(WentBack):
        switch.require_pair()


def test_whoever_acted_before_is_refused_afterwards(proven: Stream) -> None:
    before = Backup(NEW)
    epoch = switch.fence(proven, OLD, TESTER)
    switch.burn(proven, NEW, epoch, TESTER)
    seen = switch.state(proven, NEW)
    before.restore()
    switch.pair(TESTER, anew=True)
    for late in (
        lambda: switch.promote(proven, NEW, epoch, TESTER, positions={}),
        lambda: switch.burn(proven, NEW, epoch, TESTER),
        lambda: switch.revert(proven, OLD, epoch, seen, TESTER),
        lambda: switch.fence(proven, OLD, TESTER),
    ):
        with pytest.raises(ConcurrentChange):
            late()
    assert roles(proven) == (Role.AUTHORITY, Role.MIRROR)


def test_a_relay_from_before_is_refused_afterwards(proven: Stream) -> None:
    write(OLD, "B")
    with open_pipe(proven) as pipe:  # type: ignore[union-attr]
        execute(NEW, "UPDATE dualwrite.relay_fence SET peer_noted = 1000000 WHERE partition = 3")

        def pair_anew() -> None:
            failpoints.clear()
            switch.pair(TESTER, anew=True)

        failpoints.at("relay read", pair_anew)
        with pytest.raises(Superseded, match="the fence was raised"):
            pipe.move()
    assert "B" not in rows(NEW)


ANEW = [f"pair anew {store}{what}" for store in Store for what in ("", " numbers")]


@pytest.mark.parametrize("place", ANEW)
def test_killed_anywhere_pairing_anew_is_finished_by_the_same_command(
    proven: Stream, instruments: Stream, place: str
) -> None:
    execute(OLD, "INSERT INTO instruments (symbol, exchange) VALUES ('A', 'NSE')")
    enable(instruments, TESTER)
    worker.drain(instruments)
    before = Backup(OLD)
    switched(proven, NEW)
    before.restore()
    write(OLD, "ONLY HERE")
    failpoints.at(place, kill)
    with pytest.raises(Killed):
        enable(proven, TESTER, force=True)
    failpoints.clear()
    for stream in (proven, instruments):
        with pytest.raises((WentBack, AuthorityUnknown)):
            worker.drain(stream)
    assert_mended(proven, NEW)
    assert not stream_status(instruments)["verified"]
    assert enable(instruments, TESTER).changed, "what the other stream proved was proved with the store of before"
    worker.drain(instruments)
    assert validate(instruments).status == "passed"
    router.forget_roles()


def test_pairing_again_with_nothing_wrong_changes_nothing(proven: Stream) -> None:
    before = switch.both(proven)
    switch.pair(TESTER, anew=True)
    switch.pair(TESTER)
    assert switch.both(proven) == before
    assert asked(OLD, "SELECT count(*) FROM dualwrite.audit WHERE verb LIKE 'pair%%'") == 1
    connections[OLD.alias].close()
