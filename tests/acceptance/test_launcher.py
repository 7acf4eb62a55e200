"""The launcher's servers, driven as a user and a crash would: started, killed, started again, stopped."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ops.local import ports, processes
from ops.local.credentials import Credentials
from ops.local.errors import LauncherError
from ops.local.place import ROOT, Place
from ops.local.services import Services

pytestmark = pytest.mark.own_servers

START = """
import sys
from pathlib import Path
from ops.local.place import Place
from ops.local.services import Services
_, started = Services.of(Place(Path(sys.argv[1]), durable=False)).ensure({})
print(",".join(started))
"""


@pytest.fixture
def services() -> Iterator[Services]:
    """Servers in a directory of their own that any account can pass through; gone afterwards."""
    place = Place(Path(tempfile.mkdtemp()), durable=False).create()
    made = Services.of(place)
    yield made
    made.stop(now=True)
    shutil.rmtree(made.postgres.home, ignore_errors=True)
    shutil.rmtree(place.var)


def ask(credentials: Credentials, name: str, query: str) -> object:
    """The first value of `query`, asked at the address called `name`."""
    with psycopg.connect(credentials.values[name], autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def kill_postgres(services: Services) -> None:
    """SIGKILL the postmaster and nothing else."""
    postmaster = services.postgres.running()
    assert postmaster is not None
    postmaster.send_signal(signal.SIGKILL)


def test_a_first_start_gives_both_databases_and_a_second_joins_the_same_servers(services: Services) -> None:
    credentials, started = services.ensure({})
    assert started == ["PostgreSQL", "Valkey"]
    assert ask(credentials, "DATABASE_URL", "SELECT current_database()") == "registry"
    assert ask(credentials, "SCREENER_SERVICE_URL", "SELECT count(*) FROM index_memberships") == 0
    before = services.postgres.running()
    again, started = services.ensure({})
    assert started == []
    assert again == credentials
    assert services.postgres.running() == before


def test_roles_can_do_what_they_need_and_no_more(services: Services) -> None:
    credentials, _ = services.ensure({})
    with psycopg.connect(credentials.values["MIGRATION_DATABASE_URL"], autocommit=True) as owner:
        owner.execute("CREATE TABLE instrument_registry.t (id bigint GENERATED ALWAYS AS IDENTITY, v text)")
    insert = "INSERT INTO instrument_registry.t (v) VALUES ('x') RETURNING id"
    assert ask(credentials, "DATABASE_URL", insert) == 1
    for name, forbidden in (
        ("DATABASE_URL", "CREATE TABLE instrument_registry.mine (i int)"),
        ("DATABASE_URL", "CREATE TABLE public.mine (i int)"),
        ("DATABASE_URL", "CREATE SCHEMA mine"),
        ("DATABASE_URL", "TRUNCATE instrument_registry.t"),
        ("SCREENER_SERVICE_URL", "CREATE SCHEMA mine"),
        ("SCREENER_SERVICE_URL", "ALTER TABLE instruments ADD COLUMN mine int"),
        ("SCREENER_DATABASE_URL", "CREATE SCHEMA mine"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(credentials, name, forbidden)
    with psycopg.connect(credentials.values["SCREENER_MIGRATION_DATABASE_URL"], autocommit=True) as owner:
        owner.execute("CREATE SCHEMA engine")
    server = credentials.values["SCREENER_SERVICE_URL"].rpartition("/")[0]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"{server}/registry")


def test_nobody_gets_in_without_a_password(services: Services) -> None:
    credentials, _ = services.ensure({})
    port = services.postgres.port()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=ports.LOOPBACK, port=port, user="postgres", dbname="postgres", password="guess")
    assert listening(services.postgres.running()) == {(ports.LOOPBACK, port)}
    assert listening(services.valkey.running()) == {(ports.LOOPBACK, services.valkey.port())}
    assert credentials.password("REDIS_URL") not in " ".join(command_lines(services))


def listening(process: psutil.Process | None) -> set[tuple[object, ...]]:
    """The addresses `process` accepts connections at; Unix sockets would be an error here."""
    assert process is not None
    open_sockets = process.net_connections(kind="all")
    return {tuple(each.laddr) for each in open_sockets if each.status == psutil.CONN_LISTEN}


def command_lines(services: Services) -> list[str]:
    """What everybody can read about the running servers."""
    running = [services.postgres.running(), services.valkey.running()]
    return [" ".join(process.cmdline()) for process in running if process]


def test_a_killed_server_is_started_again_at_once_with_its_data(services: Services) -> None:
    credentials, _ = services.ensure({})
    add = "INSERT INTO index_memberships (symbol) VALUES ('X') RETURNING symbol"
    assert ask(credentials, "SCREENER_SERVICE_URL", add) == "X"
    kill_postgres(services)
    again, started = services.ensure({})
    assert started == ["PostgreSQL"]
    assert ask(again, "SCREENER_SERVICE_URL", "SELECT count(*) FROM index_memberships") == 1


def test_a_killed_valkey_is_started_again(services: Services) -> None:
    services.ensure({})
    server = services.valkey.running()
    assert server is not None
    server.kill()
    _, started = services.ensure({})
    assert started == ["Valkey"]


def stopped_with_pid_file(services: Services, text: str) -> None:
    """Servers that ran once, with `text` in place of PostgreSQL's pid file."""
    services.ensure({})
    services.stop()
    services.postgres.pid_file.write_text(text)


def test_a_pid_file_that_names_an_unrelated_live_process_is_not_believed(services: Services) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as unrelated:
        stopped_with_pid_file(services, f"{unrelated.pid}\n{services.postgres.data}\n1\n5432\n\n127.0.0.1\n")
        assert services.postgres.running() is None
        credentials, started = services.ensure({})
        assert "PostgreSQL" in started
        assert ask(credentials, "DATABASE_URL", "SELECT 1") == 1
        assert unrelated.poll() is None
        unrelated.kill()


@pytest.mark.parametrize("text", ["", "12", "not a number\n"])
def test_a_damaged_pid_file_does_not_stop_the_start(services: Services, text: str) -> None:
    stopped_with_pid_file(services, text)
    credentials, started = services.ensure({})
    assert "PostgreSQL" in started
    assert ask(credentials, "DATABASE_URL", "SELECT 1") == 1


def test_ports_are_kept_over_a_restart_and_changed_when_taken(services: Services) -> None:
    credentials, _ = services.ensure({})
    services.stop()
    kept, _ = services.ensure({})
    assert kept == credentials
    port = services.postgres.port() or 0
    services.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((ports.LOOPBACK, port))
        taken.listen()
        moved, _ = services.ensure({})
    assert services.postgres.port() != port
    assert ask(moved, "DATABASE_URL", "SELECT 1") == 1
    assert Credentials.read(services.place.credentials) == moved


def test_the_credentials_file_is_closed_to_others_and_the_data_too(services: Services) -> None:
    services.ensure({})
    assert stat.S_IMODE(services.place.credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(services.postgres.data.stat().st_mode) == 0o700


def test_lost_credentials_are_made_anew_and_the_data_is_kept(services: Services) -> None:
    credentials, _ = services.ensure({})
    ask(credentials, "SCREENER_SERVICE_URL", "INSERT INTO instruments (symbol) VALUES ('X') RETURNING 1")
    services.place.credentials.unlink()
    renewed, _ = services.ensure({})
    assert renewed.password("DATABASE_URL") != credentials.password("DATABASE_URL")
    assert ask(renewed, "SCREENER_SERVICE_URL", "SELECT count(*) FROM instruments") == 1
    old_password = renewed.values["SCREENER_SERVICE_URL"].replace(
        renewed.password("SCREENER_SERVICE_URL"), credentials.password("SCREENER_SERVICE_URL")
    )
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(old_password)


def test_a_wrong_password_in_the_credentials_is_told_with_the_way_out(services: Services) -> None:
    credentials, _ = services.ensure({})
    Credentials(credentials.values | {"POSTGRES_URL": "postgresql://postgres:wrong@127.0.0.1:0/postgres"}).write(
        services.place.credentials
    )
    with pytest.raises(LauncherError, match=r"POSTGRES_URL.*delete that file and new ones are made"):
        services.ensure({})
    services.place.credentials.unlink()
    renewed, _ = services.ensure({})
    assert ask(renewed, "DATABASE_URL", "SELECT 1") == 1


def test_two_starts_at_once_make_one_pair_of_servers(services: Services) -> None:
    command = [sys.executable, "-c", START, str(services.place.var)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert answers == ["", "PostgreSQL,Valkey"]
    assert len(processes.servers_in("postgres", services.postgres.data)) >= 1
    _, started = services.ensure({})
    assert started == []


def test_stopping_ends_every_process_and_stopping_again_finds_nothing(services: Services) -> None:
    services.ensure({})
    assert services.stop() == ["Valkey", "PostgreSQL"]
    assert processes.servers_in("postgres", services.postgres.data) == []
    assert services.stop() == []


def test_a_server_that_cannot_start_says_why(services: Services) -> None:
    services.ensure({})
    services.stop()
    (services.postgres.data / "postgresql.conf").write_text("shared_buffers = nonsense\n")
    with pytest.raises(LauncherError, match=r"(?s)PostgreSQL did not start.*shared_buffers"):
        services.ensure({})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the account of the servers")
def test_below_a_directory_closed_to_the_servers_account_data_goes_elsewhere() -> None:
    closed = Path(tempfile.mkdtemp())
    closed.chmod(0o700)
    made = Services.of(Place(closed / "var", durable=False).create())
    try:
        assert not made.postgres.home.is_relative_to(closed)
        credentials, _ = made.ensure({})
        assert ask(credentials, "DATABASE_URL", "SELECT 1") == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        made.stop(now=True)
        shutil.rmtree(made.postgres.home)
        shutil.rmtree(closed)
