"""Rules about the records by themselves: each finds its exceptions, exactly, and says what is wrong."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dualwrite.exceptions import StoreFailed
from dualwrite.stores import Session
from dualwrite.stream import Rule, Stream
from dualwrite.validation.rules import KEPT, findings
from tests.integration.archiving import archive

MEMBER = "INSERT INTO index_memberships (instrument_key, index_id, weight, sector) VALUES (%s, %s, %s, %s)"
INSTRUMENT = "INSERT INTO instruments (instrument_key, exchange, symbol) VALUES ('NSE:' || %s, 'NSE', %s)"
SPELL = (
    "INSERT INTO index_membership_history (instrument_key, index_id, spell, source)"
    " VALUES ('NSE:A', 'OLD', %s::daterange, 'test')"
)


@pytest.fixture
def authority(registry: Session) -> Session:
    """A registry that takes writes."""
    registry.execute("UPDATE dualwrite.stream_state SET role = 'authority'")
    return registry


def found(stream: Stream) -> dict[str, tuple[int, tuple[tuple[str, str], ...]]]:
    """Rule → exceptions."""
    return {finding.rule: (finding.count, finding.first) for finding in findings(stream)}


def member(registry: Session, symbol: str, index: str, weight: str | None, sector: str | None = "Energy") -> None:
    """A membership, and its instrument."""
    registry.execute(INSTRUMENT + " ON CONFLICT DO NOTHING", (symbol, symbol))
    registry.execute(MEMBER, (f"NSE:{symbol}", index, weight, sector))


def test_records_that_keep_every_rule_give_no_finding(authority: Session, memberships: Stream) -> None:
    for index, weights in {
        "EVEN": ("50", "50"),
        "EDGE": ("60", "39.5"),
        "PARTLY": ("10", None),
        "NONE": (None, None),
    }.items():
        for symbol, weight in zip("AB", weights, strict=True):
            member(authority, symbol, index, weight)
    assert found(memberships) == {}


def test_weights_that_do_not_sum_to_100_are_found_where_all_are_given(authority: Session, memberships: Stream) -> None:
    member(authority, "A", "LOW", "60")
    member(authority, "B", "LOW", "39.499999")
    member(authority, "A", "HIGH", "100")
    member(authority, "B", "HIGH", "0.500001")
    member(authority, "A", "PARTLY", "10")
    member(authority, "B", "PARTLY", None)
    count, first = found(memberships)["weights_sum_to_100"]
    assert (count, dict(first)) == (
        2,
        {"LOW": "2 members, weights sum to 99.499999", "HIGH": "2 members, weights sum to 100.500001"},
    )


def test_an_inactive_membership_counts_for_no_rule(authority: Session, memberships: Stream) -> None:
    member(authority, "A", "EVEN", "100")
    authority.execute(MEMBER, ("NSE:GONE", "EVEN", "7", None))
    authority.execute("UPDATE index_memberships SET is_active = false WHERE instrument_key = 'NSE:GONE'")
    assert found(memberships) == {}


def test_the_tolerance_is_a_live_parameter(
    authority: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    member(authority, "A", "LOW", "90")
    assert "weights_sum_to_100" in found(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_WEIGHT_SUM_TOLERANCE", "10")
    assert found(memberships) == {}


@pytest.mark.parametrize("sector", [None, "", "  "])
def test_a_membership_without_a_sector_is_found(authority: Session, memberships: Stream, sector: str | None) -> None:
    member(authority, "A", "X", None, sector)
    assert found(memberships) == {"sector_known": (1, (("NSE:A in X", "no sector"),))}


def test_a_membership_of_an_unknown_instrument_is_found(authority: Session, memberships: Stream) -> None:
    member(authority, "A", "X", None)
    authority.execute("DELETE FROM instruments")
    assert found(memberships) == {
        "membership_has_its_instrument": (1, (("NSE:A in X", "there is no such instrument"),))
    }


@pytest.fixture
def without_exclusion(authority: Session) -> Iterator[Session]:
    """A registry whose constraint somebody has dropped."""
    with authority.transaction(force_rollback=False):
        authority.execute("ALTER TABLE index_membership_history DROP CONSTRAINT index_membership_history_no_overlap")
    yield authority
    authority.execute("DELETE FROM index_membership_history")
    authority.execute(
        "ALTER TABLE index_membership_history ADD CONSTRAINT index_membership_history_no_overlap EXCLUDE USING gist"
        ' ((instrument_key COLLATE "C") WITH =, (index_id COLLATE "C") WITH =, spell WITH &&)'
        " WHERE (superseded_at IS NULL)"
    )


def test_spells_that_overlap_are_found_and_those_that_meet_are_not(
    without_exclusion: Session, memberships: Stream
) -> None:
    for spell in ("[2001-01-01,2020-01-01)", "[2002-01-01,2003-01-01)", "[2005-01-01,2006-01-01)", "[2020-01-01,)"):
        without_exclusion.execute(SPELL, (spell,))
    assert found(memberships)["spells_do_not_overlap"] == (
        2,
        (
            ("NSE:A in OLD", "[2001-01-01,2020-01-01) overlaps [2002-01-01,2003-01-01)"),
            ("NSE:A in OLD", "[2001-01-01,2020-01-01) overlaps [2005-01-01,2006-01-01)"),
        ),
    )


@pytest.mark.parametrize("archived", ["upper(spell) = '2003-01-01'", "upper(spell) = '2020-01-01'"])
def test_a_spell_that_overlaps_an_archived_one_is_found(
    archived: str, without_exclusion: Session, memberships: Stream
) -> None:
    for spell in ("[2001-01-01,2003-01-01)", "[2002-01-01,2020-01-01)"):
        without_exclusion.execute(SPELL, (spell,))
    assert archive(archived) == 1
    assert found(memberships)["spells_do_not_overlap"] == (
        1,
        (("NSE:A in OLD", "[2001-01-01,2003-01-01) overlaps [2002-01-01,2020-01-01)"),),
    )


def test_of_many_exceptions_all_are_counted_and_the_first_kept(authority: Session, memberships: Stream) -> None:
    authority.execute(
        "INSERT INTO index_memberships (instrument_key, index_id, sector)"
        " SELECT 'NSE:S' || g, 'X', 'Energy' FROM generate_series(1, 1234) AS g"
    )
    (finding,) = findings(memberships)
    assert (finding.rule, finding.count, len(finding.first)) == ("membership_has_its_instrument", 1234, KEPT)


def test_a_rule_that_cannot_be_looked_at_is_named(authority: Session, memberships: Stream) -> None:
    broken = replace(memberships, rules=(Rule("odd", "it is odd", "SELECT 'x', (1/0)::text"),))
    with pytest.raises(StoreFailed, match="rule odd of stream index_memberships: division by zero"):
        findings(broken)
