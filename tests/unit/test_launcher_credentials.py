"""The file with the secrets of a checkout."""

import os
import stat
from pathlib import Path

import pytest

from ops.local.credentials import ADDRESSES, Credentials, parse, with_port
from ops.local.errors import LauncherError
from ops.local.locks import write_atomically


def mode(path: Path) -> int:
    """Permission bits of `path`."""
    return stat.S_IMODE(path.stat().st_mode)


def test_credentials_read_back_as_they_were_written(tmp_path: Path) -> None:
    credentials = Credentials.random().with_ports(postgres=5555, redis=6666)
    credentials.write(tmp_path / "credentials")
    assert Credentials.read(tmp_path / "credentials") == credentials


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Credentials.random().write(tmp_path / "credentials")
    assert mode(tmp_path / "credentials") == 0o600


def test_replacing_a_file_with_a_wider_mode_narrows_it(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("old")
    path.chmod(0o644)
    Credentials.random().write(path)
    assert mode(path) == 0o600


def test_a_left_over_partial_file_does_not_stop_writing(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    write_atomically(path, "one")
    next_partial = tmp_path / f".credentials.{os.getpid()}"
    next_partial.write_text("half")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_no_two_checkouts_and_no_two_roles_share_a_secret() -> None:
    secrets = [each.password(name) for each in (Credentials.random(), Credentials.random()) for name in ADDRESSES]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 32


def test_no_file_means_no_credentials(tmp_path: Path) -> None:
    assert Credentials.read(tmp_path / "credentials") is None


def test_a_truncated_file_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    Credentials.random().write(path)
    path.write_text("\n".join(path.read_text().splitlines()[:3]))
    with pytest.raises(LauncherError, match=r"lacks POSTGRES_URL, DATABASE_URL.* REDIS_URL; delete it"):
        Credentials.read(path)


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        (b"\xff\xfe\x00\x9d", "is not text"),
        (b"POSTGRES_URL=postgresql://x:[@127.0.0.1:abc/registry", "has no usable POSTGRES_URL"),
        (b"REDIS_URL=redis://:x@127.0.0.1:99999/0", "has no usable REDIS_URL"),
        (b"REDIS_URL=redis://127.0.0.1:1/0", "has no usable REDIS_URL"),
        (b"SECRET_KEY=a\0b", "has no usable SECRET_KEY"),
    ],
)
def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path, line: bytes, damage: str) -> None:
    path = tmp_path / "credentials"
    Credentials.random().write(path)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(LauncherError, match=f"{damage}; delete it and new ones are made"):
        Credentials.read(path)


def test_comments_and_blank_lines_are_skipped_and_values_may_contain_equal_signs() -> None:
    assert parse("# A=1\n\nB = x=y\nnonsense\n  # C=2\n") == {"B": "x=y"}


def test_changing_a_port_keeps_account_password_and_database() -> None:
    assert with_port("postgresql://a:b-_c@127.0.0.1:0/registry", 7) == "postgresql://a:b-_c@127.0.0.1:7/registry"
    assert with_port("redis://:pw@127.0.0.1:1/0", 2) == "redis://:pw@127.0.0.1:2/0"
    assert with_port("redis://:pw@127.0.0.1:1/0", None) == "redis://:pw@127.0.0.1:1/0"


def test_a_file_of_before_there_was_a_key_of_the_api_gets_one_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    before = Credentials.random()
    Credentials({name: value for name, value in before.values.items() if name != "INTERNAL_API_KEY"}).write(path)
    found = Credentials.read(path)
    assert found is not None
    assert len(found.values["INTERNAL_API_KEY"]) >= 32
    assert {**found.values, "INTERNAL_API_KEY": ""} == {**before.values, "INTERNAL_API_KEY": ""}
    assert Credentials.read(path) == found
