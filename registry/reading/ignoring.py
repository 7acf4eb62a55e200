"""Differences that are known, by name, until a day."""

from collections.abc import Iterable

from django.utils import timezone

from registry.models import IgnoreRule
from registry.reading.judging import Difference


def rules_of(stream: str) -> list[IgnoreRule]:
    """The rules in force now; an expired one is none."""
    return list(IgnoreRule.objects.filter(stream=stream, until__gt=timezone.now()))


def covered_by(found: Difference, rules: Iterable[IgnoreRule]) -> str | None:
    """The name of the first rule that covers the whole difference. Pure."""
    for rule in rules:
        fields = not rule.fields or (found.served and found.other and set(found.fields) <= set(rule.fields))
        if fields and rule.key_contains in found.key:
            return rule.name
    return None
