"""The description of the API: complete, as committed, and true about who may call what."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver

from actuator.openapi.written import description, may, operations, schema, with_table
from dualwrite.access import Clearance
from tests.integration.away import unattended
from tests.integration.callers import CALLERS, caller, no_worker

DOCS = Path(settings.BASE_DIR) / "docs"
#: Not of this API: the admin, what leads there, a page to look at, what is not there.
OTHERS = ("", "admin/", "api/docs/", r"^actuator/[\s\S]*\Z", r"^(?:api/v1|screener)(?:/[\s\S]*)?\Z")


def routes() -> set[str]:
    """Every route of the site, as the description writes it."""
    found = set()
    for pattern in _flat(get_resolver().url_patterns):
        text = str(pattern.pattern)
        if text not in OTHERS:
            found.add("/" + text.replace("<int:", "{").replace("<str:", "{").replace("<path:", "{").replace(">", "}"))
    return found


def _flat(patterns: Any) -> list[Any]:
    flat = []
    for one in patterns:
        inner = getattr(one, "url_patterns", None)
        flat += [one] if inner is None or str(one.pattern) else _flat(inner)
    return flat


def test_every_route_is_described() -> None:
    assert routes() - set(schema()["paths"]) == set()


def test_the_committed_description_is_what_the_code_does() -> None:
    assert (DOCS / "openapi.yaml").read_text() == description(), "manage.py describe_api writes it anew"


def test_the_committed_table_of_roles_is_what_the_code_does() -> None:
    text = (DOCS / "security.md").read_text()
    assert with_table(text) == text, "manage.py describe_api writes it anew"


# A command looks at the live parameters, in a thread.
@pytest.mark.usefixtures("stores")
def test_the_command_tells_whether_the_files_are_as_they_are_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("describe_api", check=True)
    assert "both files say what the code does" in capsys.readouterr().out


@pytest.mark.parametrize(("path", "method", "operation"), operations(), ids=lambda value: str(value)[:60])
def test_every_operation_is_described_whole(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["x-role"] in ("anybody", *Clearance)
    assert operation["responses"]
    for code, answer in operation["responses"].items():
        assert answer["description"], code
        media = answer["content"]
        if int(code) >= 400 and "status" not in str(media.get("application/json", "")):
            assert set(media) == {"application/problem+json"}, code
        for one in media.values():
            assert one["schema"], code
    for parameter in operation.get("parameters", []):
        assert parameter["schema"], parameter
        assert parameter.get("description") or parameter["in"] == "path", parameter
    if method in ("POST", "PUT"):
        (body,) = operation["requestBody"]["content"].values()
        assert body["examples"] or body["example"]
        assert body["schema"]["additionalProperties"] is False


PLACES = {"{component}": "redis", "{number}": "1", "{name}": "BATCH_SIZE"}


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("role", CALLERS, ids=lambda role: role or "nobody")
def test_every_route_is_open_to_those_the_table_says_and_closed_to_the_others(
    role: Clearance | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actuator import health, status

    unattended(monkeypatch, health, status)
    no_worker(monkeypatch)
    client = caller(role)
    wrong = []
    for path, method, operation in operations():
        address = path
        for place, value in PLACES.items():
            address = address.replace(place, value)
        # From elsewhere, as metrics are open to this machine.
        answer = client.generic(method, address, "", content_type="application/json", REMOTE_ADDR="10.0.0.9")
        refused = answer.status_code == (401 if role is None else 403)
        if refused == may(role, operation["x-role"]):
            wrong.append((method, address, answer.status_code))
    assert wrong == []


@pytest.mark.usefixtures("stores")
def test_the_description_is_served_as_json_and_yaml_and_its_page_has_nothing_from_elsewhere(client: Client) -> None:
    assert client.get("/api/schema/").json()["openapi"] == "3.1.0"
    assert client.get("/api/schema/?format=yaml").content.decode() == description()
    assert client.get("/api/schema/?format=xml").status_code == 400
    page = client.get("/api/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "https://" not in text
    assert "<style" not in text
    assert "<script>" not in text
    for address in ("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js", "/api/docs/?script="):
        assert address in text
    assert client.get("/api/docs/?script=").headers["Content-Type"].startswith("application/javascript")
    assert Client().get("/api/docs/").status_code == 401
