"""What is installed is known, and any change to it is noticed."""

import psycopg
import pytest

from dualwrite import capture
from dualwrite.control.uninstall import uninstall
from dualwrite.control.wayback import preflight
from dualwrite.exceptions import CaptureBroken, NotInstalled, Refused, UsageError
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from tests.conftest import TESTER
from tests.support import add, enabled, engine_role, mirrored, noted, one

DAMAGE = {
    "DROP TRIGGER dualwrite_b_update ON index_memberships": "trigger dualwrite_b_update is missing",
    "ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_insert": "dualwrite_b_insert is not enabled for every",
    "ALTER TABLE index_memberships ENABLE TRIGGER dualwrite_a_guard": "dualwrite_a_guard is not enabled for every",
    "ALTER TABLE index_memberships ADD COLUMN note text": "the table, a trigger or a function was changed",
    "ALTER TABLE index_memberships ALTER COLUMN weight TYPE numeric(4,1)": "a trigger or a function was changed",
    "CREATE OR REPLACE FUNCTION dualwrite.index_memberships_insert_v1() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NULL; END'": "a function was changed",
    "ALTER FUNCTION dualwrite.guard_v1() SECURITY INVOKER": "a function was changed",
    "DELETE FROM dualwrite.installation": "nothing is recorded as installed",
    "UPDATE dualwrite.installation SET version = 0": "version 0 is installed, this program needs 1",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_and_mended_by_installing_again(screener: Session, memberships: Stream, damage: str) -> None:
    assert capture.problems(memberships, Store.SCREENER) == []
    try:
        screener.execute(damage)
        assert DAMAGE[damage] in "; ".join(capture.problems(memberships, Store.SCREENER))
        with pytest.raises(CaptureBroken, match="index_memberships in screener"):
            capture.require(memberships, Store.SCREENER)
        assert capture.install(Store.SCREENER)["index_memberships"] == "installed"
        assert capture.problems(memberships, Store.SCREENER) == []
    finally:
        screener.execute("ALTER TABLE index_memberships DROP COLUMN IF EXISTS note")
        screener.execute("ALTER TABLE index_memberships ALTER COLUMN weight TYPE numeric")


def test_installing_again_changes_nothing_and_keeps_what_waits(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    add(screener, "A")
    before = one(screener, "SELECT max(xmin::text) FROM dualwrite.installation")
    assert set(capture.install(Store.SCREENER).values()) == {"unchanged"}
    assert one(screener, "SELECT max(xmin::text) FROM dualwrite.installation") == before
    assert noted(screener) == ['["NSE:A","NIFTY 50"]']


def test_the_printed_script_is_what_install_runs(screener: Session, memberships: Stream) -> None:
    script = capture.installation_sql(Store.SCREENER, str(one(screener, "SELECT current_user")))
    screener.execute("DROP SCHEMA dualwrite CASCADE")
    screener.execute(script)
    assert capture.problems(memberships, Store.SCREENER) == []
    assert set(capture.install(Store.SCREENER).values()) == {"unchanged"}


def test_a_long_transaction_makes_installing_give_up_instead_of_blocking_writers(
    screener: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "LOCK_TIMEOUT", "100ms")
    screener.execute("DELETE FROM dualwrite.installation")
    with screener.transaction():
        add(screener, "A")
        with pytest.raises(Refused, match="a long transaction holds a table in screener"):
            capture.install(Store.SCREENER)


def test_a_store_without_the_engine_says_so(screener: Session, memberships: Stream) -> None:
    screener.execute("DROP SCHEMA dualwrite CASCADE")
    with pytest.raises(NotInstalled, match="dualwrite install --store NAME"):
        capture.require(memberships, Store.SCREENER)


def test_uninstalling_needs_a_reason_and_a_stream_that_does_not_rely_on_it(
    screener: Session, memberships: Stream
) -> None:
    enabled(memberships)
    with pytest.raises(UsageError, match="needs a reason"):
        uninstall(Store.SCREENER, Actor("test"))
    with pytest.raises(Refused, match="streams index_memberships rely on the screener"):
        uninstall(Store.SCREENER, TESTER)
    assert capture.problems(memberships, Store.SCREENER) == []


def test_uninstalling_leaves_the_old_table_as_it_was_and_the_audit(screener: Session) -> None:
    uninstall(Store.SCREENER, TESTER)
    add(screener, "A")
    assert one(screener, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dualwrite%'") == 0
    assert one(screener, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'dualwrite'::regnamespace") == 1
    assert one(screener, "SELECT verb FROM dualwrite.audit ORDER BY id DESC LIMIT 1") == "uninstall"


def test_an_application_role_with_the_grants_can_relay(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """The engine's role in the old database owns nothing there."""
    screener.execute("DROP ROLE IF EXISTS dw_test_engine")
    screener.execute("CREATE ROLE dw_test_engine")
    screener.execute("GRANT SELECT ON index_memberships TO dw_test_engine")
    try:
        capture.install(Store.SCREENER, role="dw_test_engine")
        with dedicated(Store.SCREENER, "engine") as session, session.transaction(force_rollback=True):
            session.execute("SET ROLE dw_test_engine")
            session.execute("DELETE FROM dualwrite.outbox")
            session.execute("UPDATE dualwrite.stream_state SET changed_at = now()")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("DELETE FROM dualwrite.stream_state")
    finally:
        screener.execute("DROP OWNED BY dw_test_engine")
        screener.execute("DROP ROLE dw_test_engine")
    assert mirrored(registry) == {}


def test_the_engines_role_gets_what_reading_and_following_need_and_no_more(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch) as role:
        rights = (
            "SELECT string_agg(privilege_type, ', ' ORDER BY privilege_type) FROM information_schema.table_privileges"
            " WHERE grantee = %s AND table_name = 'index_memberships'"
        )
        assert one(screener, rights, role) == "DELETE, INSERT, SELECT, UPDATE"
        assert preflight(memberships, Store.SCREENER).facts["missing_grants"] == []


def test_the_printed_script_grants_the_role_what_the_way_back_needs(screener: Session, memberships: Stream) -> None:
    screener.execute("CREATE ROLE dw_test_follower")
    try:
        screener.execute("CREATE SEQUENCE dw_test_numbers")
        screener.execute("ALTER TABLE index_memberships ADD COLUMN extra bigint DEFAULT nextval('dw_test_numbers')")
        screener.execute(capture.installation_sql(Store.SCREENER, "dw_test_follower").encode())
        rights = "SELECT has_table_privilege('dw_test_follower', 'index_memberships', 'INSERT')"
        sequence = "SELECT has_sequence_privilege('dw_test_follower', 'dw_test_numbers', 'USAGE')"
        assert (one(screener, rights), one(screener, sequence)) == (True, True)
    finally:
        screener.execute("ALTER TABLE index_memberships DROP COLUMN IF EXISTS extra")
        screener.execute("DROP SEQUENCE IF EXISTS dw_test_numbers")
        screener.execute("DROP OWNED BY dw_test_follower")
        screener.execute("DROP ROLE dw_test_follower")
        capture.install(Store.SCREENER)


def test_an_old_store_that_follows_without_the_rights_is_told_and_while_it_leads_it_is_not(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch, only_reads=True) as role:
        assert capture.problems(memberships, Store.SCREENER) == []
        screener.execute("UPDATE dualwrite.stream_state SET role = 'mirror' WHERE stream = 'index_memberships'")
        found = capture.problems(memberships, Store.SCREENER)
    grant = f'GRANT INSERT, UPDATE, DELETE ON "public"."index_memberships" TO {role};'
    assert len(found) == 1
    assert found[0].startswith(f"role {role} lacks what following the other store needs: {grant}")
