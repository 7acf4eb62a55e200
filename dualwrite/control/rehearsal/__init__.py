"""`rehearse`: hand the authority over and back on a scratch stream, under load, and say what it cost.

1. `scratch` makes a stream of its own: a schema with one small table in each store, captured and mirrored;
2. `load` writes to it from several threads, each write following the authority, and remembers what was acknowledged;
3. `run` switches there and back meanwhile, then stops, drains and compares both stores with what was acknowledged;
4. `figures` makes waiting times out of writes and switches, and a text for people;
5. `scratch` removes everything again.

The stream is declared nowhere, so that nothing but the rehearsal knows of it, and no verb, status or metric shows it.
What is installed for the real streams is not touched.

How it can fail, and the answer:

* it is interrupted, or anything raises → everything is removed on the way out;
* its process dies → the next rehearsal removes what is left before it begins; nobody else minds it;
* a second one at the same time → AlreadyRunning;
* a store's account may not create a schema → Refused, before anything is made;
* a switch is taken back, or cannot begin → it is counted and the reason kept; the result is not passed.
"""

from dualwrite.control.rehearsal.figures import Rehearsal, as_text
from dualwrite.control.rehearsal.run import rehearse

__all__ = ["Rehearsal", "as_text", "rehearse"]
