"""The runbook of a store that went back in time, as an operator types it."""

import json

from dualwrite import switch
from dualwrite.relay import worker
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.process import manage
from tests.support import add, enabled, mirrored

ALL = ("--all", "--force", "--reason", "restored")


def test_the_runbook_leads_from_the_refusal_to_two_equal_stores(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A", weight=1)
    enabled(memberships)
    registry.execute("UPDATE dualwrite.relay_fence SET peer_noted = 900")
    add(screener, "B")

    told = manage("dualwrite", "status").stdout
    assert "docs/runbooks/store-went-back.md: screener (" in told
    refused = manage("dualwrite", "enable", "--all")
    assert (refused.returncode, "has applied its note 900" in refused.stderr) == (1, True)
    assert manage("relay", "--once").returncode == 1
    assert manage("dualwrite", "pair", "--force").returncode == 2, "a reason is needed"
    assert manage("dualwrite", "pair", "--reason", "x").returncode == 1, "force is needed"

    paired = manage("dualwrite", "pair", "--force", "--reason", "restored")
    assert "index_memberships: the screener store takes the writes, epoch 1; nothing is noted" in paired.stdout
    assert switch.state(memberships, Store.REGISTRY).role is Role.MIRROR
    compared = manage("run_validation", "--level", "strict", "--stream", "index_memberships", "--json")
    assert (compared.returncode, "NSE:B" in compared.stdout) == (1, True)
    shown = manage("dualwrite", "enable", "--stream", "index_memberships", "--dry-run", "--json")
    assert json.loads(shown.stdout)["streams"][0]["preview"]["add"] == 1

    assert manage("dualwrite", "enable", *ALL).returncode == 0
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:A", "NSE:B"}
    assert manage("run_validation", "--level", "strict", "--stream", "index_memberships").returncode == 0


def test_naming_the_right_store_of_a_healthy_pair_is_refused(screener: Session, memberships: Stream) -> None:
    add(screener, "A")
    enabled(memberships)
    done = manage("dualwrite", "pair", "--store", "registry", "--force", "--reason", "x")
    assert (done.returncode, "a switch moves the authority" in done.stderr) == (1, True)
