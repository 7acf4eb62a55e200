"""What a step from one stage to another, or a verb within a stage, will do, in sentences and in order. No I/O.

Each sentence says in which store something is done and what writers notice of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dualwrite.stages import Stage, Store

NO_WAY_BACK = f"There is no way back from {Stage.COMPLETE}: the old store will not follow any more."


@dataclass(frozen=True)
class Facts:
    """What the sentences are made of.

    `lock_seconds`: how long a switch tries to get between two writers; `switch_seconds`: how long writers wait at most;
    `pending`: how many keys wait to be relayed, in words.
    """

    stream: str
    epoch: int
    pending: str
    lock_seconds: float
    switch_seconds: float


def plan(before: Stage, after: Stage, facts: Facts) -> list[str]:
    """The sentences of one step; `after` is a stage that `before` may become."""
    return [*_PLANS[before, after](facts), f"The stage of {facts.stream} becomes {after}."]


def numbered(sentences: list[str]) -> list[str]:
    """The same, with their numbers in front."""
    return [f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1)]


def pausing(stream: str) -> list[str]:
    """Of `pause`; the last sentence is what it costs."""
    return [
        f"The relay of {stream} stops after the batch at hand.",
        "Writes go on and go on being noted: nothing is lost.",
        "The mirror falls behind until the stream is resumed, and the stage cannot change meanwhile.",
    ]


def resuming(stream: str, *, force: bool) -> list[str]:
    """Of `resume`; with `force` the last sentence is what it costs."""
    goes_on = f"The relay of {stream} goes on with what waits."
    held = "What was held back is done: the deletes noted until now are made on the mirror, however many."
    return [goes_on, held] if force else [goes_on]


def disabling(stream: str, authority: Store) -> list[str]:
    """Of `disable`; the last sentence is what it costs."""
    return [
        f"{authority}: writes of {stream} are no longer noted. Writers notice nothing.",
        f"{authority.peer}: stays as it is. What has been noted may still be relayed.",
        "The stage stays as it is; enable goes on from there.",
        f"Writes made from then on do not reach the {authority.peer} store, and the stage cannot change: the mirror is "
        "unverified until a full backfill (enable) and a clean strict validation.",
    ]


def _to_dualwrite(facts: Facts) -> list[str]:
    return [
        f"{Store.SCREENER}: every write of {facts.stream} is noted from then on; writers wait a moment for the lock.",
        f"{Store.REGISTRY}: becomes the mirror, so that it takes writes from the relay only.",
        f"{Store.SCREENER}: every key of both stores is noted once; the relay makes the registry equal. Writers go on.",
    ]


def _to_shadow(facts: Facts) -> list[str]:
    return [
        f"Nothing changes in either store: the {Store.SCREENER} goes on taking the writes, the {Store.REGISTRY} "
        "follows. Reads are compared from then on. Writers notice nothing.",
    ]


def _to_rampdown(facts: Facts) -> list[str]:
    return [
        f"Nothing changes in either store: the {Store.REGISTRY} goes on taking the writes, the {Store.SCREENER} "
        "follows, and the way back stays open. Reads are no longer compared. Writers notice nothing.",
    ]


def _to_complete(facts: Facts) -> list[str]:
    old, new = Store.SCREENER, Store.REGISTRY
    return [
        NO_WAY_BACK,
        _relay_first(facts),
        _writers_wait(facts, new),
        "The last keys are relayed; when that fails or takes longer, nothing has changed.",
        f"{old}: detached. Whoever still writes {facts.stream} there gets an error that names the {new}.",
        f"{new}: capture ends, nothing is mirrored any more. Writers go on.",
    ]


def _switch(to: Store) -> Callable[[Facts], list[str]]:
    def sentences(facts: Facts) -> list[str]:
        epoch = facts.epoch + 1
        return [
            _relay_first(facts),
            _writers_wait(facts, to.peer),
            f"{to.peer}: fenced at epoch {epoch}, so that it takes no write whatever happens from then on.",
            f"The last keys are relayed to the {to}. If that fails or takes longer, the {to.peer} takes writes again.",
            f"{to}: takes the writes, at epoch {epoch}, and notes them; its sequences go on behind the {to.peer}'s.",
            f"{to.peer}: becomes the mirror. Writers that waited, and later ones, get an error that names the {to}.",
        ]

    return sentences


def _relay_first(facts: Facts) -> str:
    return f"The relays give way, and what waits is relayed while writers go on ({facts.pending} now)."


def _writers_wait(facts: Facts, store: Store) -> str:
    return (
        f"{store}: writers of {facts.stream} wait, for {facts.switch_seconds:g} s at most. If a writer under way does "
        f"not finish within {facts.lock_seconds:g} s, nothing is done, and it is named."
    )


def _back_to_dualwrite(facts: Facts) -> list[str]:
    return ["Nothing changes in either store; reads are no longer compared. Writers notice nothing."]


def _back_to_live(facts: Facts) -> list[str]:
    return ["Nothing changes in either store; reads are compared again. Writers notice nothing."]


_PLANS: dict[tuple[Stage, Stage], Callable[[Facts], list[str]]] = {
    (Stage.OFF, Stage.DUALWRITE): _to_dualwrite,
    (Stage.DUALWRITE, Stage.SHADOW): _to_shadow,
    (Stage.SHADOW, Stage.LIVE): _switch(Store.REGISTRY),
    (Stage.LIVE, Stage.RAMPDOWN): _to_rampdown,
    (Stage.RAMPDOWN, Stage.COMPLETE): _to_complete,
    (Stage.SHADOW, Stage.DUALWRITE): _back_to_dualwrite,
    (Stage.LIVE, Stage.SHADOW): _switch(Store.SCREENER),
    (Stage.RAMPDOWN, Stage.LIVE): _back_to_live,
}
