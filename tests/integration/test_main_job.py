"""The main job done again on streams that have moved on."""

import pytest

from dualwrite import switch
from dualwrite.control.disable import disable
from dualwrite.control.handover import hand_over
from dualwrite.models import StreamControl
from dualwrite.stages import Stage, Store
from dualwrite.stream import all_streams
from registry import mainjob
from registry.importing.progress import Silent
from tests.conftest import TESTER


@pytest.fixture
def done(stores: None) -> mainjob.MainJob:
    """Done once."""
    return mainjob.run(TESTER, Silent())


def verdicts(job: mainjob.MainJob) -> dict[str, tuple[str, bool]]:
    """By stream."""
    return {stream.name: (stream.verdict, stream.converged) for stream in job.streams}


def test_it_converges_and_once_more_in_the_other_direction(done: mainjob.MainJob) -> None:
    assert done.converged
    for stream in all_streams():
        hand_over(stream, Store.REGISTRY, TESTER)
        StreamControl.objects.filter(stream=stream.name).update(stage=Stage.LIVE.value)
    again = mainjob.run(TESTER, Silent())
    assert again.converged
    assert [(report.accepted, report.read) for report in again.imports] == [(0, 1294), (0, 889), (0, 78)]


def test_members_are_not_imported_while_streams_write_to_different_stores(done: mainjob.MainJob) -> None:
    stream = all_streams()[0]
    hand_over(stream, Store.REGISTRY, TESTER)
    StreamControl.objects.filter(stream=stream.name).update(stage=Stage.LIVE.value)
    again = mainjob.run(TESTER, Silent())
    assert again.converged
    assert [report.read for report in again.imports] == [889, 78]


def test_what_an_operator_disabled_stays_disabled(done: mainjob.MainJob) -> None:
    stream, other = all_streams()
    disable(stream, TESTER)
    again = mainjob.run(TESTER, Silent())
    assert verdicts(again) == {stream.name: ("disabled", False), other.name: ("passed", True)}
    assert not switch.authority(stream).capture


def test_a_complete_stream_is_left_as_it_is(done: mainjob.MainJob) -> None:
    stream, other = all_streams()
    hand_over(stream, Store.REGISTRY, TESTER)
    switch.detach(stream, Store.SCREENER, TESTER)
    switch.end_capture(stream, Store.REGISTRY, TESTER)
    StreamControl.objects.filter(stream=stream.name).update(stage=Stage.COMPLETE.value)
    assert verdicts(mainjob.run(TESTER, Silent())) == {stream.name: ("complete", True), other.name: ("passed", True)}
