"""Which runs there are: configurations of the whole protocol, and ingredients left out of it."""

from dataclasses import dataclass
from enum import StrEnum


class Asks(StrEnum):
    """What a run asks of the model: all that must hold in every state, or one of the properties in stores.pml."""

    ALL = "ALL"
    ONE_AUTHORITY = "ONE_AUTHORITY"
    NOTHING_LOST = "NOTHING_LOST"
    SAME_AT_REST = "SAME_AT_REST"
    A_WAY_OUT = "A_WAY_OUT"
    ALWAYS_RECOVERS = "ALWAYS_RECOVERS"
    REACHED = "REACHED"  #: an error is what is wanted: it shows that a state is reached at all


@dataclass(frozen=True)
class Run:
    """One run of the verifier: a configuration of bounds.pml, what it asks, what is left out or put in."""

    config: str
    asks: Asks
    switch: str = ""
    deep: bool = False

    @property
    def must_fail(self) -> bool:
        """Whether the verifier must find an error, because an ingredient is missing or a state is to be shown."""
        return self.asks is Asks.REACHED or self.switch not in ALLOWED

    @property
    def name(self) -> str:
        """The switch, or what else is special about it."""
        return self.switch or {Asks.REACHED: "is not stuck"}.get(self.asks, "whole")

    @property
    def liveness(self) -> bool:
        """Whether it asks what happens in the end, for which cycles are searched."""
        return self.asks is Asks.ALWAYS_RECOVERS

    @property
    def defines(self) -> list[str]:
        """The preprocessor's definitions."""
        names = [f"CONFIG_{self.config}", f"ONLY={self.asks}", self.switch, "DEEP" if self.deep else ""]
        return [f"-D{name}" for name in names if name]


#: What the code does beyond the protocol: a follower takes the authority's epoch, a promotion begins a generation.
AS_BUILT = "AS_BUILT"

#: Of two numbers that must be equal, the authority's is changed before the mirror's instead of after it.
AUTHORITY_FIRST = "AUTHORITY_FIRST"

#: A writer that mirrors holds its fence before it takes its notes, as it does with a few records.
FENCES_FIRST = "FENCES_FIRST"

#: Other ways to do it, which must hold as well.
ALLOWED = ("", AS_BUILT, AUTHORITY_FIRST, FENCES_FIRST)

CONFIGS = (
    "SWITCH",
    "RELAY",
    "KEYS",
    "SNAPSHOT",
    "ENABLE",
    "AGAIN",
    "FILL",
    "INLINE",
    "FLEET",
    "SHARE",
    "NUMBER",
    "RECOVERY",
)

#: Left out, in the order of the table in docs/protocol/README.md; the configuration is the one that shows it soonest.
LEFT_OUT = (
    Run("SWITCH", Asks.NOTHING_LOST, "NO_EXCLUSIVE_LOCK"),
    Run("SWITCH", Asks.NOTHING_LOST, "NO_SHARED_LOCK"),
    Run("SWITCH", Asks.NOTHING_LOST, "STATE_BEFORE_LOCK"),
    Run("SNAPSHOT", Asks.NOTHING_LOST, "NO_FOR_SHARE"),
    Run("SNAPSHOT", Asks.SAME_AT_REST, "NO_FOR_SHARE"),
    Run("SWITCH", Asks.ONE_AUTHORITY, "NO_EPOCH_IN_PROMOTE"),
    Run("SWITCH", Asks.ONE_AUTHORITY, "NO_EPOCH_IN_BURN"),
    Run("SWITCH", Asks.ONE_AUTHORITY, "NO_EPOCH_IN_REVERT"),
    Run("RECOVERY", Asks.A_WAY_OUT, "NO_EPOCH_IN_DEMOTE"),
    Run("SWITCH", Asks.ONE_AUTHORITY, "NO_BURN"),
    Run("SWITCH", Asks.NOTHING_LOST, "NO_DRAIN"),
    Run("SWITCH", Asks.SAME_AT_REST, "NO_CAPTURE_AT_PROMOTE"),
    Run("RELAY", Asks.SAME_AT_REST, "NO_FENCE_EPOCH"),
    Run("RELAY", Asks.SAME_AT_REST, "FENCE_NOT_LOCKED"),
    Run("RELAY", Asks.NOTHING_LOST, "NO_ROLE_CHECK"),
    Run("RELAY", Asks.NOTHING_LOST, "ROLE_NOT_LOCKED"),
    Run("RELAY", Asks.SAME_AT_REST, "NO_FENCE_RAISED_AT_DEMOTE"),
    Run("AGAIN", Asks.SAME_AT_REST, "NO_FENCE_RAISED_AT_ENABLE"),
    Run("RELAY", Asks.SAME_AT_REST, "RECORDS_BEFORE_NOTES"),
    Run("RELAY", Asks.SAME_AT_REST, "DELETE_BEFORE_APPLYING"),
    Run("RELAY", Asks.SAME_AT_REST, "DELETE_BY_KEY"),
    Run("KEYS", Asks.SAME_AT_REST, "DELETE_UP_TO_HIGHEST"),
    Run("RELAY", Asks.SAME_AT_REST, "DELETE_AFTER_REFUSAL"),
    Run("ENABLE", Asks.SAME_AT_REST, "NO_EXCLUSIVE_LOCK_AT_ENABLE"),
    Run("ENABLE", Asks.SAME_AT_REST, "CAPTURE_AFTER_LISTING"),
    Run("AGAIN", Asks.SAME_AT_REST, "LISTING_BEFORE_MIRROR"),
    Run("AGAIN", Asks.SAME_AT_REST, "NO_UNION"),
    Run("ENABLE", Asks.SAME_AT_REST, "NO_GENERATION"),
    Run("AGAIN", Asks.SAME_AT_REST, "MIRROR_BEFORE_CAPTURE"),
    Run("FILL", Asks.NOTHING_LOST, "NOT_ONLY_BACKFILLED"),
    Run("FILL", Asks.NOTHING_LOST, "DISABLE_WHEN_FENCED"),
    Run("ENABLE", Asks.SAME_AT_REST, "DROP_LATER"),
    Run("INLINE", Asks.SAME_AT_REST, "INLINE_READS_BEFORE"),
    Run("INLINE", Asks.SAME_AT_REST, "INLINE_RAISES_NOTHING"),
    Run("INLINE", Asks.SAME_AT_REST, "INLINE_LETS_GO"),
    Run("INLINE", Asks.SAME_AT_REST, "INLINE_DELETES_BY_KEY"),
    Run("INLINE", Asks.NOTHING_LOST, "INLINE_NO_ROLE_CHECK"),
    Run("INLINE", Asks.SAME_AT_REST, "INLINE_RECORDS_FIRST"),
    Run("INLINE", Asks.SAME_AT_REST, "OVERTAKEN_GOES_ON"),
    Run("FLEET", Asks.SAME_AT_REST, "AHEAD_KEPT"),
    Run("SHARE", Asks.SAME_AT_REST, "AHEAD_KEPT_WHEN_GIVEN"),
    Run("FLEET", Asks.SAME_AT_REST, "AHEAD_KEPT_WHEN_REFUSED"),
    Run("FLEET", Asks.SAME_AT_REST, "LATER_BATCH_FIRST"),
    Run("FLEET", Asks.SAME_AT_REST, "DELETES_AHEAD"),
    Run("NUMBER", Asks.SAME_AT_REST, "NO_NUMBER_COMPARED"),
    Run("NUMBER", Asks.SAME_AT_REST, "NUMBER_READ_BEFORE"),
    Run("NUMBER", Asks.SAME_AT_REST, "NUMBER_READ_LATER"),
    Run("NUMBER", Asks.SAME_AT_REST, "AUTHORITY_FIRST_UNCOMPARED"),
    Run("NUMBER", Asks.SAME_AT_REST, "NO_FENCE_RAISED_AT_CHANGE"),
    Run("NUMBER", Asks.SAME_AT_REST, "CHANGE_NOT_EMPTY"),
    Run("NUMBER", Asks.SAME_AT_REST, "CHANGE_WITHOUT_LOCK"),
    Run("NUMBER", Asks.SAME_AT_REST, "NOTES_WITHOUT_LOCK"),
    Run("NUMBER", Asks.ALWAYS_RECOVERS, "NO_WAY_BACK"),
    Run("RECOVERY", Asks.ALWAYS_RECOVERS, "ONE_SIDE_ONLY"),
    Run("RECOVERY", Asks.ALWAYS_RECOVERS, "NO_RESUMER"),
)


def whole(*, deep: bool) -> list[Run]:
    """The runs in which nothing is left out, so that no error may be found."""
    runs = [Run(config, Asks.ALL, deep=deep) for config in CONFIGS]
    runs += [Run(config, Asks.ALWAYS_RECOVERS, deep=deep) for config in ("RECOVERY", "NUMBER")]
    runs += [Run("NUMBER", asks, AUTHORITY_FIRST) for asks in (Asks.ALL, Asks.ALWAYS_RECOVERS)]
    runs += [Run(config, Asks.ALL, FENCES_FIRST, deep=deep) for config in ("INLINE", "NUMBER")]
    built = [config for config in CONFIGS if config != "NUMBER"] if deep else ["FILL"]
    return runs + [Run(config, Asks.ALL, AS_BUILT) for config in built]


def all_runs(*, deep: bool) -> list[Run]:
    """Every run: the whole protocol, that it is not stuck, and each ingredient left out."""
    return [*whole(deep=deep), *(Run(config, Asks.REACHED) for config in CONFIGS), *LEFT_OUT]
