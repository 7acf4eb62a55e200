"""Which store answers whom. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from dualwrite.stages import Stage, Store

#: Consumers fall into so many places, so that a percentage counts to a hundredth.
PLACES = 10_000


@dataclass(frozen=True)
class Rollout:
    """Percentages of consumers whom the registry answers while both stores do, and those that are pinned to one."""

    shadow_percent: float
    live_percent: float
    pinned: Mapping[str, Store]


def store_for(stage: Stage, consumer: str, rollout: Rollout) -> Store:
    """The store that answers this consumer at that stage.

    Sticky: a consumer has one place among all, so a percentage that grows only adds consumers, one that shrinks only
    takes some away, and each of them sees one store. Only at `shadow` and `live` is there a choice.
    """
    if not stage.compares:
        return stage.reads
    if consumer in rollout.pinned:
        return rollout.pinned[consumer]
    percent = rollout.shadow_percent if stage is Stage.SHADOW else rollout.live_percent
    return Store.REGISTRY if place_of(consumer) < percent * PLACES / 100 else Store.SCREENER


def place_of(consumer: str) -> int:
    """The consumer's place, from 0 on, the same in every process and release."""
    return int.from_bytes(hashlib.sha256(consumer.encode()).digest()[:8]) % PLACES
