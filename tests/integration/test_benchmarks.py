"""Each benchmark runs, on a handful of rows: its numbers mean nothing here, its shape and its tidiness do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connections

from dualwrite.stages import Store
from tests.conftest import url_of

ROOT = Path(__file__).parent.parent.parent
CASES = {
    "capture": {
        f"{name}_{table}"
        for name in ("update_1", "update_8", "insert_1", "insert_8", "bulk_create", "update_many")
        for table in ("plain", "captured")
    },
    "relay": {
        "relay_index_memberships",
        "upsert_index_memberships",
        "relay_without_domain_triggers",
        "upsert_without_domain_triggers",
        "outbox_quarter",
        "outbox_whole",
        "outbox_fourfold",
    },
    "switch": {"save", "save_p99", "stall_p50", "stall_p99", "stall_longest", "switch_locked", "round"},
}
RATIOS = {
    "capture": {"update_1", "update_8", "insert_1", "insert_8", "bulk_create", "update_many"},
    "relay": {"index_memberships", "without_domain_triggers", "memory"},
    "switch": {"stall_p99_over_save_p50", "lost_writes", "rate_kept"},
}


def _bench(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    addresses = {"DATABASE_URL": url_of(Store.REGISTRY), "SCREENER_DATABASE_URL": url_of(Store.SCREENER)}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=os.environ | addresses | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["capture", "relay", "switch"])
@pytest.mark.usefixtures("databases")
def test_a_benchmark_prints_one_json_object_and_leaves_no_database(name: str) -> None:
    done = _bench(name, "--rows", "100", "--rounds", "1", "--json")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert (found["name"], found["rows"], found["cases"].keys()) == (name, 100, CASES[name])
    assert found["ratios"].keys() == RATIOS[name]
    assert all(case["median_seconds"] > 0 and len(case["runs"]) == 1 for case in found["cases"].values())
    assert done.returncode == (0 if all(ratio["met"] for ratio in found["ratios"].values()) else 1)
    assert "fsync" in found["machine"]
    with connections[Store.REGISTRY.alias].cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'bench\\_%%'")
        assert cursor.fetchall() == []


@pytest.mark.usefixtures("databases")
def test_a_server_that_cannot_be_reached_is_named_in_one_line() -> None:
    done = _bench("relay", DATABASE_URL="postgres://nobody@127.0.0.1:1/none")
    assert done.returncode == 3
    assert "the server of DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
