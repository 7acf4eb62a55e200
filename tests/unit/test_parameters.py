"""Parameters are typed and bounded; a wrong text is refused with what is valid."""

import pytest

from dualwrite.exceptions import InvalidParameter
from dualwrite.parameters import (
    ALL,
    BATCH_SIZE,
    BRAKE_DELETE_PERCENT,
    CANARY_TIMEOUT_SECONDS,
    DUAL_WRITE_ENABLED,
    MAX_LAG_SECONDS,
    SOAK_SECONDS,
    VALIDATION_MAX_AGE_SECONDS,
    Parameter,
)
from dualwrite.relay.brake import allowed


def test_without_a_source_the_default_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED", raising=False)
    assert DUAL_WRITE_ENABLED.value() is False


@pytest.mark.parametrize(("text", "value"), [("true", True), ("ON", True), ("0", False), (" no ", False)])
def test_booleans_are_words(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv(DUAL_WRITE_ENABLED.variable, text)
    assert DUAL_WRITE_ENABLED.value() is value


@pytest.mark.parametrize("text", ["0", "100001", "1.5", "many", "nan"])
def test_a_batch_size_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(BATCH_SIZE.variable, text)
    with pytest.raises(InvalidParameter, match=r"INSTRUMENT_REGISTRY_BATCH_SIZE=.*valid: a number from 1 to 100000"):
        BATCH_SIZE.value()


def test_not_a_number_is_no_percentage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BRAKE_DELETE_PERCENT.variable, "nan")
    with pytest.raises(InvalidParameter):
        BRAKE_DELETE_PERCENT.value()


@pytest.mark.parametrize(("rows", "percent", "deletes"), [(0, 10, 50), (400, 10, 50), (1_000, 10, 100), (1_000, 0, 50)])
def test_the_brake_allows_a_share_of_the_mirror_but_never_less_than_a_few(
    monkeypatch: pytest.MonkeyPatch, rows: int, percent: float, deletes: int
) -> None:
    monkeypatch.setenv(BRAKE_DELETE_PERCENT.variable, str(percent))
    assert allowed(rows) == deletes


@pytest.mark.parametrize(
    ("parameter", "default", "wrong"),
    [
        (CANARY_TIMEOUT_SECONDS, 10, "0"),
        (VALIDATION_MAX_AGE_SECONDS, 3600, "0"),
        (MAX_LAG_SECONDS, 5, "0"),
        (SOAK_SECONDS, 5, "-1"),
    ],
)
def test_limits_of_the_gates_have_defaults_and_bounds(
    monkeypatch: pytest.MonkeyPatch, parameter: Parameter[float], default: float, wrong: str
) -> None:
    monkeypatch.delenv(parameter.variable, raising=False)
    assert parameter in ALL
    assert parameter.value() == default
    monkeypatch.setenv(parameter.variable, wrong)
    with pytest.raises(InvalidParameter, match=f"{parameter.variable}='{wrong}'; valid: a number from"):
        parameter.value()
