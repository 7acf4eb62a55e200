"""Who asks over HTTP: keys, sessions, nobody; and what each may do."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from dualwrite.access import Clearance, keys
from dualwrite.models import ApiKey, Audit
from dualwrite.stages import Store
from tests.conftest import INTERNAL_KEY, TESTER
from tests.integration.away import CLOSED_PORT, move

pytestmark = pytest.mark.usefixtures("stores")

READ, ACT = "/actuator/retention/status", "/actuator/retention/run"


def made(role: str, **options: Any) -> str:
    """The text of a new key, named as its role."""
    return keys.create(role, Clearance(role), TESTER, **options).text


def asked(key: str = "", method: str = "GET", path: str = READ, **headers: Any) -> Any:
    """The answer to a request with that key."""
    given = {"X-Internal-API-Key": key} if key else {}
    return Client(headers={**given, **headers}).generic(method, path, "", content_type="application/json")


def test_a_key_reads_and_acts_as_its_role_says() -> None:
    viewer, operator, admin = (made(role) for role in Clearance)
    assert [asked(key).status_code for key in (viewer, operator, admin)] == [200, 200, 200]
    assert [asked(key, "POST", ACT).status_code for key in (viewer, operator, admin)] == [403, 200, 200]
    said = asked(viewer, "POST", ACT).json()["detail"]
    assert said == "This needs the role operator, and viewer has viewer."


def test_nobody_is_told_how_to_ask() -> None:
    answer = asked()
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer {}"}, {"Authorization": "bearer  {}"}])
def test_a_key_may_come_as_a_bearer_token(headers: dict[str, str]) -> None:
    key = made("viewer")
    assert asked(**{name: value.format(key) for name, value in headers.items()}).status_code == 200


@pytest.mark.parametrize("key", ["x", "irk_aaaaaaaa_" + "A" * 43, "é", "irk_", INTERNAL_KEY])
def test_a_wrong_key_is_refused_whatever_it_looks_like_and_told_nothing(key: str, client: Client) -> None:
    answer = asked(key.encode().decode("latin-1"))
    if key == INTERNAL_KEY:
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.json()["detail"]) == (401, "This API key is not valid.")


def test_a_key_whose_secret_is_wrong_by_a_letter_is_refused() -> None:
    key = made("viewer")
    other = "A" if key[-1] != "A" else "B"
    assert asked(key[:-1] + other).status_code == 401
    assert asked(key).status_code == 200


def test_what_is_kept_does_not_have_the_key() -> None:
    key = made("admin")
    row = ApiKey.objects.values().get()
    assert key not in json.dumps(row, default=str)
    assert key.startswith(row["prefix"])
    assert key not in json.dumps(list(Audit.objects.values()), default=str)
    line = Audit.objects.get(verb="create api key")
    assert (line.actor, line.evidence) == (
        "test",
        {"name": "admin", "role": "admin", "prefix": row["prefix"], "expires_at": None},
    )


def test_a_revoked_key_is_refused_from_the_next_request_on() -> None:
    key = made("operator")
    assert asked(key).status_code == 200
    keys.revoke("operator", TESTER)
    answer = asked(key)
    assert answer.status_code == 401
    assert "it was revoked at" in answer.json()["detail"]
    assert Audit.objects.get(verb="revoke api key").reason == "a test"


def test_a_key_is_refused_once_it_has_expired() -> None:
    key = made("viewer", expires_at=timezone.now() + timedelta(hours=1))
    assert asked(key).status_code == 200
    ApiKey.objects.update(expires_at=timezone.now())
    assert "it expired at" in asked(key).json()["detail"]


def test_when_a_key_was_used_last_is_kept_to_the_minute() -> None:
    key = made("viewer")
    asked(key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    asked(key)
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    asked(key)
    assert ApiKey.objects.filter(last_used_at__gt=first - timedelta(minutes=1)).exists()


def test_no_key_is_valid_where_the_environment_has_none(settings: Any) -> None:
    settings.INTERNAL_API_KEY = ""
    assert asked("x").status_code == 401
    assert asked(**{"X-Internal-API-Key": " "}).status_code == 401


def test_the_environments_key_needs_no_database_and_another_one_is_503_without(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = made("admin")
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    assert client.get("/actuator/status").status_code == 200
    assert asked(key, path="/actuator/status").status_code == 503


@pytest.mark.parametrize(
    ("user", "permissions", "read", "act"),
    [
        ({"is_superuser": True, "is_staff": True}, [], 200, 200),
        ({"is_staff": True}, ["operate_stream"], 200, 200),
        ({"is_staff": True}, [], 200, 403),
        ({}, ["operate_stream"], 403, 403),
        ({"is_superuser": True}, [], 403, 403),
    ],
)
def test_a_session_may_do_what_its_user_may_in_the_admin(
    user: dict[str, Any], permissions: list[str], read: int, act: int, anonymous: Client
) -> None:
    anna = get_user_model().objects.create_user("anna", **user)
    anna.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    anonymous.force_login(anna)
    assert anonymous.get(READ).status_code == read
    assert anonymous.post(ACT, "", content_type="application/json").status_code == act


def test_a_session_acts_with_its_csrf_token_only_and_a_key_needs_none() -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(get_user_model().objects.create_superuser("anna"))
    assert careful.get(READ).status_code == 200
    answer = careful.post(ACT, "", content_type="application/json")
    assert (answer.status_code, "CSRF" in answer.json()["detail"]) == (403, True)
    key = made("operator")
    given = careful.post(ACT, "", content_type="application/json", headers={"X-Internal-API-Key": key})
    assert given.status_code == 200


def test_health_and_info_tell_everybody_something_and_viewers_more(anonymous: Client) -> None:
    key = made("viewer")
    for path in ("health/readiness", "health/database", "health/liveness"):
        assert anonymous.get(f"/actuator/{path}").json() == {"status": "UP"}
    assert anonymous.get("/actuator/info").json() == {"app": {"name": "instrument-registry"}}
    assert "components" in asked(key, path="/actuator/health/readiness").json()
    assert "versions" in asked(key, path="/actuator/info").json()


def test_health_tells_that_the_registry_is_away_to_whoever_it_cannot_recognise(monkeypatch: pytest.MonkeyPatch) -> None:
    key = made("viewer")
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    answer = asked(key, path="/actuator/health/readiness")
    assert (answer.status_code, answer.json()) == (503, {"status": "DOWN"})


@pytest.mark.parametrize(
    ("address", "forwarded", "status"),
    [("127.0.0.1", {}, 200), ("10.0.0.9", {}, 401), ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 401)],
)
def test_metrics_are_for_viewers_and_for_this_machine(
    address: str, forwarded: dict[str, Any], status: int, anonymous: Client
) -> None:
    given: dict[str, Any] = {"REMOTE_ADDR": address, **forwarded}
    assert anonymous.get("/metrics", **given).status_code == status
    assert anonymous.get("/metrics", **given, headers={"X-Internal-API-Key": made("viewer")}).status_code == 200


def command(*words: str, **options: Any) -> str:
    """What the command prints."""
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO(), **options)
    return out.getvalue().strip()


def test_commands_make_list_and_revoke_keys() -> None:
    key = command("create_api_key", "grafana", "--role", "viewer", "--expires", "90d")
    assert asked(key).status_code == 200
    (row,) = json.loads(command("list_api_keys", "--json"))["keys"]
    assert (row["name"], row["role"]) == ("grafana", "viewer")
    assert key.startswith(row["prefix"])
    assert "hash" not in row
    assert "grafana" in command("list_api_keys")
    assert command("revoke_api_key", "grafana", "--reason", "left") == "API key 'grafana' is revoked"
    assert asked(key).status_code == 401


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("create_api_key", "a", "--role", "boss"), 2, "role 'boss'; valid: admin, operator, viewer"),
        (("create_api_key", "", "--role", "viewer"), 2, "valid: up to 100 letters"),
        (("create_api_key", "INTERNAL_API_KEY", "--role", "viewer"), 2, "and not INTERNAL_API_KEY"),
        (("create_api_key", "a", "--role", "viewer", "--expires", "0d"), 2, "would be of no use"),
        (("create_api_key", "taken", "--role", "viewer"), 1, "there is, or was, a key named 'taken'"),
        (("revoke_api_key", "nobody"), 2, "API key 'nobody'; valid: taken"),
    ],
)
def test_what_is_no_key_is_refused_in_a_sentence(words: tuple[str, ...], code: int, sentence: str) -> None:
    keys.create("taken", Clearance.VIEWER, TESTER)
    with pytest.raises(CommandError, match=sentence) as caught:
        command(*words)
    assert caught.value.returncode == code
    assert ApiKey.objects.count() == 1


PAGE = "/admin/dualwrite/apikey/"


def test_a_superuser_makes_a_key_in_the_admin_sees_it_once_and_revokes_it(anonymous: Client) -> None:
    anonymous.force_login(get_user_model().objects.create_superuser("anna"))
    sent = {"name": "desk", "role": "operator", "expires_at_0": "", "expires_at_1": ""}
    answer = anonymous.post(f"{PAGE}add/", sent)
    found = keys.KEY.search(answer.content.decode())
    assert found is not None
    assert asked(found[0], "POST", ACT).status_code == 200
    assert found[0] not in anonymous.get(PAGE, follow=True).content.decode()
    row = ApiKey.objects.get()
    assert row.created_by == "anna"
    assert found[0] not in anonymous.get(f"{PAGE}{row.pk}/change/").content.decode()
    anonymous.post(PAGE, {"action": "revoke", "_selected_action": [row.pk], "reason": "left"})
    assert asked(found[0]).status_code == 401
    assert "already exists" in anonymous.post(f"{PAGE}add/", sent).content.decode()


def test_staff_that_is_no_superuser_makes_no_key(anonymous: Client) -> None:
    anna = get_user_model().objects.create_user("anna", is_staff=True)
    anna.user_permissions.set(Permission.objects.filter(content_type__app_label="dualwrite"))
    anonymous.force_login(anna)
    assert anonymous.get(PAGE).status_code == 200
    assert anonymous.post(f"{PAGE}add/", {"name": "x", "role": "admin"}).status_code == 403
