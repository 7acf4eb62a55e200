"""/metrics: complete, well formed, and never failing."""

import shutil
import subprocess
from collections import Counter

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from actuator import metrics
from dualwrite import writing
from dualwrite.control.enable import enable
from dualwrite.models import RetentionBackup, RetentionRun, StageTransition
from dualwrite.monitoring import snapshot
from dualwrite.monitoring.snapshot import Snapshots
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.support import add, enabled

OF_INSTRUMENTS = " FROM dualwrite.stream_state WHERE stream = 'instruments'"
#: A mirror that keeps no fractions.
ROUNDS = """
CREATE FUNCTION rounded() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN new.weight := round(new.weight); RETURN new; END $$;
CREATE TRIGGER rounded BEFORE INSERT OR UPDATE ON index_memberships FOR EACH ROW EXECUTE FUNCTION rounded()
"""
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
    assert not [key for key in found if key[0] in ("registry_dualwrite_stage", "registry_validation_runs_total")]


def test_a_snapshot_is_kept_between_scrapes(client: Client, stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "snapshots", Snapshots(kept_seconds=60))
    scrape(client)
    move(Store.SCREENER, CLOSED_PORT, monkeypatch)
    assert scrape(client)["registry_health_status", "screener"] == 1


def test_validations_and_what_they_found_are_counted_from_their_rows(
    client: Client, instruments: Stream, screener: Session, registry: Session
) -> None:
    screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES ('A', 'NSE'), ('B', 'NSE')")
    enable(instruments, TESTER)
    worker.drain(instruments)
    validate(instruments, "strict")
    with registry.transaction():
        registry.execute("SELECT set_config('dualwrite.relay', stream || ':' || epoch, true)" + OF_INSTRUMENTS)
        registry.execute("DELETE FROM instrument_registry.instruments WHERE symbol = 'B'")
    validate(instruments, "strict")
    found = scrape(client)
    assert found["registry_validation_runs_total", "instruments", "passed"] == 1
    assert found["registry_validation_runs_total", "failed", "instruments"] == 1
    assert found["registry_validation_runs_total", "error", "index_memberships"] == 0
    assert found["registry_validation_differences", "instruments", "missing_in_mirror"] == 1
    assert found["registry_validation_match_ratio", "instruments"] == 0.5
    assert found["registry_validation_duration_seconds", "instruments"] > 0


@pytest.mark.usefixtures("stores")
def test_retention_and_switches_are_counted_from_their_rows(client: Client) -> None:
    policy = {"policy": "audit", "stream": "audit_log", "actor": "a test", "frozen": {"action": "delete"}}
    done = {"dry_run": False, "status": "complete", "finished_at": timezone.now()}
    RetentionRun.objects.create(**policy, **done, removed=30)
    RetentionRun.objects.create(**policy, **done, removed=10)
    RetentionRun.objects.create(**policy, dry_run=True, status="planned", removed=None, planned_rows=99)
    backup = {"policy": "audit", "table": "audit_log", "manifest_sha256": "", "rows": 30, "expires_at": timezone.now()}
    RetentionBackup.objects.create(**backup, location="a", bytes=100, state="expired")
    RetentionBackup.objects.create(**backup, location="b", bytes=24)
    step = {"stream": "instruments", "before": "shadow", "after": "live", "actor": "a test", "status": "done"}
    StageTransition.objects.create(**step, stall_seconds=0.2)
    StageTransition.objects.create(**step)
    found = scrape(client)
    assert found["registry_retention_rows_total", "audit", "delete"] == 40
    assert found["registry_retention_backup_bytes_total",] == 124
    assert found["registry_retention_last_success_timestamp_seconds", "audit"] > 1e9
    assert found["registry_dualwrite_switch_stall_seconds_count",] == 1
    assert found["registry_dualwrite_switch_stall_seconds_bucket", "0.25"] == 1


def test_what_the_relay_applied_compared_and_refused_is_counted(
    client: Client, memberships: Stream, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scrape(client)

    def grown(name: str, *labels: str) -> float:
        key = (f"registry_dualwrite_{name}", *sorted(labels))
        return scrape(client)[key] - before.get(key, 0)

    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_MODE", "lenient")
    registry.execute(ROUNDS)
    try:
        enabled(memberships)
        add(screener, "KEPT", weight=1)
        add(screener, "ROUNDED", weight="1.6")
        add(screener, None)
        worker.drain(memberships)
    finally:
        registry.execute("DROP FUNCTION rounded CASCADE")
    assert grown("comparisons_total", "index_memberships", "equal") == 1
    assert grown("comparisons_total", "index_memberships", "different") == 1
    assert grown("apply_errors_total", "index_memberships", "NullKey") == 1
    assert grown("operation_seconds_count", "index_memberships", "registry") >= 1


def test_a_write_is_timed_in_both_stores(client: Client, memberships: Stream, stores: None) -> None:
    enabled(memberships)
    before = scrape(client)
    try:
        record = {"instrument_key": "NSE:A", "index_id": "X", "weight": None, "sector": None, "date_added": None}
        memberships.write([record])
    finally:
        writing.close()
    after = scrape(client)
    for store in ("screener", "registry"):
        key = ("registry_dualwrite_operation_seconds_count", "index_memberships", store)
        assert after[key] == before.get(key, 0) + 1


def test_a_page_that_cannot_be_read_anew_is_the_last_one(
    client: Client, stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scrape(client)

    def out_of_threads(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(snapshot, "side_by_side", out_of_threads)
    after = scrape(client)
    assert after["registry_metrics_collector_success",] == 0
    assert {key for key in before if key[0].startswith("registry_")} <= set(after)


@pytest.mark.usefixtures("stores")
def test_promtool_finds_nothing_wrong_with_the_page(client: Client) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    page = client.get("/metrics").content
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.usefixtures("stores")
def test_openmetrics_is_given_to_those_who_ask_for_it(client: Client) -> None:
    answer = client.get("/metrics", HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")
    assert answer.content.count(b"# EOF") == 1
