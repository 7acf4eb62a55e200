"""One probe per gate: asks what the gate needs to know, now. They write nothing, except for the canary's note.

Each raises StoreUnreachable rather than calling a gate closed of which nothing is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils import timezone

from dualwrite import capture, outbox, switch
from dualwrite.control import proof
from dualwrite.control.canary import canary
from dualwrite.control.evidence import Evidence
from dualwrite.control.lag import watch
from dualwrite.control.parked import parked, parked_count
from dualwrite.control.relaying import relaying
from dualwrite.control.wayback import preflight
from dualwrite.exceptions import WrongStore
from dualwrite.parameters import MAX_LAG_SECONDS, SOAK_SECONDS, VALIDATION_MAX_AGE_SECONDS
from dualwrite.sql import statement
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream
from dualwrite.switch import State, identity

#: A relay that is just starting, or has just been superseded, is given this long to take its partitions.
RELAY_PATIENCE_SECONDS = 5.0
SHOWN_KEYS = 10


@dataclass
class Case:
    """The change of stage asked about.

    soak: it is about to happen, so a canary is sent and lag watched. obstacle: an earlier gate that is closed for
    good, and what mends it; nothing is tried out then.
    """

    stream: Stream
    before: Stage
    after: Stage
    soak: bool
    obstacle: tuple[str, str] | None = None

    @cached_property
    def authority(self) -> State:
        """The state of the store that takes the writes, read once."""
        return switch.authority(self.stream)

    @property
    def tries(self) -> bool:
        """Whether time is taken to try and to wait."""
        return self.soak and self.obstacle is None

    @property
    def goes_back(self) -> bool:
        """Whether it is a step back."""
        order = list(Stage)
        return order.index(self.after) < order.index(self.before)


def probe_capture(case: Case) -> Evidence:
    """Triggers and functions are in both stores as they were installed."""
    facts: dict[str, Any] = {}
    found: list[str] = []
    mend = ""
    for store in Store:
        problems = capture.problems(case.stream, store)
        facts[store.value] = {"problems": problems, **_installation(case.stream, store, problems)}
        found += [f"{store}: {problem}" for problem in problems]
        if problems:
            mend = mend or f"manage.py dualwrite install --store {store}"
    return Evidence(facts, "; ".join(found), mend)


def _installation(stream: Stream, store: Store, problems: list[str]) -> dict[str, Any]:
    if problems == [capture.NOT_INSTALLED]:
        return {}
    with cursor(store) as found:
        found.execute(statement("gates", "installation"), {"stream": stream.name})
        row = found.fetchone()
    return {"version": int(row[0]), "fingerprint": str(row[1])} if row else {}


def probe_pair(case: Case) -> Evidence:
    """Both databases are the ones that were paired, and neither went back in time."""
    try:
        switch.require_pair()
    except WrongStore as exc:
        mend = f"manage.py dualwrite enable --stream {case.stream.name} --force --reason WHY, when it is the right one"
        return Evidence(identity.evidence(), str(exc), mend)
    return Evidence(identity.evidence())


def probe_backfill(case: Case) -> Evidence:
    """Every key has been noted since capture is on, and the other store follows."""
    here = case.authority
    there = switch.state(case.stream, here.store.peer)
    facts = {
        "authority": here.store.value,
        "role": here.role.value,
        "epoch": here.epoch,
        "generation": here.generation,
        "capture": here.capture,
        "backfilled": here.backfilled,
        "mirror_role": there.role.value,
        "mirror_epoch": there.epoch,
        "mirror_distrusted": there.distrusted,
    }
    return Evidence(facts, *_unfit(case, here, there))


def _unfit(case: Case, here: State, there: State) -> tuple[str, str]:
    status = f"manage.py dualwrite status --stream {case.stream.name}"
    enable = f"manage.py dualwrite enable --stream {case.stream.name}"
    if here.role is not Role.AUTHORITY:
        return f"a switch is half-done: the {here.store} store is {here.role}", status
    if here.store is not case.before.authority:
        return f"the {here.store} store takes the writes, which is not what stage {case.before} says", status
    if not here.capture:
        return "writes are not noted: the stream is disabled", enable
    if not here.backfilled:
        return "the backfill is not complete", enable
    if there.distrusted:
        return f"the {there.store} store may have been written unseen while its triggers were damaged", enable
    if there.role is not Role.MIRROR:
        return f"the {there.store} store is {there.role}, not the mirror", enable
    return "", ""


def probe_relaying(case: Case) -> Evidence:
    """Nobody stopped the stream, and a living relay works on it."""
    patience = RELAY_PATIENCE_SECONDS if case.tries else 0.0
    return relaying(case.stream, case.authority.store, patience=patience)


def probe_canary(case: Case) -> Evidence:
    """A write is noted and a noted key relayed, as seen by trying."""
    if not case.soak:
        return Evidence({"skipped": "a canary is sent only when the stage is about to change"})
    if case.obstacle:
        gate, mend = case.obstacle
        return Evidence({}, f"not tried, as the gate {gate} is closed", mend)
    return canary(case.stream, case.authority.store)


def probe_validation(case: Case) -> Evidence:
    """A clean strict validation of what is mirrored now, and not an old one."""
    limit, run = VALIDATION_MAX_AGE_SECONDS.value(), proof.deciding_run(case.stream)
    facts: dict[str, Any] = {"max_age_seconds": limit, "generation": case.authority.generation}
    why = "no strict validation has finished yet"
    if run is not None and run.finished_at is not None:
        age = (timezone.now() - run.finished_at).total_seconds()
        facts |= {
            "run": run.pk,
            "status": run.status,
            "level": run.level,
            "run_generation": run.generation,
            "run_authority": run.authority,
            "finished_at": run.finished_at.isoformat(),
            "age_seconds": round(age, 1),
        }
        why = proof.unproven(run, case.authority, age, limit)
    if why and case.goes_back:
        why += "; the way back may be taken without it, with --force --reason WHY"
    differs = run is not None and proof.found_differences(run, case.authority)
    return Evidence(facts, why, proof.mend_of(case.stream, differs=differs) if why else "")


def probe_parked(case: Case) -> Evidence:
    """No key is set aside."""
    count = parked_count(case.stream)
    facts = {"count": count, "keys": [row.key for row in parked(case.stream, SHOWN_KEYS)] if count else []}
    if not count:
        return Evidence(facts)
    why = f"{count} keys are parked, so the mirror does not have what they stand for"
    return Evidence(facts, why, f"manage.py dualwrite parked --stream {case.stream.name}")


def probe_lag(case: Case) -> Evidence:
    """What is noted is relayed soon, for a while."""
    limit, soak = MAX_LAG_SECONDS.value(), SOAK_SECONDS.value() if case.tries else 0.0
    stream, store = case.stream, case.authority.store
    seen = watch(lambda: outbox.pending(stream, store).oldest_age_seconds, limit, soak)
    facts = {**vars(seen), "max_lag_seconds": limit, "soak_seconds": soak}
    if seen.highest_seconds < limit:
        return Evidence(facts)
    why = f"the oldest noted key waited for {seen.highest_seconds:.1f} s, {limit:g} s are tolerated"
    return Evidence(facts, why, f"manage.py dualwrite status --stream {stream.name}")


def probe_way_back(case: Case) -> Evidence:
    """After the switch, the present authority could follow."""
    return preflight(case.stream, case.authority.store)


Probe = Callable[[Case], Evidence]
