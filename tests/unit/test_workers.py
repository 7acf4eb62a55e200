"""Workers of the suite: how many there are, and that a test which is to be alone is."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import workers
from tests.process import ROOT
from tests.workers import room


def asked(*arguments: str, keyword: str = "", deep: bool = False) -> Any:
    """What a command line leaves of itself."""
    return SimpleNamespace(args=arguments, option=SimpleNamespace(keyword=keyword), getoption=lambda _: deep)


def test_the_suite_has_several_workers_and_never_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for cores, expected in ((1, 2), (2, 3), (64, 6)):
        monkeypatch.setattr("tests.workers.os.cpu_count", lambda cores=cores: cores)
        assert workers.number(asked("tests/unit", "tests/stateful")) == expected


def test_a_file_a_word_and_the_long_runs_are_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    narrow = asked("tests/unit", "tests/conftest.py"), asked("tests", keyword="word"), asked("tests", deep=True)
    assert [workers.number(each) for each in narrow] == [0, 0, 0]


def is_taken(door: Path) -> bool:
    """Whether somebody holds the door."""
    with door.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def come(directory: Path, *, alone: bool) -> None:
    """Come in and leave."""
    with room(directory, alone=alone):
        pass


def test_who_wants_to_be_alone_waits_for_those_inside_and_nobody_comes_in_meanwhile(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with room(tmp_path, alone=False), room(tmp_path, alone=False):
            alone = pool.submit(come, tmp_path, alone=True)
            while not is_taken(tmp_path / "door"):
                assert not alone.done()
            other = pool.submit(come, tmp_path, alone=False)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.2)
            assert not alone.done()
        alone.result(timeout=20)
        other.result(timeout=20)


def test_while_one_is_alone_nobody_comes_in(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with room(tmp_path, alone=True):
            other = pool.submit(come, tmp_path, alone=False)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.2)
        other.result(timeout=20)
