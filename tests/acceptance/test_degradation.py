"""Every part of the running service is stopped in turn: the rest goes on, says so, and has it all when it is back."""

import json
from collections.abc import Iterator

import pytest
import redis

from dualwrite.configuration.push import CHANNEL
from tests.acceptance.system import POSTGRES, VALKEY, System, running
from tests.integration.moving import eventually

pytestmark = pytest.mark.own_servers
PATIENCE = 60.0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running() as found:
        yield found


def arrives(system: System, symbol: str) -> None:
    """A write of the old service comes into the registry."""
    system.write(symbol)
    eventually(lambda: system.mirrored(symbol), PATIENCE)


def becomes(system: System, component: str, status: str) -> None:
    eventually(lambda: system.health(component) == status, PATIENCE)


def look_now(system: System) -> None:
    """Let the processes ask the config service at once."""
    system.registry_sql("UPDATE instrument_registry.dualwrite_config_source SET ask_at = now()")
    redis.Redis.from_url(system.variables["REDIS_URL"]).publish(CHANNEL, "changed")


def config_becomes(system: System, status: str) -> None:
    def is_so() -> bool:
        look_now(system)
        return system.health("configService") == status

    eventually(is_so, PATIENCE)


def test_the_worker_has_enabled_every_stream_at_its_start(system: System) -> None:
    streams = system.get("/actuator/dual-write/status").body["streams"]
    assert {row["stage"] for row in streams} == {"dualwrite"}
    arrives(system, "FIRST")


def test_no_process_logs_the_path_or_the_query_of_a_request(system: System) -> None:
    assert system.get("/actuator/health/NSE:TCS?token=hidden-word").status == 404
    eventually(lambda: "GET /actuator/health/<str:component>" in system.log("web").read_text(), PATIENCE)
    logged = system.log("web").read_text()
    assert "NSE:TCS" not in logged
    assert "hidden-word" not in logged
    assert all("event" in json.loads(line) for line in logged.splitlines())


def test_without_the_config_service_its_last_values_count_and_all_goes_on(system: System) -> None:
    system.service.values["INSTRUMENT_REGISTRY_MAX_LAG_SECONDS"] = "7"
    look_now(system)
    eventually(lambda: '"7' in system.manage("parameter", "MAX_LAG_SECONDS", "--json").stdout, PATIENCE)
    system.service.mood = "down"
    try:
        config_becomes(system, "DOWN")
        arrives(system, "NO-CONFIG")
        assert system.get("/readyz").status == 200
        assert 'registry_config_fallback{source="config-service"} 1.0' in shown(system)
    finally:
        system.service.mood = "well"
    config_becomes(system, "UP")


def shown(system: System) -> str:
    """The page of metrics, no older than now."""
    page = ""

    def is_fresh() -> bool:
        nonlocal page
        page = str(system.get("/metrics", "text/plain").body)
        return 'registry_config_fallback{source="config-service"} 1.0' in page

    eventually(is_fresh, PATIENCE)
    return page


def test_without_redis_web_writes_relay_and_commands_go_on(system: System) -> None:
    with system.away(system.registry, VALKEY):
        becomes(system, "redis", "DOWN")
        assert system.health("celery") == "DOWN"
        assert system.get("/readyz").status == 200
        assert system.get("/actuator/status").status == 200
        assert system.get("/admin/login/", "text/html").status == 200
        arrives(system, "NO-REDIS")
        told = system.manage("dualwrite", "pause", "--stream", "instruments")
        assert (told.returncode, "Traceback" in told.stderr) == (0, False), told.stderr
    becomes(system, "redis", "UP")
    becomes(system, "celery", "UP")


def test_without_the_old_database_the_registry_is_served_and_what_is_written_afterwards_arrives(
    system: System,
) -> None:
    with system.away(system.screener, POSTGRES):
        becomes(system, "screener", "DOWN")
        assert system.get("/readyz").status == 200
        assert system.get("/admin/login/", "text/html").status == 200
        status = system.get("/actuator/dual-write/status")
        assert status.status == 200
        assert all(row["blocked_by"] for row in status.body["streams"])
        assert system.manage("dualwrite", "status").returncode in (1, 3)
        assert system.processes["relay"].poll() is None
    becomes(system, "screener", "UP")
    arrives(system, "OLD-STORE-BACK")


def test_without_the_registry_requests_get_a_clear_503_and_the_old_services_writes_are_captured(
    system: System,
) -> None:
    before = system.pending()
    with system.away(system.registry, POSTGRES):
        system.write("NO-REGISTRY")
        assert system.pending() == before + 1
        eventually(lambda: system.get("/readyz").status == 503, PATIENCE)
        problem = system.get("/actuator/monitoring/status")
        assert (problem.status, problem.headers["content-type"]) == (503, "application/problem+json")
        assert problem.body["detail"].startswith("A database cannot be reached: registry ")
        page = system.get("/admin/login/", "text/html")
        signed_in = system.get("/admin/", "text/html")
        assert {page.status, signed_in.status} <= {200, 302, 503}
        assert "Traceback" not in f"{page.body}{signed_in.body}"
        assert system.get("/livez").status == 200
        assert system.get("/actuator/status").status == 200
        assert system.get("/metrics", "text/plain").status == 200
        refused = system.manage("dualwrite", "advance", "--stream", "instruments", "--json")
        assert refused.returncode == 3
        assert json.loads(refused.stdout)["error"]["kind"] == "StoreUnreachable"
        assert "Traceback" not in refused.stderr
    eventually(lambda: system.mirrored("NO-REGISTRY"), PATIENCE)
    eventually(lambda: system.get("/readyz").status == 200, PATIENCE)
    assert all(process.poll() is None for process in system.processes.values())


def test_without_a_worker_health_says_so_and_an_alert_fires(system: System) -> None:
    system.kill("worker")
    becomes(system, "celery", "DOWN")
    arrives(system, "NO-WORKER")
    assert system.get("/readyz").status == 200
    assert "celery" in fires(system, "component_down")
    system.run("worker")
    becomes(system, "celery", "UP")


def test_without_a_relay_writes_wait_health_says_so_and_an_alert_fires(system: System) -> None:
    system.kill("relay")
    becomes(system, "relay", "DOWN")
    before = system.pending()
    system.write("NO-RELAY")
    assert system.pending() == before + 1
    assert system.get("/readyz").status == 200
    assert "relay" in fires(system, "relay_failing")
    system.run("relay")
    eventually(lambda: system.mirrored("NO-RELAY"), PATIENCE)
    becomes(system, "relay", "UP")


def fires(system: System, rule: str) -> set[str]:
    """The subjects for which the rule fires, with no time to be waited for first."""
    system.registry_sql("UPDATE instrument_registry.dualwrite_alert_rule SET for_seconds = 0")  # as in the admin
    found = json.loads(system.manage("alerts", "--check", "--json").stdout)
    return {one["subject"] for one in found["alerts"] if one["name"] == rule and one["state"] == "firing"}
