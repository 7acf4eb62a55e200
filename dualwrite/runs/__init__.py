"""Run control, shared by everything that runs for long: one at a time, seen while it works, stopped when asked.

1. `lock`: one run of a kind per stream on every machine. The lock belongs to a session, so it ends with its process.
2. `rows`: the row of a run: opened by the owner of the lock, closed once; recognised when the owner is gone; cancelled,
   run again.
3. `watch`: what a run tells (phase, rows done) and asks (am I to stop, am I to wait) while it works.
4. `attend`: a thread beside the run that carries both to and from its row; `signals`: Ctrl-C is a cancel as well.
5. `conduct`: does a piece of work as a run, from its row to its end.

How it can fail, and the answer: the process is killed → its session ends, the lock is free, whoever looks next closes
the row as an error; the session is lost while the process lives → the run ends within a second, and says so; two
machines at once → one has the lock; the number of a dead run's session is given to another one → when it began is held
against its row, too; a statement that takes long → a cancel reaches the server too. A run never passes
that was not closed by its owner while the row still said that it runs.

A run slows down where more sessions than a parameter are in a transaction on the authority's server, but each of its
pauses is short: it holds snapshots open, and must come to an end.
"""

from dualwrite.runs.conduct import Outcome, conduct
from dualwrite.runs.lock import RUN_LOCK, Holder, holder, only_run
from dualwrite.runs.rows import Owner, cancel, is_dead, note, only, reap, run_numbered, to_resume
from dualwrite.runs.watch import Progress, Watch

__all__ = [
    "RUN_LOCK",
    "Holder",
    "Outcome",
    "Owner",
    "Progress",
    "Watch",
    "cancel",
    "conduct",
    "holder",
    "is_dead",
    "note",
    "only",
    "only_run",
    "reap",
    "run_numbered",
    "to_resume",
]
