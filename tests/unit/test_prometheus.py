"""The rules for Prometheus and the dashboard: they name only metrics there are, and the rules do what they say."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dualwrite.monitoring.alerts.seeds import RULES
from dualwrite.monitoring.collector import families
from dualwrite.monitoring.names import COUNTERS, GAUGES, SERIES
from dualwrite.monitoring.snapshot import Snapshot
from tests.process import ROOT

PROMETHEUS = ROOT / "ops" / "prometheus"
DASHBOARD = ROOT / "ops" / "grafana" / "instrument-registry.json"
METRIC = re.compile(r"\bregistry_\w+")
LABELS = re.compile(r'"[^"]*"')
#: What only somebody can tell who asks from outside, and a page that two of them share.
FROM_OUTSIDE = {"registry_away", "metrics_stale", "validation_never_passed"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> Iterator[str]:
    """Of the rules and of every panel."""
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_every_metric_that_is_named_is_one_there_is() -> None:
    found = {name for text in expressions() for name in METRIC.findall(LABELS.sub("", text))}
    assert len(found) > 20
    assert found <= SERIES, found - SERIES


def test_every_metric_that_is_shown_has_its_name_in_the_list() -> None:
    shown = Snapshot({}, (), True, 0.0)
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families(shown, time.monotonic())}
    assert names <= GAUGES | COUNTERS, names - GAUGES - COUNTERS


def test_prometheus_has_every_rule_of_the_service_as_urgent_and_with_the_same_page() -> None:
    theirs = {rule["alert"]: (rule["labels"]["severity"], rule["annotations"]["runbook"]) for rule in rules()}
    ours = {rule["name"]: (rule["severity"], f"docs/runbook.md#{rule['runbook']}") for rule in RULES}
    assert {name: theirs.get(name) for name in ours} == ours
    assert theirs.keys() - ours.keys() == FROM_OUTSIDE


def test_every_rule_is_tested() -> None:
    tested = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    fired = {one["alertname"] for case in tested for one in case["alert_rule_test"] if one["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}


def test_panels_do_not_overlap_and_every_one_says_what_it_shows() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        mine = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not mine & taken, panel["title"]
        taken |= mine
        assert panel["type"] == "row" or panel["description"], panel["title"]


@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_takes_them(words: tuple[str, ...]) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run([program, *words], cwd=Path(PROMETHEUS), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    recorded = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    done = subprocess.run([program, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
