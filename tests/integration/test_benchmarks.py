"""Each benchmark runs, on a handful of rows: its numbers mean nothing here, its shape and its tidiness do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connections

from benchmarks import validation_peer
from dualwrite.stages import Store
from tests.conftest import url_of

ROOT = Path(__file__).parent.parent.parent
CASES = {
    "api": {"resolve_bare", "resolve", "members_bare", "members", "bulk_engine", "bulk"},
    "capture": {
        f"{name}_{table}"
        for name in ("update_1", "update_8", "insert_1", "insert_8", "bulk_create", "update_many")
        for table in ("plain", "captured")
    },
    "relay": {
        "relay_index_memberships_disabled",
        "relay_index_memberships_strict",
        "upsert_index_memberships",
        "relay_without_domain_triggers_disabled",
        "relay_without_domain_triggers_strict",
        "upsert_without_domain_triggers",
        "outbox_quarter",
        "outbox_whole",
        "outbox_fourfold",
        "keys_of_few",
        "keys_of_many",
        "lag_p99",
        "lag_writes",
    },
    "switch": {"save", "save_p99", "stall_p50", "stall_p99", "stall_longest", "switch_locked", "round"},
    "retention": {"ours", "limit", "orm", "orm_fast", "memory_25", "memory_100", "memory_400"},
    "status": {"metrics_empty", "metrics_full", "status_empty", "status_full", "second", "health_hanging"},
    "writing": {
        f"{way}_{name}"
        for way in ("naive", "second_save", "write", "mirroring")
        for name in ("alone", "beside_a_relay")
    },
    "validation": {
        "compare_equal",
        "copy_equal",
        "python_load",
        "compare_tenth",
        "compare_four_tenths",
        "compare_whole",
        "compare_keys",
        "compare_keys_and_slice",
        "compare_full",
        "compare_differing",
        "copy_differing",
    },
}
RATIOS = {
    "api": {"resolve_over_bare", "members_over_bare", "bulk_over_engine"},
    "capture": {"update_1", "update_8", "insert_1", "insert_8", "bulk_create", "update_many"},
    "relay": {
        *(
            f"{name}_{mode}"
            for name in ("index_memberships", "without_domain_triggers")
            for mode in ("disabled", "strict")
        ),
        "memory",
        "many_keys",
        "lag_p99_in_polling_intervals",
        "lag_rate_kept",
    },
    "retention": {"ours_over_limit", "orm_with_signal_over_ours", "orm_fast_over_ours", "peak_memory_spread"},
    "switch": {"stall_p99_over_save_p50", "lost_writes", "rate_kept"},
    "status": {"metrics_full_over_empty", "status_full_over_empty", "health_hanging"},
    "writing": {f"{way}_{name}" for way in ("write", "mirroring") for name in ("alone", "beside_a_relay")},
    "validation": {
        "equal_over_copy",
        "python_load_over_equal",
        "exponent",
        "peak_mb",
        "full_over_keys",
        "full_over_keys_and_slice",
        "differing_over_copy",
    },
}
#: What is there as well where reladiff can be installed.
PEER_CASES = {"reladiff_ids", "reladiff_natural_key", "reladiff_differing"}
PEER_RATIOS = {"reladiff_ids_over_equal", "reladiff_natural_key_over_equal", "reladiff_over_differing"}


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


@pytest.mark.parametrize("name", ["api", "capture", "relay", "retention", "status", "switch", "validation", "writing"])
@pytest.mark.usefixtures("databases")
def test_a_benchmark_prints_one_json_object_and_leaves_no_database(name: str) -> None:
    done = _bench(name, "--rows", "100", "--rounds", "1", "--json")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    with_peer = name == "validation" and "reladiff could not be installed" not in done.stderr
    cases, ratios = (CASES[name] | PEER_CASES, RATIOS[name] | PEER_RATIOS) if with_peer else (CASES[name], RATIOS[name])
    assert (found["name"], found["rows"], found["cases"].keys()) == (name, 100, cases)
    assert found["ratios"].keys() == ratios
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


def test_a_peer_that_cannot_be_installed_is_left_out_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"no-such-peer==1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said: list[str] = []
    assert validation_peer.installed(said.append, tmp_path / "peer", lock) is None
    assert [line for line in said if "could not be installed" in line and "no-such-peer" in line] == said[1:]


def test_a_peer_is_installed_once_for_each_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("# nothing\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said: list[str] = []
    python = validation_peer.installed(said.append, tmp_path / "peer", lock)
    assert python is not None
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0
    assert (validation_peer.installed(said.append, tmp_path / "peer", lock), len(said)) == (python, 1)
    lock.write_text("# nothing, anew\n")
    assert (validation_peer.installed(said.append, tmp_path / "peer", lock), len(said)) == (python, 2)
