"""Several processes that count, and files that a killed one left behind."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest

from dualwrite.monitoring import multiprocess

#: A process that writes to two streams, and dies without a word.
COUNTS = """
import os
from dualwrite import measured
measured.took("memberships", "registry", 0.02)
measured.failed("memberships", "UniqueViolation")
measured.compared("memberships", equal=3, different=1)
from prometheus_client import Gauge
Gauge("living", "Only of the living.", multiprocess_mode="livesum").set(1)
os._exit(0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a service with several processes."""
    monkeypatch.setenv(multiprocess.VARIABLE, str(tmp_path / "counts"))
    multiprocess.clear()
    return tmp_path / "counts"


def count() -> int:
    """Let a process count and end; returns its number."""
    with subprocess.Popen([sys.executable, "-c", COUNTS], env=dict(os.environ)) as process:
        assert process.wait(30) == 0
        return process.pid


def page() -> str:
    """What is shown."""
    return generate_latest(multiprocess.processes()).decode()


SUMMED = 'registry_dualwrite_operation_seconds_count{store="registry",stream="memberships"}'


def test_what_dead_and_living_processes_counted_is_added_up(folder: Path) -> None:
    first, _ = count(), count()
    shown = page()
    assert f"{SUMMED} 2.0" in shown
    assert 'registry_dualwrite_apply_errors_total{reason="UniqueViolation",stream="memberships"} 2.0' in shown
    assert 'registry_dualwrite_comparisons_total{result="equal",stream="memberships"} 6.0' in shown
    assert "registry_metrics_unreadable_files 0.0" in shown
    assert "python_info" in shown
    assert "living 2.0" in shown
    multiprocess.mark_dead(first)
    assert "living 1.0" in page()
    assert f"{SUMMED} 2.0" in page()


@pytest.mark.parametrize("content", [b"", b"\x08", struct.pack("i", 4096) + b"\x00" * 4, b"hello" * 99])
def test_an_empty_or_torn_file_is_left_out_and_breaks_nothing(folder: Path, content: bytes) -> None:
    count()
    (folder / "histogram_99999.db").write_bytes(content)
    shown = page()
    assert f"{SUMMED} 1.0" in shown
    assert "registry_metrics_unreadable_files 1.0" in shown
    assert (folder / "histogram_99999.db").exists()


def test_every_place_to_cut_a_file_off_is_survived(folder: Path) -> None:
    count()
    [whole] = folder.glob("histogram_*.db")
    data = whole.read_bytes()
    used = struct.unpack_from("i", data)[0]
    for cut in range(0, used, 7):
        (folder / "histogram_99999.db").write_bytes(data[:cut])
        assert "registry_metrics_unreadable_files" in page()


def test_a_service_begins_with_nothing_counted(folder: Path) -> None:
    count()
    multiprocess.clear()
    assert list(folder.iterdir()) == []
    assert SUMMED not in page()


def test_a_directory_that_is_gone_is_an_empty_page(folder: Path) -> None:
    folder.rmdir()
    assert "registry_metrics_unreadable_files 0.0" in page()
    multiprocess.mark_dead(1)


def test_a_service_of_one_process_shows_what_it_counts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(multiprocess.VARIABLE, raising=False)
    multiprocess.clear()
    multiprocess.mark_dead(1)
    assert "python_info" in page()
    assert "registry_metrics_unreadable_files" not in page()


def test_a_count_that_fails_fails_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dualwrite import measured

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(measured, "_told", set())
    monkeypatch.setattr(measured.OPERATION, "labels", full)
    for _ in range(3):
        measured.took("memberships", "registry", 0.1)
    assert caplog.text.count("No space left on device") == 1


@pytest.mark.parametrize(("code", "kind"), [("23505", "UniqueViolation"), ("ZZ999", "Other"), ("", "Other")])
def test_an_error_of_the_server_has_a_name_of_which_there_are_few(code: str, kind: str) -> None:
    from dualwrite import measured

    assert measured.kind_of(code) == kind
