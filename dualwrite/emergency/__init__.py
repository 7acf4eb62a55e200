"""Stopping and starting over when much is broken at once: what can be done is done, the rest is said.

1. `stop` disables streams side by side, each for itself, as `dualwrite disable` does one.
2. `reset` pauses every stream and forgets what only waits for time to pass: breakers, cool-downs, dead runs.

How it can fail, and the answer:

* Redis or Celery is away → neither is asked;
* one database is away, or accepts and says nothing → it is found out within a second, and not waited for again; the
  other one is worked on as far as it alone can tell (of a stream, whether it takes the writes);
* both are away → nothing can be done, which is said within two seconds, stream by stream;
* a switch is under way and both databases answer → its end is waited for, which is bounded: a stop in the middle of it
  would stop a store that takes no writes any more;
* something hangs all the same → the answer says that it is still being done, and it goes on.
"""

from dualwrite.emergency.reset import Step, reset
from dualwrite.emergency.stop import Stopped, stop

__all__ = ["Step", "Stopped", "reset", "stop"]
