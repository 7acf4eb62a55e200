"""One run from its row to its end: attended while it works, and closed however it ends."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from dualwrite.exceptions import Cancelled, DualWriteError
from dualwrite.models import Run
from dualwrite.runs.attend import attended
from dualwrite.runs.rows import Owner, close
from dualwrite.runs.signals import Signals
from dualwrite.runs.watch import Watch
from dualwrite.stages import Store


@dataclass(frozen=True)
class Outcome:
    """How a run came out: its status, a sentence where there is something to say, further fields of its row."""

    status: str
    sentence: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


def conduct(row: Run, owner: Owner, watch: Watch, busy: Store, work: Callable[[], Outcome]) -> None:
    """Do the work and close the row: as it came out, as cancelled when it was stopped, as an error when it broke.

    `busy`: the store whose load counts. Raises what broke it; Ctrl-C does what it does, after the row is closed.
    """
    with Signals() as signals:
        try:
            with attended(row, owner, watch, busy, signals):
                outcome = work()
            close(row, outcome.status, outcome.sentence, **outcome.fields)
        except Cancelled as exc:
            close(row, Run.CANCELLED, f"cancelled {exc.detail}".strip())
        except KeyboardInterrupt:
            _close_broken(row, Run.CANCELLED, "cancelled by an interrupt")
            raise
        except BaseException as exc:
            _close_broken(row, Run.ERROR, str(exc) or type(exc).__name__)
            raise
    signals.pass_on()


def _close_broken(row: Run, status: str, sentence: str) -> None:
    # What broke the run is raised and matters more; a row that cannot be closed now is closed by the next run.
    with suppress(DualWriteError):
        close(row, status, sentence)
