"""Which servers the launcher uses for an environment, decided without any server."""

from itertools import product

import pytest

from ops.local import environment
from ops.local.credentials import Credentials
from ops.local.environment import Plan
from ops.local.errors import UsageError

OWN = {"DATABASE_URL": "postgresql://me@db/registry", "SCREENER_DATABASE_URL": "postgresql://me@db/screener"}


def test_without_settings_both_embedded_servers_are_needed() -> None:
    assert environment.plan({}) == Plan(postgres=True, valkey=True)


def test_an_empty_setting_counts_as_none() -> None:
    assert environment.plan({"DATABASE_URL": "", "REDIS_URL": ""}) == Plan(postgres=True, valkey=True)


def test_with_both_databases_named_no_embedded_postgresql_is_needed() -> None:
    assert environment.plan(OWN) == Plan(postgres=False, valkey=True)


def test_a_named_redis_alone_replaces_only_valkey() -> None:
    assert environment.plan({"REDIS_URL": "redis://cache/0"}) == Plan(postgres=True, valkey=False)


@pytest.mark.parametrize("name", ["DATABASE_URL", "SCREENER_DATABASE_URL"])
def test_one_database_alone_is_refused_and_the_missing_one_is_named(name: str) -> None:
    other = ({"DATABASE_URL", "SCREENER_DATABASE_URL"} - {name}).pop()
    with pytest.raises(UsageError, match=f"^{other} is not set, but {name} is") as caught:
        environment.plan({name: OWN[name]})
    assert caught.value.exit_code == 2


def test_the_word_for_no_old_store_stands_in_place_of_its_address() -> None:
    alone = OWN | {"SCREENER_DATABASE_URL": "none"}
    assert environment.plan(alone) == Plan(postgres=False, valkey=True)
    assert [environment.has_old_store(given) for given in (alone, OWN, {})] == [False, True, True]
    with pytest.raises(UsageError, match=r"^DATABASE_URL is not set"):
        environment.plan({"SCREENER_DATABASE_URL": "none"})


def test_a_migration_address_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="DATABASE_URL and SCREENER_DATABASE_URL is not set"):
        environment.plan({"MIGRATION_DATABASE_URL": "postgresql://owner@db/registry"})


def test_own_servers_never_get_the_embedded_owners_addresses() -> None:
    merged = environment.application(OWN | {"REDIS_URL": "redis://cache/0"}, Credentials.random())
    assert {name: merged[name] for name in OWN} == OWN
    assert not {"MIGRATION_DATABASE_URL", "SCREENER_MIGRATION_DATABASE_URL"} & set(merged)


def test_the_embedded_environment_is_complete() -> None:
    credentials = Credentials.random()
    merged = environment.application({"PATH": "/bin"}, credentials)
    for name in (*environment.DATABASES, *environment.MIGRATION, "REDIS_URL", "SECRET_KEY"):
        assert merged[name] == credentials.values[name]
    assert merged["PATH"] == "/bin"
    assert merged["INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED"] == "true"


def test_a_dual_write_switch_set_by_the_user_is_kept() -> None:
    given = {"INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED": "false"}
    assert environment.application(given, Credentials.random())[environment.DUAL_WRITE] == "false"


def test_no_superuser_reaches_the_application() -> None:
    credentials = Credentials.random()
    merged = environment.application({}, credentials)
    assert credentials.password("POSTGRES_URL") not in " ".join(merged.values())


def test_tests_get_an_account_that_may_create_databases_for_both_stores() -> None:
    credentials = Credentials.random().with_ports(postgres=4321, redis=4322)
    merged = environment.superuser({}, credentials)
    password = credentials.password("POSTGRES_URL")
    for name, database in zip(environment.DATABASES, ("registry", "screener"), strict=True):
        assert merged[name] == f"postgresql://postgres:{password}@127.0.0.1:4321/{database}"
    assert not set(environment.MIGRATION) & set(merged)


def test_every_combination_of_settings_is_either_planned_or_refused_with_what_is_missing() -> None:
    names = ("DATABASE_URL", "SCREENER_DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL")
    for chosen in product([False, True], repeat=len(names)):
        given = {name: "x" for name, use in zip(names, chosen, strict=True) if use}
        both, none = chosen[0] and chosen[1], not any(chosen[:3])
        if both or none:
            assert environment.plan(given) == Plan(postgres=none, valkey=not chosen[3])
        else:
            with pytest.raises(UsageError):
                environment.plan(given)
