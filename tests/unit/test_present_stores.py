"""Which stores an installation has, by its settings alone."""

from collections.abc import Callable

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from environ import Env

from config.databases import databases, has_old_store
from dualwrite import checks, stores, switch
from dualwrite.exceptions import NoOldStore
from dualwrite.router import DualWriteRouter
from dualwrite.stages import Role, Stage, Store
from dualwrite.stream import stream_named
from registry.models import Instrument
from registry.screener.models import ScreenerInstrument

REGISTRY = "postgres://me@localhost/registry"


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Env]:
    """The environment with that word for the old store."""

    def made(screener: str) -> Env:
        for name in ("MIGRATION_DATABASE_URL", "SCREENER_MIGRATION_DATABASE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DATABASE_URL", REGISTRY)
        monkeypatch.setenv("SCREENER_DATABASE_URL", screener)
        return Env()

    return made


def test_with_an_old_store_every_stream_begins_at_off() -> None:
    assert (stores.present(), stores.first_stage()) == ((Store.SCREENER, Store.REGISTRY), Stage.OFF)


def test_without_one_the_registry_is_alone_and_every_stream_begins_at_complete() -> None:
    with override_settings(OLD_STORE=False):
        assert (stores.present(), stores.first_stage()) == ((Store.REGISTRY,), Stage.COMPLETE)
        assert switch.state(stream_named("instruments"), Store.SCREENER).role is Role.DETACHED
        assert checks.check_streams(None) == []


def test_asking_the_old_store_where_there_is_none_says_so() -> None:
    router = DualWriteRouter()
    with override_settings(OLD_STORE=False):
        for ask in (router.db_for_read, router.db_for_write):
            with pytest.raises(NoOldStore, match="SCREENER_DATABASE_URL is none"):
                ask(ScreenerInstrument)
        with pytest.raises(NoOldStore), stores.cursor(Store.SCREENER):
            pass
        with pytest.raises(NoOldStore):
            stores.dedicated(Store.SCREENER, "test")
        assert router.db_for_read(Instrument) == "default"


def test_only_the_word_for_none_leaves_the_old_store_out(settings_of: Callable[[str], Env]) -> None:
    env = settings_of("none")
    assert (has_old_store(env), list(databases(env))) == (False, ["default"])
    env = settings_of("postgres://me@localhost/screener")
    assert (has_old_store(env), list(databases(env))) == (True, ["default", "screener"])


@pytest.mark.parametrize("word", ["", "None", "no", "postgres"])
def test_any_other_word_is_an_error(settings_of: Callable[[str], Env], word: str) -> None:
    env = settings_of(word)
    assert has_old_store(env)
    with pytest.raises(ImproperlyConfigured, match="SCREENER_DATABASE_URL"):
        databases(env)
