"""Fixtures of all tests. Integration and acceptance tests ask for `stores`; unit tests ask for nothing."""

import logging
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.test import Client
from django.test.utils import setup_databases, teardown_databases
from pytest_django.plugin import DjangoDbBlocker

from dualwrite import breaker, parameters
from dualwrite.monitoring import side_by_side
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, present
from dualwrite.stream import Stream, stream_named
from dualwrite.switch import Actor
from dualwrite.testing import reset_stores
from registry.reading import usage
from tests import workers
from tests.integration import letters
from tests.logged import LOGGED

SCREENER_SCHEMA = Path(__file__).parent.parent / "registry" / "screener" / "schema.sql"
TESTER = Actor("test", "a test")
#: The environment's key of tests that ask over HTTP.
INTERNAL_KEY = "a key of the environment of tests"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="also the long random, kill and fuzz runs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return workers.number(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of the time limit of the test
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with workers.place(item.config, alone="alone" in item.keywords):
        return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "alone" in item.keywords)  # last, when other workers have nothing to do any more
    if config.getoption("--deep"):
        return
    for item in items:
        if "deep" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long run, only with --deep"))


def pytest_configure(config: pytest.Config) -> None:
    logging.getLogger().addHandler(LOGGED)


@pytest.fixture(autouse=True)
def nothing_secret_is_logged() -> Iterator[None]:
    """All that a test logs is read (`tests.logged`); the test that logged what it must not fails."""
    yield
    assert LOGGED.found() == []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What threads logged after the last test."""
    assert LOGGED.found() == []


def _make_schema(connection: BaseDatabaseWrapper, **_: object) -> None:
    """The registry's tables live in a schema of their own, which a new test database does not have yet."""
    if connection.alias == Store.REGISTRY.alias and str(connection.settings_dict["NAME"]).startswith("test_"):
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS instrument_registry")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Both test databases with their tables, whatever databases a test says it uses; each worker has its own."""
    connection_created.connect(_make_schema, dispatch_uid="make_schema")
    with django_db_blocker.unblock():
        created = setup_databases(verbosity=0, interactive=False, aliases={store.alias: None for store in Store})
        with connections[Store.SCREENER.alias].cursor() as cursor:
            cursor.execute(SCREENER_SCHEMA.read_text())
    yield
    with django_db_blocker.unblock():
        teardown_databases(created, verbosity=0)


@pytest.fixture(scope="session")
def databases(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The same, open for the whole session."""
    with django_db_blocker.unblock():
        yield


def _let_looks_end() -> None:
    """A command does not wait for its look at the live parameters, but its databases are about to be emptied."""
    for thread in threading.enumerate():
        if thread.name == "live parameters":
            thread.join(timeout=30)


@pytest.fixture
def stores(databases: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both stores empty, engine installed, every stream at stage off."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED", "true")
    parameters.put(parameters.Texts())
    _let_looks_end()
    side_by_side.forget()
    breaker.reset(present())
    reset_stores()
    yield
    _let_looks_end()
    # What the test counted in memory is kept while there are its tables, not beside the rows of the next one.
    usage.close()
    for alias in connections:
        connections[alias].close()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Asks over HTTP with the environment's key."""
    monkeypatch.setattr(settings, "INTERNAL_API_KEY", INTERNAL_KEY)
    return Client(headers={"X-Internal-API-Key": INTERNAL_KEY})


@pytest.fixture
def anonymous() -> Client:
    """Asks over HTTP without any key."""
    return Client()


@pytest.fixture
def screener(stores: None) -> Iterator[Session]:
    """A connection of its own to the old store."""
    with dedicated(Store.SCREENER, "test") as session:
        yield session


@pytest.fixture
def registry(stores: None) -> Iterator[Session]:
    """A connection of its own to the registry."""
    with dedicated(Store.REGISTRY, "test") as session:
        yield session


@pytest.fixture
def letterbox(registry: Session) -> Iterator[Session]:
    """The same with the table of letters, which is declared for retention."""
    with letters.letters(registry):
        yield registry


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of backups, not yet there."""
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    return tmp_path / "backups"


@pytest.fixture
def memberships() -> Stream:
    """The stream of index memberships."""
    return stream_named("index_memberships")


@pytest.fixture
def instruments() -> Stream:
    """The stream of instruments."""
    return stream_named("instruments")


def url_of(store: Store, *, user: str | None = None, password: str = "") -> str:
    """The address of a test database, for processes of their own."""
    settings = connections[store.alias].settings_dict
    account = f"{user or settings['USER']}:{password or settings['PASSWORD']}"
    return f"postgres://{account}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


__all__ = ["INTERNAL_KEY", "TESTER", "url_of"]
