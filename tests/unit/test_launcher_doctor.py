"""What the doctor finds on damaged or unwritable state."""

import os
import socket
from pathlib import Path

import pytest

from ops.local import doctor, ports
from ops.local.credentials import Credentials
from ops.local.place import Place


def test_port_0_is_not_running_even_when_something_answers_on_the_usual_port() -> None:
    assert doctor.target("postgresql://u:p@127.0.0.1:0/x") == ("127.0.0.1", 0)
    assert not doctor.reaches("postgresql://u:p@127.0.0.1:0/x")


def test_an_address_without_port_means_the_usual_one() -> None:
    assert doctor.target("redis://cache/0") == ("cache", 6379)
    assert doctor.target("postgresql:///x") == ("localhost", 5432)


def test_a_server_that_listens_is_reached() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        assert doctor.reaches(f"redis://{ports.LOOPBACK}:{server.getsockname()[1]}/0")


def test_an_address_that_is_none_is_a_finding() -> None:
    assert not doctor.named_server("DATABASE_URL", "postgresql://x:[@127.0.0.1:abc/registry").good


def test_no_old_store_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.0.0.1:0/registry")
    monkeypatch.setenv("SCREENER_DATABASE_URL", "none")
    found = [str(finding) for finding in doctor.servers(Place(tmp_path))]
    assert found[1] == "✓ SCREENER_DATABASE_URL: there is no old store"


def test_damaged_credentials_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "SCREENER_DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_bytes(b"\xff\xfe")
    (finding,) = doctor.servers(Place(tmp_path))
    assert not finding.good
    assert "delete it" in str(finding)


def test_the_disk_of_the_data_is_measured_and_before_there_is_data_that_of_the_checkout(tmp_path: Path) -> None:
    place = Place(tmp_path / "var")
    assert doctor.disk(place).text.endswith(f"for {tmp_path}")
    place.create()
    assert doctor.disk(place).text.endswith(f"for {place.var}")


def test_to_look_makes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path / "var")
    assert doctor.writable(place).good
    list(doctor.examine(place))
    assert not place.var.exists()


def test_a_file_in_place_of_the_state_directory_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    assert str(doctor.writable(Place(tmp_path / "var"))).startswith("✗")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_state_directory_is_a_finding(tmp_path: Path) -> None:
    place = Place(tmp_path / "var").create()
    Credentials.random().write(place.credentials)
    place.var.chmod(0o500)
    assert [str(finding)[0] for finding in [doctor.writable(place)]] == ["✗"]
    place.var.chmod(0o700)
