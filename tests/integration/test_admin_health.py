"""The admin's page of health records: to be read, never changed."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from dualwrite import tasks
from dualwrite.models import HealthRecord
from dualwrite.monitoring import history
from dualwrite.monitoring.alerts.sources import components
from dualwrite.monitoring.health import Report, Result
from dualwrite.monitoring.status import Status

PAGE = "/admin/dualwrite/healthrecord/"


@pytest.fixture
def admin(stores: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("anna"))
    return client


def test_records_are_listed_and_cannot_be_changed(admin: Client) -> None:
    row = HealthRecord.objects.create(
        at=timezone.now(), component="relay", status="DOWN", seconds=0.25, error="nobody relays"
    )
    listed = admin.get(PAGE, {"component": "relay", "q": "nobody"}).content.decode()
    assert "nobody relays" in listed
    assert "0.250 s" in listed
    assert admin.get(f"{PAGE}{row.pk}/change/").status_code == 200
    assert admin.get(f"{PAGE}add/").status_code == 403
    assert admin.post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_periodic_look_asks_every_check_once(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look(*_: object) -> Report:
        asked.append(1)
        return Report((Result("relay", Status.DOWN, 0.1, "start it", {"error": "nobody relays"}),))

    monkeypatch.setattr(history, "run_checks", look)
    monkeypatch.setattr(components, "run_checks", look)
    tasks.check_monitoring()
    assert len(asked) == 1
    assert HealthRecord.objects.filter(component="relay", error="nobody relays").exists()
