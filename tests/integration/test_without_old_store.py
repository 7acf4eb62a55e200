"""An installation that never had an old store, or has none any more: the registry alone, every stream complete."""

import json
from pathlib import Path
from typing import Any

import pytest

from dualwrite import router
from dualwrite.models import StreamControl
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream, all_streams
from tests.integration.moving import bring, quick, relay_at_work, write
from tests.process import manage
from tests.support import add, column, one

ALONE = {"SCREENER_DATABASE_URL": "none"}
NO_OLD_STORE = "There is no old store, as SCREENER_DATABASE_URL is none"
MISSING = "The old store is part of a stream, but SCREENER_DATABASE_URL is none; set it to the old store's address"
STREAM = ("--stream", "index_memberships")
#: Opens pages as an operator with all rights, and prints what is answered.
OPENS = """
import json
from django.contrib.auth import get_user_model
from django.test import Client
client = Client(SERVER_NAME="localhost")
client.force_login(get_user_model().objects.create_superuser("operator"))
answers = [client.get(path) for path in {paths!r}]
print(json.dumps([[answer.status_code, answer.content.decode()] for answer in answers]))
"""


@pytest.fixture
def alone(registry: Session) -> Session:
    """A connection to a registry that was installed without an old store."""
    registry.execute("DROP SCHEMA dualwrite CASCADE")
    done = manage("dualwrite", "install", "--store", "registry", **ALONE)
    assert done.returncode == 0, done.stderr
    return registry


def status(code: int = 0) -> list[dict[str, Any]]:
    """The rows of `dualwrite status` where no old store is configured."""
    done = manage("dualwrite", "status", "--json", **ALONE)
    assert done.returncode == code, done.stdout + done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["streams"]
    assert [row["name"] for row in rows] == [stream.name for stream in all_streams()]
    return rows


def components() -> dict[str, Any]:
    """Health by component where no old store is configured."""
    found: dict[str, Any] = json.loads(manage("run_health_checks", "--json", **ALONE).stdout)["components"]
    return found


def opened(*paths: str) -> list[tuple[int, str]]:
    """Status and text of each page where no old store is configured."""
    done = manage("shell", "-v", "0", "-c", OPENS.format(paths=paths), **ALONE)
    assert done.returncode == 0, done.stderr
    return [(code, text) for code, text in json.loads(done.stdout)]


def sentence(*command: str, code: int, **changes: str) -> str:
    """The one sentence with which the command is refused, after what it said of its steps."""
    done = manage(*command, **{**ALONE, **changes})
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    *steps, last = done.stderr.strip().splitlines()
    assert [line for line in steps if not line.startswith(("index_memberships: ", "making "))] == []
    return last


def standing(session: Session) -> list[tuple[Any, ...]]:
    """Role and capture of each stream in the store."""
    return session.execute("SELECT role, capture FROM dualwrite.stream_state ORDER BY stream").fetchall()


def test_the_first_installation_lets_the_registry_take_the_writes_and_notes_none(alone: Session) -> None:
    assert standing(alone) == [("authority", False)] * 2
    write(alone, Store.REGISTRY, "A")
    alone.execute("DELETE FROM index_memberships")
    assert one(alone, "SELECT count(*) FROM dualwrite.outbox") == 0
    assert "unchanged" in manage("dualwrite", "install", "--store", "registry", **ALONE).stdout
    done = manage("dualwrite", "verify", **ALONE)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["index_memberships registry: as installed", "instruments registry: as installed"],
    )


def test_every_stream_is_complete_and_nothing_is_left_to_do(alone: Session) -> None:
    for row in status():
        assert (row["stage"], row["authority"], row["mirroring"]) == ("complete", "registry", "off")
        assert (row["blocked_by"], row["transition"], row["rollback_ready"]) == ([], None, False)
        assert (row["outbox"]["pending"], row["parked"], row["relayed_total"]) == (0, 0, 0)
    done = manage("relay", "--once", **ALONE)
    assert (done.returncode, "instruments: 0 keys relayed, 0 parked" in done.stdout) == (0, True), done.stderr
    assert not StreamControl.objects.exists()
    found = components()
    assert "screener" not in found
    assert {found[name]["status"] for name in ("database", "dualWrite", "relay")} == {"UP"}


@pytest.mark.parametrize(
    "command",
    [
        ("dualwrite", "enable", *STREAM),
        ("dualwrite", "enable", *STREAM, "--dry-run"),
        ("dualwrite", "advance", *STREAM, "--reason", "tried"),
        ("dualwrite", "advance", *STREAM, "--dry-run"),
        ("dualwrite", "rollback", *STREAM, "--reason", "tried"),
        ("dualwrite", "backfill", *STREAM),
        ("dualwrite", "rehearse"),
        ("run_validation",),
    ],
)
def test_what_needs_two_stores_is_refused_in_one_sentence(alone: Session, command: tuple[str, ...]) -> None:
    allowed = {"INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED": "false"}  # that this forbids it is not the reason
    assert NO_OLD_STORE in sentence(*command, code=1, **allowed)
    assert standing(alone) == [("authority", False)] * 2


def test_disabling_says_that_nothing_is_mirrored_and_changes_nothing(alone: Session) -> None:
    done = manage("dualwrite", "disable", **ALONE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "index_memberships: nothing is mirrored already",
        "instruments: nothing is mirrored already",
    ]
    assert column(alone, "SELECT generation FROM dualwrite.stream_state") == [0, 0]


@pytest.mark.parametrize("verb", ["install", "uninstall", "sql"])
def test_the_old_store_cannot_be_named(alone: Session, verb: str) -> None:
    said = sentence("dualwrite", verb, "--store", "screener", code=2)
    assert "there is no screener store, as SCREENER_DATABASE_URL is none; valid: registry" in said


def test_the_script_for_the_administrator_does_what_installing_does(registry: Session) -> None:
    script = manage("dualwrite", "sql", "--store", "registry", "--role", registry.info.user, **ALONE).stdout
    registry.execute("DROP SCHEMA dualwrite CASCADE")
    registry.execute(script.encode())
    assert standing(registry) == [("authority", False)] * 2


def test_all_pages_come_and_those_of_the_old_tables_are_gone(alone: Session) -> None:
    streams = "/admin/dualwrite/streamcontrol/"
    verbs = [f"{streams}index_memberships/{verb}/" for verb in ("change", "enable", "advance", "rollback", "disable")]
    plain = ["/actuator/dual-write/status", "/actuator/info", "/metrics", "/admin/", streams, *verbs]
    answers = opened("/actuator/status", *plain, "/admin/screener/screenerinstrument/", "/actuator/health/screener")
    assert [code for code, _ in answers] == [200] * (1 + len(plain)) + [404, 404]
    found = json.loads(answers[0][1])
    elsewhere = ("redis", "celery", "beat", "diskSpace")
    assert [p for p in found["problems"] if p["where"] not in elsewhere] == []
    assert 'registry_dualwrite_stage{stage="complete",stream="instruments"} 1.0' in answers[3][1]
    assert "registry_metrics_collector_success 1.0" in answers[3][1]
    assert "Screener" not in answers[4][1]


def test_the_main_job_has_nothing_to_move_and_says_so(alone: Session) -> None:
    done = manage("main_job", "--json", **ALONE)
    assert (done.returncode, json.loads(done.stdout)["streams"]) == (0, []), done.stderr
    done = manage("main_job", **ALONE)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert done.stdout.startswith("There is no old store, so there is nothing to move")


def test_members_are_imported_into_the_registry_and_none_is_noted(alone: Session, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("symbol,exchange,index_name\nAAA,NYSE,S&P 500\nBBB,NYSE,S&P 500\n")
    for counts in ("2 accepted, 0 unchanged", "0 accepted, 2 unchanged"):
        done = manage("import_constituents", str(file), "--rejects", str(tmp_path / "rejects"), **ALONE)
        assert counts in done.stdout, done.stdout + done.stderr
    assert column(alone, "SELECT instrument_key FROM index_memberships ORDER BY 1") == ["NYSE:AAA", "NYSE:BBB"]
    assert one(alone, "SELECT count(*) FROM dualwrite.outbox") == 0


def test_members_cannot_be_imported_into_a_store_that_is_not_there(alone: Session) -> None:
    said = sentence("import_constituents", "data/constituents_current.csv", "--into", "screener", code=2)
    assert "there is no screener store" in said


def test_a_missing_address_is_no_word_for_none(stores: None) -> None:
    said = sentence("dualwrite", "status", code=2, SCREENER_DATABASE_URL="")
    assert said.startswith("Configuration: SCREENER_DATABASE_URL is not set; valid: postgres://")
    assert said.endswith("or none where there is no old store")


def test_an_owner_of_an_old_store_that_is_not_there_is_a_contradiction(stores: None) -> None:
    said = sentence("dualwrite", "status", code=2, SCREENER_MIGRATION_DATABASE_URL="postgres://x@localhost/x")
    assert said == "Configuration: SCREENER_MIGRATION_DATABASE_URL is set, but SCREENER_DATABASE_URL is none"


def test_after_complete_the_old_store_can_be_taken_out_of_the_settings(
    screener: Session, registry: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    add(screener, "A")
    screener.execute("INSERT INTO instruments (symbol, exchange) VALUES ('A', 'NSE')")
    for stream in (memberships, instruments):
        with relay_at_work(stream):
            bring(stream, Stage.COMPLETE)
    install = manage("dualwrite", "install", "--store", "registry", **ALONE)
    assert (install.returncode, "unchanged" in install.stdout) == (0, True), install.stderr
    for row in status():
        assert (row["stage"], row["authority"], row["blocked_by"]) == ("complete", "registry", [])
    found = components()
    assert "screener" not in found
    assert {found[name]["status"] for name in ("database", "dualWrite", "relay")} == {"UP"}
    write(registry, Store.REGISTRY, "B")


@pytest.mark.parametrize("role", [Role.DETACHED, Role.MIRROR, Role.FENCED])
def test_a_registry_that_does_not_take_the_writes_never_takes_them_by_itself(registry: Session, role: Role) -> None:
    registry.execute("UPDATE dualwrite.stream_state SET role = %s", (role.value,))
    rows = status(code=3)
    for row in rows:
        assert row["authority"] is None
        (blocked,) = row["blocked_by"]
        assert blocked["why"].startswith(f"{MISSING}: stream {row['name']} is {role} in registry (")
        assert blocked["mend"].startswith("set SCREENER_DATABASE_URL to the old store and bring the stream to complete")
    assert components()["dualWrite"]["status"] == "DOWN"
    assert MISSING in sentence("dualwrite", "install", "--store", "registry", code=3)
    assert MISSING in manage("dualwrite", "disable", **ALONE).stdout
    assert standing(registry) == [(role.value, False)] * 2
    with pytest.raises(Exception, match=r"takes its writes, this one|no write is taken now"):
        write(registry, Store.REGISTRY, "A")


def test_a_stream_that_is_still_mirrored_back_is_blocked_and_stays_as_it_is(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    add(screener, "A")
    with relay_at_work(memberships):
        bring(memberships, Stage.LIVE)
    write(registry, Store.REGISTRY, "B")
    registry.execute("UPDATE dualwrite.stream_state SET role = 'authority' WHERE stream = 'instruments'")
    row = status()[0]
    assert (row["stage"], row["authority"]) == ("live", "registry")
    assert [gate["gate"] for gate in row["blocked_by"]] == ["mirror"]
    found = components()["dualWrite"]
    assert (found["status"], NO_OLD_STORE in found["details"]["error"]) == ("OUT_OF_SERVICE", True)
    said = sentence("dualwrite", "install", "--store", "registry", code=3)
    assert "stream index_memberships is mirrored in registry" in said
    assert "has 1 keys noted for it" in sentence("relay", "--once", *STREAM, code=1)
    assert StreamControl.objects.get().stage == "live"
    assert standing(registry)[0] == ("authority", True)


def test_an_old_store_that_appears_later_takes_no_writes_away_by_itself(
    alone: Session, screener: Session, memberships: Stream
) -> None:
    router.forget_roles()
    done = manage("dualwrite", "status", "--json")
    row = json.loads(done.stdout)["streams"][0]
    assert (done.returncode, row["authority"]) == (3, None)
    assert "screener is authority, registry is authority" in row["blocked_by"][0]["why"]
    assert manage("dualwrite", "enable", *STREAM).returncode in (1, 3)
    assert standing(alone) == [("authority", False)] * 2


def test_a_registry_that_was_uninstalled_keeps_the_writes_when_it_is_installed_again(alone: Session) -> None:
    assert manage("dualwrite", "uninstall", "--store", "registry", "--reason", "tried", **ALONE).returncode == 0
    assert manage("dualwrite", "install", "--store", "registry", **ALONE).returncode == 0
    assert standing(alone) == [("authority", False)] * 2
