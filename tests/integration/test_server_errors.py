"""What the site answers when something failed outside of the operators' API: a sentence, never a traceback."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from dualwrite.stages import Store
from registry.models import Instrument
from tests.integration.away import CLOSED_PORT, move

BROWSER, PROGRAM = {"Accept": "text/html,*/*"}, {"Accept": "application/json"}


@pytest.fixture
def anna(stores: None) -> Client:
    """Signed in."""
    client = Client(raise_request_exception=False)
    client.force_login(get_user_model().objects.create_superuser("anna"))
    return client


@pytest.mark.parametrize(
    ("headers", "content"), [(BROWSER, "text/html; charset=utf-8"), (PROGRAM, "application/problem+json")]
)
def test_with_the_registry_away_it_is_503_with_a_sentence_and_one_line_in_the_log(
    anna: Client,
    headers: dict[str, str],
    content: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        move(Store.REGISTRY, CLOSED_PORT, patch)
        answer = anna.get("/admin/", headers=headers)
    assert (answer.status_code, answer["Content-Type"], answer["Retry-After"]) == (503, content, "5")
    assert "A database cannot be reached now. Nothing was changed" in answer.content.decode()
    assert answer["X-Request-ID"]
    told = [record for record in caplog.records if record.name == "django.request"]
    assert [record.getMessage() for record in told] == ["Service Unavailable: /admin/"]
    assert told[0].exc_info is None


def test_what_nobody_foresaw_is_500_without_its_text_and_with_its_traceback_in_the_log(
    anna: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret text")

    monkeypatch.setattr(Instrument._default_manager, "get_queryset", broken)
    answer = anna.get("/admin/registry/instrument/", headers=PROGRAM)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "This failed unexpectedly; the log has it."
    assert "Retry-After" not in answer
    told = [record for record in caplog.records if record.name == "django.request"]
    assert len(told) == 1
    assert told[0].exc_info is not None
