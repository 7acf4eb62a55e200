"""Stores what the config service said: good values, what changed, how the service is."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from dualwrite.configuration.fetch import Fetched
from dualwrite.models import ConfigSource, ParameterChange, ParameterKnown
from dualwrite.parameters import Origin, parameter_named
from dualwrite.stages import Store
from dualwrite.stores import failing

log = logging.getLogger(__name__)
#: Seconds until the service is asked again: when it answered; at first and at most when it did not.
EVERY_SECONDS, RETRY_SECONDS, LONGEST_SECONDS = 30.0, 2.0, 120.0
SERVICE = "config service"


@dataclass(frozen=True)
class Change:
    """A parameter that the service says otherwise now; None: it says nothing."""

    name: str
    before: str | None
    after: str | None


def good(fetched: Fetched) -> tuple[dict[str, str | None], dict[str, str]]:
    """What the service said that is a value, and by parameter why the rest is none. Pure."""
    texts: dict[str, str | None] = {}
    wrong: dict[str, str] = {}
    for name, text in fetched.texts.items():
        try:
            if text is not None:
                parameter_named(name).parse(text.strip())
        except ValueError as exc:
            wrong[name] = f"not what it may be; {exc}"
        else:
            texts[name] = text
    return texts, wrong


def keep(fetched: Fetched) -> list[Change]:
    """Store what was good, with a row for each change; those changes. Raises StoreUnreachable, StoreFailed."""
    texts, wrong = good(fetched)
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        known = dict(ParameterKnown.objects.select_for_update().values_list("name", "value"))
        changes = _changes(known, texts)
        for change in changes:
            _store(change)
        _answered(wrong)
    return changes


def _changes(known: Mapping[str, str], texts: Mapping[str, str | None]) -> list[Change]:
    return [Change(n, known.get(n), text) for n, text in texts.items() if known.get(n) != text]


def _store(change: Change) -> None:
    if change.after is None:
        ParameterKnown.objects.filter(name=change.name).delete()
    else:
        values = {"value": change.after, "since": Now()}
        ParameterKnown.objects.update_or_create(name=change.name, defaults=values)
    ParameterChange.objects.create(
        name=change.name, origin=Origin.CONFIG_SERVICE, before=change.before, after=change.after, by=SERVICE
    )


def _answered(wrong: Mapping[str, str]) -> None:
    source = _source()
    if source.failures:
        log.info("the config service answers again")
    if wrong and dict(wrong) != source.wrong:
        log.warning("the config service says what is no value of %s; the last good ones count", ", ".join(wrong))
    since = Now() if source.failures or source.changed_at is None else source.changed_at
    ConfigSource.objects.filter(pk=1).update(
        failures=0,
        error="",
        wrong=dict(wrong),
        answered_at=Now(),
        changed_at=since,
        ask_at=_later(EVERY_SECONDS),
    )


def failed(why: str) -> None:
    """The service did not answer: told once, and asked again later and later. Raises as `keep`."""
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        source = _source()
        if not source.failures:
            log.warning("%s", why)
        wait = min(RETRY_SECONDS * 2 ** min(source.failures, 10), LONGEST_SECONDS)
        ConfigSource.objects.filter(pk=1).update(
            failures=source.failures + 1,
            error=why,
            changed_at=source.changed_at if source.failures else Now(),
            ask_at=_later(wait),
        )


def claim(limit_seconds: float) -> bool:
    """Whether it is time to ask, and this process does: nobody else within the limit. Raises as `keep`."""
    with failing(Store.REGISTRY):
        ConfigSource.objects.get_or_create(pk=1)
        due = ConfigSource.objects.filter(pk=1, ask_at__lte=Now())
        return bool(due.update(ask_at=_later(limit_seconds), asked_at=Now()))


def ask_now() -> bool:
    """Let it be asked at once, as if it had not failed; whether it had. Raises as `keep`."""
    with failing(Store.REGISTRY):
        away = ConfigSource.objects.filter(pk=1, failures__gt=0)
        return bool(away.update(failures=0, error="", ask_at=Now(), changed_at=Now()))


def _later(seconds: float) -> CombinedExpression:
    """By the registry's clock, which all processes share."""
    return Now() + timedelta(seconds=seconds)


def _source() -> ConfigSource:
    ConfigSource.objects.get_or_create(pk=1)
    return ConfigSource.objects.select_for_update().get(pk=1)
