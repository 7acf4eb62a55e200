"""Proving that the running system works, part by part, each by doing the thing; safe on production.

`prove` has the nine, each a function of its own module that returns evidence or raises NotReady, and runs them one
after another, with the seconds each took. They leave rows of task runs, health records and the audit.

1. `imports`: every module, task, address and stream is there.
2. `integration`: a canary of each mirrored stream, noted and taken back, relayed and seen.
3. `scheduled`: each task through the broker, as a probe that a worker answers without carrying it out; that the
   scheduler ticks.
4. `endpoints`: every address of the actuator, without a key, with a wrong one, with the right one.
5. `configuration`: a source that is there, goes away and comes back; what the service's own source says.
6. `faults`: requests that are wrong, a task that fails beside one that does not, a write that is refused.
7. `boundaries`: writes across schemas that the roles must not be able to do.
8. `watching`: a look at everything by the worker, and a scrape.
9. `life`: the start-up's steps, the probes, who is there, and a relay that comes and goes.

How it can fail, and the answer: a part hangs → a limit for each wait, and the sentence says what was waited for; one
check breaks → the others are run all the same; two run at once → each waits for its own rows.
"""

from dualwrite.readiness.prove import CHECKS, Finding, prove

__all__ = ["CHECKS", "Finding", "prove"]
