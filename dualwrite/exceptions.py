"""What the engine refuses or cannot do. Each class's docstring is its message; arguments are appended after a colon."""

from collections.abc import Iterable


class DualWriteError(Exception):
    """The dual-write engine could not do this."""

    exit_code = 1

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        sentence = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{sentence.rstrip('.')}: {detail}" if detail else sentence)


class UsageError(DualWriteError):
    """That is not a valid request."""

    exit_code = 2


class UnknownName(UsageError):
    """That name is not known."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        super().__init__(f"{kind} {name!r}; valid: {', '.join(sorted(valid)) or 'none declared'}")


class InvalidParameter(UsageError):
    """A parameter has a value that is not allowed."""


class InvalidStream(UsageError):
    """A stream is declared wrongly."""


class StoreUnreachable(DualWriteError):
    """A database cannot be reached."""

    exit_code = 3

    def __init__(self, detail: str = "", store: str = "") -> None:
        super().__init__(detail)
        #: Which; empty where it is not known.
        self.store = store


class StoreFailed(DualWriteError):
    """A database did not do what was asked."""

    exit_code = 3


class NotInstalled(DualWriteError):
    """The engine is not installed in this store; `manage.py dualwrite install --store NAME` does it."""

    exit_code = 3


class AuthorityUnknown(DualWriteError):
    """It cannot be told which store takes the writes, so nothing is done; see docs/runbooks/store-went-back.md."""

    exit_code = 3


class OldStoreMissing(AuthorityUnknown):
    """The old store is part of a stream, but SCREENER_DATABASE_URL is none; set it to the old store's address."""


class Refused(DualWriteError):
    """Refused."""


class NoOldStore(Refused):
    """There is no old store, as SCREENER_DATABASE_URL is none."""


class NotAuthority(Refused):
    """This store does not take writes of that stream."""


class CaptureBroken(Refused):
    """Writes are not captured as installed, so nothing may rely on it."""


class WrongStore(Refused):
    """This is not the database that the other store was paired with; see docs/runbooks/store-went-back.md."""


class WentBack(WrongStore):
    """A store is not as the other one remembers it; see docs/runbooks/store-went-back.md."""


class ConcurrentChange(Refused):
    """Somebody else changed the stream meanwhile; look at `dualwrite status` and try again."""


class TakenBack(Refused):
    """The switch was begun and taken back; the store of before takes the writes."""


class Superseded(DualWriteError):
    """Another relay has taken this partition over, or the mirror is no mirror any more."""


class Overtaken(Superseded):
    """A writer has mirrored keys of these partitions meanwhile, so what was read may be older."""


class RecordInvalid(UsageError):
    """A record cannot be written as it is."""


class RecordRefused(Refused):
    """The store refused a record, so none was written."""


class Held(Refused):
    """The stream stands still until an operator lets it go on."""


class RelayStalled(DualWriteError):
    """The relay makes no progress."""

    exit_code = 3


class AlreadyRunning(DualWriteError):
    """It is already running."""

    exit_code = 4


class Cancelled(DualWriteError):
    """The run was cancelled, so it says nothing."""


class RunLost(DualWriteError):
    """The run lost the connection that made it the only one, so it says nothing."""

    exit_code = 3


def first_line(exc: BaseException) -> str:
    """The sentence of an error; what drivers add in further lines is left out."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]


def may_pass(exc: BaseException) -> bool:
    """Whether it may be otherwise soon, as a server and no rule was in the way; what was decided against stays so."""
    return not isinstance(exc, DualWriteError) or exc.exit_code == StoreUnreachable.exit_code
