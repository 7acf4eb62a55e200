"""The commands as an operator types them: their words, their JSON, their exit codes."""

import json

import pytest

from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.process import manage, managed
from tests.support import add, enabled

NOWHERE = "postgres://nobody:secret-word@127.0.0.1:1/nothing"


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        (["dualwrite", "status", "--stream", "nope"], "valid: index_memberships, instruments"),
        (["dualwrite", "enable", "--stream", "nope"], "valid: index_memberships, instruments"),
        (["dualwrite", "install", "--store", "nope"], "valid: registry, screener"),
        (["dualwrite", "install"], "valid: screener, registry"),
        (["dualwrite", "enable"], "--stream NAME, or take --all"),
        (["dualwrite", "frobnicate"], "status"),
        (["dualwrite", "redrive", "--key", "x"], "--key needs --stream"),
        (["run_validation", "--level", "nope"], "strict"),
        (["run_validation", "--stream", "nope"], "valid: index_memberships, instruments"),
        (["relay", "--once", "--stream", "nope"], "valid: index_memberships, instruments"),
        (["nope"], "No command 'nope'; valid: "),
        (["help", "nope"], "import_constituents"),
    ],
)
def test_a_wrong_word_is_answered_with_the_valid_ones(stores: None, arguments: list[str], valid: str) -> None:
    done = managed(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert valid in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("store", ["DATABASE_URL", "SCREENER_DATABASE_URL"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["dualwrite", "status"],
        ["dualwrite", "enable", "--all"],
        ["run_validation"],
        ["relay", "--once"],
        ["dualwrite", "verify"],
    ],
)
def test_a_database_that_is_away_is_named_in_one_line(stores: None, store: str, arguments: list[str]) -> None:
    done = manage(*arguments, **{store: NOWHERE})
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "127.0.0.1:1/nothing" in done.stdout + done.stderr
    assert "secret-word" not in done.stdout + done.stderr
    if arguments != ["dualwrite", "status"]:
        errors = [line for line in done.stderr.splitlines() if "CommandError" in line]
        assert len(errors) == 1, done.stderr


def test_a_wrong_word_ends_the_process_with_2(stores: None) -> None:
    done = manage("dualwrite", "status", "--stream", "nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert "valid: index_memberships, instruments" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_setting_is_named(stores: None) -> None:
    done = manage("dualwrite", "status", DATABASE_URL="")
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_as_json_has_the_promised_names(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    add(screener, "A")
    done = manage("dualwrite", "status", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["streams"]}
    row = rows["index_memberships"]
    assert row["stage"] == "dualwrite"
    assert (row["authority"], row["mirroring"], row["verified"]) == ("screener", "active", False)
    assert row["outbox"]["pending"] == 1
    assert row["outbox"]["pending_is_estimate"] is False
    assert row["lag_seconds"] == row["outbox"]["oldest_age_seconds"] > 0
    assert rows["instruments"]["mirroring"] == "off"
    promised = {
        "epoch",
        "parked",
        "relayed_total",
        "last_validation",
        "transition",
        "rollback_ready",
        "breaker",
        "blocked_by",
    }
    assert promised <= row.keys()


def test_the_way_of_an_operator_from_enabling_to_a_mended_record(screener: Session) -> None:
    add(screener, "A")
    add(screener, "BAD", weight="101")
    assert manage("dualwrite", "enable", "--all").returncode == 0
    once = manage("relay", "--once", "--json")
    assert once.returncode == 1, "a key was parked"
    assert json.loads(once.stdout)["streams"][0] == {"name": "index_memberships", "relayed": 2, "parked": 1}
    assert manage("run_validation", "--stream", "index_memberships").returncode == 1
    parked = manage("dualwrite", "parked", "--json")
    assert parked.returncode == 1
    assert json.loads(parked.stdout)["parked"][0]["key"] == '["NSE:BAD","NIFTY 50"]'
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_update")
    assert manage("dualwrite", "verify").returncode == 1
    screener.execute("UPDATE index_memberships SET weight = 10 WHERE symbol = 'BAD'")
    assert manage("dualwrite", "install", "--store", "screener").returncode == 0
    assert manage("dualwrite", "redrive", "--stream", "index_memberships").returncode == 0
    assert manage("relay", "--once").returncode == 0
    valid = manage("run_validation", "--stream", "index_memberships", "--json")
    assert valid.returncode == 0
    assert json.loads(valid.stdout)["runs"][0]["status"] == "passed"
