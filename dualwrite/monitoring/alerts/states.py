"""What becomes of an alert. Pure: rules, samples, open alerts and the time in, transitions out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from dualwrite.models import AlertState, Comparison, Measure

#: The subject of a sample that speaks for everything of its measure.
ALL = "*"


@dataclass(frozen=True)
class Rule:
    """When it is bad, for how long it must be, and for how long it must be fine again to be over."""

    name: str
    measure: Measure
    comparison: Comparison
    threshold: float
    for_seconds: float = 0.0
    cool_down_seconds: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One value of a subject; None: it could not be measured. `why`: in words."""

    measure: Measure
    subject: str
    value: float | None
    why: str = ""


@dataclass(frozen=True)
class Open:
    """An alert that is not over."""

    rule: str
    subject: str
    state: AlertState
    since: datetime
    fine_since: datetime | None = None
    silenced_until: datetime | None = None


@dataclass(frozen=True)
class Transition:
    """From `before` (None: there was none) to `after`; the same state where only `fine_since` or the value changes."""

    before: Open | None
    after: Open
    reason: str
    value: float | None = None
    why: str = ""

    @property
    def changes_state(self) -> bool:
        """Whether it is one that history has a row for."""
        return self.before is None or self.before.state is not self.after.state


class _Verdict(Enum):
    BAD, FINE, UNKNOWN, GONE = auto(), auto(), auto(), auto()


@dataclass(frozen=True)
class _Found:
    """What a rule says of a subject now."""

    verdict: _Verdict
    value: float | None
    why: str


def transitions(
    rules: Iterable[Rule], samples: Iterable[Sample], opened: Iterable[Open], now: datetime
) -> Iterator[Transition]:
    """Every change that follows; at most one for a rule and subject."""
    taken: dict[Measure, dict[str, Sample]] = {}
    for sample in samples:
        taken.setdefault(sample.measure, {})[sample.subject] = sample
    by_rule: dict[str, dict[str, Open]] = {}
    for one in opened:
        by_rule.setdefault(one.rule, {})[one.subject] = one
    for rule in rules:
        yield from _of_rule(rule, taken.get(rule.measure, {}), by_rule.pop(rule.name, {}), now)
    for left in by_rule.values():
        yield from (_over(one, "its rule is switched off") for one in left.values())


def _of_rule(
    rule: Rule, samples: Mapping[str, Sample], opened: Mapping[str, Open], now: datetime
) -> Iterator[Transition]:
    for subject in sorted({*samples} | {*opened}):
        found, one = _found(rule, samples.get(subject) or samples.get(ALL)), opened.get(subject)
        transition = _opened(rule, subject, found, now) if one is None else _next(rule, one, found, now)
        if transition is not None:
            yield transition


def _found(rule: Rule, sample: Sample | None) -> _Found:
    if sample is None:
        return _Found(_Verdict.GONE, None, "it is not measured any more: there is no such thing now")
    if sample.value is None:
        return _Found(_Verdict.UNKNOWN, None, sample.why)
    bad = rule.comparison.holds(sample.value, rule.threshold)
    return _Found(_Verdict.BAD if bad else _Verdict.FINE, sample.value, sample.why)


def _opened(rule: Rule, subject: str, found: _Found, now: datetime) -> Transition | None:
    if found.verdict is not _Verdict.BAD:
        return None
    state = AlertState.PENDING if rule.for_seconds > 0 else AlertState.FIRING
    return Transition(None, Open(rule.name, subject, state, now), _bad(rule, found), found.value, found.why)


def _next(rule: Rule, one: Open, found: _Found, now: datetime) -> Transition | None:
    if one.state is AlertState.SILENCED and one.silenced_until is not None and one.silenced_until <= now:
        awake = replace(one, state=AlertState.FIRING, silenced_until=None)
        if found.verdict in (_Verdict.BAD, _Verdict.UNKNOWN):
            after = replace(awake, fine_since=None if found.verdict is _Verdict.BAD else one.fine_since)
            return Transition(one, after, "the silence is over", found.value, found.why)
    if found.verdict is _Verdict.UNKNOWN:
        return None
    return _worse(rule, one, found, now) if found.verdict is _Verdict.BAD else _better(rule, one, found, now)


def _worse(rule: Rule, one: Open, found: _Found, now: datetime) -> Transition | None:
    if one.state is AlertState.PENDING:
        if now - one.since < timedelta(seconds=rule.for_seconds):
            return None
        after = replace(one, state=AlertState.FIRING)
        return Transition(one, after, _bad(rule, found), found.value, found.why)
    return Transition(one, replace(one, fine_since=None), _bad(rule, found), found.value, found.why)


def _better(rule: Rule, one: Open, found: _Found, now: datetime) -> Transition | None:
    reason = found.why if found.verdict is _Verdict.GONE else f"it is fine: {_value(rule, found)}"
    cooled = now - (one.fine_since or now) >= timedelta(seconds=rule.cool_down_seconds)
    if one.state is AlertState.PENDING or cooled:
        return _over(one, reason, found)
    if one.fine_since is not None:
        return None
    return Transition(one, replace(one, fine_since=now), reason, found.value, found.why)


def _over(one: Open, reason: str, found: _Found | None = None) -> Transition:
    after = replace(one, state=AlertState.RESOLVED, silenced_until=None)
    return Transition(one, after, reason, found.value if found else None, found.why if found else "")


def _bad(rule: Rule, found: _Found) -> str:
    return f"{_value(rule, found)}, {rule.comparison.label.lower()} {rule.threshold:g}"


def _value(rule: Rule, found: _Found) -> str:
    return f"{rule.measure.value} {found.value:g}" if found.value is not None else rule.measure.value
