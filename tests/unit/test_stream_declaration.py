"""A stream that is declared wrongly is refused when it is declared."""

import dataclasses
import re

import pytest

from dualwrite.exceptions import InvalidStream, UnknownName
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stream import RESERVED, RESERVED_FOR_KEYS, Field, Side, Stream, declare, stream_named
from registry.streams import INDEX_MEMBERSHIPS, INSTRUMENTS

SIDE = Side(
    "s", "t", reads={"code": "t.id", "v": "t.v"}, writes={"id": "r.code", "v": "r.v"}, match=("id",), model="a.B"
)


def stream(side: Side) -> Stream:
    return Stream("x", key=(Field("code"),), fields=(Field("v"),), sides=dict.fromkeys(Store, side))


def test_a_field_that_a_side_does_not_read_is_named() -> None:
    with pytest.raises(InvalidStream, match="`reads` lacks v"):
        stream(dataclasses.replace(SIDE, reads={"code": "t.id"}))


def test_a_side_must_match_by_columns_it_writes() -> None:
    with pytest.raises(InvalidStream, match="`match` needs columns of `writes`"):
        stream(dataclasses.replace(SIDE, match=("other",)))


def test_both_stores_need_a_side() -> None:
    with pytest.raises(InvalidStream, match="no side for the registry store"):
        Stream("x", key=(Field("code"),), fields=(), sides={Store.SCREENER: SIDE})


@pytest.mark.parametrize("name", RESERVED_FOR_KEYS)
def test_a_key_field_named_as_a_column_of_the_relays_tables_is_refused(name: str) -> None:
    side = dataclasses.replace(SIDE, reads={name: "t.id", "v": "t.v"})
    with pytest.raises(InvalidStream, match=f"x: `key` calls a field {name}; .*give the field another name"):
        Stream("x", key=(Field(name),), fields=(Field("v"),), sides=dict.fromkeys(Store, side))


@pytest.mark.parametrize("name", RESERVED)
def test_another_field_may_not_be_named_so_either(name: str) -> None:
    side = dataclasses.replace(SIDE, reads={"code": "t.id", name: "t.v"})
    with pytest.raises(InvalidStream, match=f"x: `fields` calls a field {name}; "):
        Stream("x", key=(Field("code"),), fields=(Field(name),), sides=dict.fromkeys(Store, side))


def test_a_field_that_is_no_key_may_be_called_id() -> None:
    side = dataclasses.replace(SIDE, reads={"code": "t.id", "id": "t.v"})
    assert Stream("x", key=(Field("code"),), fields=(Field("id"),), sides=dict.fromkeys(Store, side)).name == "x"


def test_every_column_of_the_relays_tables_is_reserved() -> None:
    tables = {"batch_table": "relay", "staged_table": "relay", "sample_table": "gates"}
    texts = {name: statement(file, name) for name, file in tables.items()}
    own = {
        name: set(re.findall(r"[(,] *(\w+) (?:bigint|integer|text|boolean)\b", text)) for name, text in texts.items()
    }
    assert set().union(*own.values()) == set(RESERVED_FOR_KEYS)
    assert own["staged_table"] | own["sample_table"] == set(RESERVED)  # no other field is in the batch's


def test_two_streams_cannot_share_a_name() -> None:
    with pytest.raises(InvalidStream, match="two streams are called index_memberships"):
        declare(dataclasses.replace(INDEX_MEMBERSHIPS, title="another"))


def test_lanes_leave_room_for_sixty_four_partitions_and_for_what_yields() -> None:
    assert INDEX_MEMBERSHIPS.lanes & 127 == 0
    assert 0 <= INDEX_MEMBERSHIPS.lane(15) < 2**31
    assert INDEX_MEMBERSHIPS.lanes != INSTRUMENTS.lanes


def test_an_unknown_stream_is_answered_with_the_declared_ones() -> None:
    with pytest.raises(UnknownName, match="'indexes'; valid: index_memberships, instruments"):
        stream_named("indexes")
