"""/metrics: complete, well formed, and never failing."""

from collections import Counter

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from actuator import metrics
from dualwrite.control.enable import enable
from dualwrite.monitoring.snapshot import Snapshots
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move

Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def snapshots(monkeypatch: pytest.MonkeyPatch) -> Snapshots:
    """Nothing is kept from one scrape to the next."""
    fresh = Snapshots(kept_seconds=-1)
    monkeypatch.setattr(metrics, "snapshots", fresh)
    return fresh


def scrape(client: Client) -> Samples:
    """Every registry_* sample by name and sorted label values."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("registry_")
    }


@pytest.mark.usefixtures("stores")
def test_the_page_parses_and_has_no_series_twice(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(answer.content.decode()))
    assert [name for name, times in Counter(family.name for family in families).items() if times > 1] == []
    series = Counter((s.name, tuple(sorted(s.labels.items()))) for family in families for s in family.samples)
    assert [one for one, times in series.items() if times > 1] == []
    assert all(family.documentation for family in families)


@pytest.mark.usefixtures("stores")
def test_process_and_row_metrics_stand_on_one_page(client: Client) -> None:
    page = client.get("/actuator/prometheus").content.decode()
    assert "python_info" in page
    assert "django_http_requests_total_by_method" in page
    assert "registry_dualwrite_stage" in page


def test_the_values_are_those_of_the_rows(client: Client, instruments: Stream, screener: Session) -> None:
    screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES ('A', 'NSE'), ('B', 'NSE')")
    enable(instruments, TESTER)
    waiting = scrape(client)
    assert waiting["registry_dualwrite_outbox_pending", "instruments"] == 2
    assert waiting["registry_dualwrite_outbox_oldest_age_seconds", "instruments"] > 0
    assert waiting["registry_dualwrite_verified", "instruments"] == 0
    assert ("registry_validation_last_success_timestamp_seconds", "instruments") not in waiting
    worker.drain(instruments)
    validate(instruments, "strict")
    done = scrape(client)
    assert done["registry_dualwrite_outbox_pending", "instruments"] == 0
    assert done["registry_dualwrite_applied_total", "instruments", "registry"] == 2
    assert done["registry_dualwrite_applied_total", "instruments", "screener"] == 0
    assert done["registry_dualwrite_stage", "dualwrite", "instruments"] == 1
    assert done["registry_dualwrite_stage", "instruments", "off"] == 0
    assert done["registry_dualwrite_stage", "index_memberships", "off"] == 1
    assert done["registry_dualwrite_authority", "instruments", "screener"] == 1
    assert done["registry_dualwrite_mirroring", "instruments"] == 1
    assert done["registry_dualwrite_mirroring", "index_memberships"] == 0
    assert done["registry_dualwrite_verified", "instruments"] == 1
    assert done["registry_validation_last_success_timestamp_seconds", "instruments"] > 1e9
    assert done["registry_health_status", "database"] == 1
    assert done["registry_metrics_collector_success",] == 1


def test_with_a_store_away_the_last_readings_stay_and_their_age_grows(
    client: Client, stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scrape(client)
    move(Store.SCREENER, CLOSED_PORT, monkeypatch)
    first, second = scrape(client), scrape(client)
    assert first["registry_metrics_collector_success",] == 0
    assert first["registry_health_status", "screener"] == 0
    assert first["registry_health_status", "relay"] == -1
    age = ("registry_metrics_snapshot_age_seconds",)
    assert before[age] < first[age] < second[age]
    streams = {key for key in before if key[0].startswith("registry_dualwrite_")}
    assert streams <= set(second)


def test_a_store_never_reached_leaves_the_page_without_its_streams(
    client: Client, stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    found = scrape(client)
    assert found["registry_health_status", "database"] == 0
    assert not [key for key in found if key[0].startswith("registry_dualwrite_")]


def test_a_snapshot_is_kept_between_scrapes(client: Client, stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "snapshots", Snapshots(kept_seconds=60))
    scrape(client)
    move(Store.SCREENER, CLOSED_PORT, monkeypatch)
    assert scrape(client)["registry_health_status", "screener"] == 1


@pytest.mark.usefixtures("stores")
def test_openmetrics_is_given_to_those_who_ask_for_it(client: Client) -> None:
    answer = client.get("/metrics", HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")
    assert answer.content.count(b"# EOF") == 1
