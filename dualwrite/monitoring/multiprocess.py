"""Metrics of the several processes of one service, each of which counts into files of its own.

`PROMETHEUS_MULTIPROC_DIR` names their directory: one for the web server, another one for the worker, none for a service
of a single process such as the relay, since whoever adds up two pages must not add one process twice.

How it can fail, and the answer:

* files of a service that ran before count again → the directory is cleared when the service starts (`clear`);
* a process dies: what it counted still counts; what only the living have is taken back (`mark_dead`);
* a process is killed while it makes or grows a file, and the file is empty or torn → that file is left out, counted in
  `registry_metrics_unreadable_files`, and the page is complete without it. It is not deleted: it may be new;
* the stock view would show the files alone → `processes` is a part of our page, beside what is read from rows.

Django need not be set up here: the web server's parent process never does.
"""

import json
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
#: What reading a file raises that is away, empty, torn or another program's.
UNREADABLE = (OSError, struct.error, ValueError, RuntimeError, LookupError, TypeError)


def directory() -> Path | None:
    """Where the processes of this service count; None where there is one process only."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def clear() -> None:
    """Begin anew: for the parent, before any process counts. What cannot be removed stays, and is told."""
    folder = directory()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.db"):
            path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("what was counted before counts on: %s", exc)


def mark_dead(pid: int) -> None:
    """A process has ended."""
    folder = directory()
    if folder is None:
        return
    try:
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    except OSError as exc:
        log.warning("process %s still counts: %s", pid, exc)


class FilesCollector(Collector):
    """What the processes counted into the files of a directory; never raises."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """The sum over all readable files, and how many are not."""
        files = sorted(str(path) for path in self._folder.glob("*.db"))
        good = [path for path in files if _is_readable(path)]
        unreadable = len(files) - len(good)
        try:
            yield from MultiProcessCollector.merge(good)  # type: ignore[no-untyped-call]
        except UNREADABLE as exc:
            log.warning("metrics of the processes are left out once: %s", exc)
            unreadable = len(files)
        yield GaugeMetricFamily(
            "registry_metrics_unreadable_files",
            "Files of processes that were left out, being empty or torn.",
            value=float(unreadable),
        )


def _is_readable(path: str) -> bool:
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            json.loads(key)
        return os.path.getsize(path) > 0
    except UNREADABLE:
        return False


def processes() -> CollectorRegistry:
    """A page's beginning: all that the processes of this service counted, and the state of this one."""
    shown = CollectorRegistry()
    folder = directory()
    if folder is None:
        shown.register(REGISTRY)
        return shown
    for collector in (FilesCollector(folder), PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        shown.register(collector)
    return shown
