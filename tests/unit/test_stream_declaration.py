"""A stream that is declared wrongly is refused when it is declared."""

import dataclasses

import pytest

from dualwrite.exceptions import InvalidStream, UnknownName
from dualwrite.stages import Store
from dualwrite.stream import Field, Side, Stream, declare, stream_named
from registry.streams import INDEX_MEMBERSHIPS, INSTRUMENTS

SIDE = Side("s", "t", reads={"id": "t.id", "v": "t.v"}, writes={"id": "r.id", "v": "r.v"}, match=("id",), model="a.B")


def stream(side: Side) -> Stream:
    return Stream("x", key=(Field("id"),), fields=(Field("v"),), sides=dict.fromkeys(Store, side))


def test_a_field_that_a_side_does_not_read_is_named() -> None:
    with pytest.raises(InvalidStream, match="`reads` lacks v"):
        stream(dataclasses.replace(SIDE, reads={"id": "t.id"}))


def test_a_side_must_match_by_columns_it_writes() -> None:
    with pytest.raises(InvalidStream, match="`match` needs columns of `writes`"):
        stream(dataclasses.replace(SIDE, match=("other",)))


def test_both_stores_need_a_side() -> None:
    with pytest.raises(InvalidStream, match="no side for the registry store"):
        Stream("x", key=(Field("id"),), fields=(), sides={Store.SCREENER: SIDE})


def test_two_streams_cannot_share_a_name() -> None:
    with pytest.raises(InvalidStream, match="two streams are called index_memberships"):
        declare(dataclasses.replace(INDEX_MEMBERSHIPS, title="another"))


def test_lanes_leave_room_for_sixteen_partitions() -> None:
    assert INDEX_MEMBERSHIPS.lanes & 15 == 0
    assert 0 <= INDEX_MEMBERSHIPS.lane(15) < 2**31
    assert INDEX_MEMBERSHIPS.lanes != INSTRUMENTS.lanes


def test_an_unknown_stream_is_answered_with_the_declared_ones() -> None:
    with pytest.raises(UnknownName, match="'indexes'; valid: index_memberships, instruments"):
        stream_named("indexes")
