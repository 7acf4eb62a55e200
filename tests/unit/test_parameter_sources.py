"""Of a parameter's sources the first that has a value counts; what is no value, or less careful, changes nothing."""

from collections.abc import Iterator

import pytest

from dualwrite.configuration.fetch import Fetched
from dualwrite.configuration.keep import Change, good
from dualwrite.configuration.reaction import is_killed
from dualwrite.exceptions import InvalidParameter, UnknownName
from dualwrite.parameters import (
    BACKUP_BEFORE_DELETE,
    BATCH_SIZE,
    DEFAULT_RETENTION_DAYS,
    RETENTION_MAX_PERCENT,
    Origin,
    Parameter,
    Texts,
    parameter_named,
    put,
)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(BATCH_SIZE.variable, raising=False)
    yield
    put(Texts())


def test_the_config_service_counts_before_operators_before_the_environment_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (BATCH_SIZE.value(), BATCH_SIZE.reading().origin) == (10_000, Origin.DEFAULT)
    monkeypatch.setenv(BATCH_SIZE.variable, "1")
    assert (BATCH_SIZE.value(), BATCH_SIZE.reading().origin) == (1, Origin.ENVIRONMENT)
    put(Texts(overrides={"BATCH_SIZE": "2"}))
    assert (BATCH_SIZE.value(), BATCH_SIZE.reading().origin) == (2, Origin.OVERRIDE)
    put(Texts(overrides={"BATCH_SIZE": "2"}, remote={"BATCH_SIZE": " 3 "}))
    assert (BATCH_SIZE.value(), BATCH_SIZE.reading().origin) == (3, Origin.CONFIG_SERVICE)


def test_what_is_no_value_changes_nothing_and_is_told() -> None:
    put(Texts(overrides={"BATCH_SIZE": "0"}, remote={"BATCH_SIZE": "many"}))

    reading = BATCH_SIZE.reading()

    assert (reading.value, reading.origin) == (10_000, Origin.DEFAULT)
    assert [fault.partition(";")[0] for fault in reading.faults] == ["override '0'", "config-service says 'many'"]


@pytest.mark.parametrize(
    ("parameter", "careless", "careful"),
    [
        (DEFAULT_RETENTION_DAYS, "30", "4000"),
        (RETENTION_MAX_PERCENT, "90", "5"),
        (BACKUP_BEFORE_DELETE, "false", "true"),
    ],
)
def test_from_afar_deletion_becomes_more_careful_and_never_less(
    parameter: Parameter[object], careless: str, careful: str
) -> None:
    put(Texts(remote={parameter.name: careless}))
    assert parameter.value() == parameter.default
    assert "less careful" in parameter.reading().faults[0]
    put(Texts(remote={parameter.name: careful}))
    assert parameter.reading().origin is Origin.CONFIG_SERVICE


def test_an_operator_may_make_a_period_shorter() -> None:
    put(Texts(overrides={"DEFAULT_RETENTION_DAYS": "30"}))
    assert DEFAULT_RETENTION_DAYS.value() == 30


def test_a_parameter_is_found_with_and_without_its_prefix() -> None:
    assert parameter_named("INSTRUMENT_REGISTRY_BATCH_SIZE") is parameter_named("batch_size") is BATCH_SIZE
    with pytest.raises(UnknownName, match=r"valid: .*BATCH_SIZE"):
        parameter_named("BATCH")
    with pytest.raises(InvalidParameter, match="BATCH_SIZE 'x'; valid: a number from 1"):
        BATCH_SIZE.read("x")


def test_of_what_the_service_says_the_good_values_are_kept_and_the_wrong_ones_named() -> None:
    texts, wrong = good(Fetched({"BATCH_SIZE": "0", "MAX_LAG_SECONDS": "3", "SOAK_SECONDS": None}))

    assert texts == {"MAX_LAG_SECONDS": "3", "SOAK_SECONDS": None}
    assert wrong == {"BATCH_SIZE": "not what it may be; valid: a number from 1 to 100000"}


@pytest.mark.parametrize(
    ("before", "after", "killed"),
    [
        ("true", "false", True),
        ("on", "0", True),
        (None, "false", False),
        ("true", None, False),
        ("false", "false", False),
        ("false", "true", False),
    ],
)
def test_only_from_true_to_false_is_the_kill_switch(before: str | None, after: str | None, killed: bool) -> None:
    assert is_killed(Change("DUAL_WRITE_ENABLED", before, after)) is killed
    assert not is_killed(Change("RETENTION_ENABLED", before, after))
