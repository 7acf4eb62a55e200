"""Django's system checks of the engine: wrong settings and declarations are found before anything runs."""

from dataclasses import replace
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from dualwrite import checks
from dualwrite.stages import Store
from dualwrite.stream import Stream


def _ids(stream: Stream, **changes: Any) -> list[str]:
    side = replace(stream.side(Store.SCREENER), **changes)
    broken = replace(stream, sides={**stream.sides, Store.SCREENER: side})
    return [str(problem.id) for problem in checks.side_problems(broken, Store.SCREENER)]


def test_the_project_itself_has_no_problem() -> None:
    assert run_checks(tags=["dualwrite"]) == []


def test_a_wrong_parameter_is_found_by_django_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "many")
    found = run_checks(tags=["dualwrite"])
    assert [problem.id for problem in found] == ["dualwrite.E006"]
    assert "INSTRUMENT_REGISTRY_BATCH_SIZE='many'; valid: a number from 1 to 100000" in found[0].msg


def test_settings_without_the_router_are_an_error() -> None:
    with override_settings(DATABASE_ROUTERS=[]):
        assert [problem.id for problem in checks.check_settings(None)] == ["dualwrite.E002"]


def test_a_store_without_database_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "connections", {"default": object()})
    found = checks.check_settings(None)
    assert [problem.id for problem in found] == ["dualwrite.E001"]
    assert "screener" in found[0].msg


@pytest.mark.parametrize("model", ["screener.Nothing", "nowhere.Nothing", "nodot"])
def test_a_model_that_does_not_exist_is_an_error(memberships: Stream, model: str) -> None:
    assert _ids(memberships, model=model) == ["dualwrite.E003"]


def test_another_table_than_the_models_is_an_error(memberships: Stream) -> None:
    assert _ids(memberships, table="elsewhere") == ["dualwrite.E004"]


def test_a_model_of_the_other_store_is_an_error(memberships: Stream) -> None:
    assert _ids(memberships, model="registry.IndexMembership") == ["dualwrite.E005"]
