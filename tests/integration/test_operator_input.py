"""What operators type, or try, is answered in a sentence and changes what it says or nothing."""

import pytest
from django.core.management import CommandError, call_command
from psycopg import sql

from dualwrite import switch
from dualwrite.control.enable import enable
from dualwrite.control.pause import pause, resume
from dualwrite.models import StreamControl
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.process import manage
from tests.support import add, enabled

TABLES = ("stream_state", "relay_fence", "store_identity", "installation", "audit", "outbox")


def everything(*sessions: Session) -> list[object]:
    """Every row that the engine keeps in these stores."""
    found: list[object] = []
    for session in sessions:
        for table in TABLES:
            query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier("dualwrite", table))
            found.append(session.execute(query).fetchall())
    return [*found, list(StreamControl.objects.order_by("stream").values())]


def test_a_dry_run_on_new_stores_writes_nothing(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A")
    before = everything(screener, registry)
    enable(memberships, TESTER, dry_run=True)
    assert everything(screener, registry) == before


def test_a_dry_run_does_not_finish_what_was_left_half_done(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    StreamControl.objects.update(stage="off")
    before = everything(screener, registry)
    assert not enable(memberships, TESTER, dry_run=True, force=True).changed
    assert everything(screener, registry) == before
    enable(memberships, TESTER)
    assert StreamControl.objects.get().stage == "dualwrite"


def test_a_reason_that_is_no_text_is_refused_before_anything_is_done(stores: None, memberships: Stream) -> None:
    enabled(memberships)
    with pytest.raises(CommandError, match="--reason is not valid UTF-8") as caught:
        call_command("dualwrite", "pause", "--all", "--reason", "\udcff")
    assert caught.value.returncode == 2
    assert not StreamControl.objects.get().paused


@pytest.mark.parametrize("verb", [pause, resume])
def test_what_cannot_be_audited_is_not_done(
    stores: None, memberships: Stream, monkeypatch: pytest.MonkeyPatch, verb: object
) -> None:
    enabled(memberships)
    StreamControl.objects.update(paused=verb is resume)

    class Full(Exception):
        """Stands for an audit that cannot be written."""

    def full(*args: object) -> None:
        raise Full

    monkeypatch.setattr(switch, "audit", full)
    with pytest.raises(Full):
        (pause if verb is pause else resume)(memberships, TESTER)
    assert StreamControl.objects.get().paused is (verb is resume)


@pytest.mark.parametrize("command", [["relay", "--once"], ["run_validation"], ["dualwrite", "status"]])
def test_an_empty_name_of_a_stream_is_no_stream(stores: None, command: list[str]) -> None:
    with pytest.raises(CommandError, match="valid: index_memberships, instruments") as caught:
        call_command(*command, "--stream", "")
    assert caught.value.returncode == 2


@pytest.mark.parametrize("variable", ["DATABASE_URL", "SCREENER_DATABASE_URL"])
def test_an_address_that_is_none_is_named_with_its_variable(stores: None, variable: str) -> None:
    done = manage("dualwrite", "status", **{variable: "postgres://user:secret-word@127.0.0.1:abc/name"})
    assert done.returncode == 2
    assert variable in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-word" not in done.stderr
