"""Scheduled work: what runs when, once each time, and again when it broke.

The row of an occurrence (`TaskRun`) is the truth; a message to a worker is a nudge, which may come twice or never.

1. `entries` are the rows of the schedule a registry begins with; operators edit them in the admin.
2. `beat`, the scheduler: of several that run one schedules. Something is due → it writes the occurrence's row, whose
   name (`slot`) the row of the schedule gives, and sends the message.
3. `recorded`: a worker takes the lock of the task and the row, does the work, and closes the row.
4. `outcome` says from a result or an error how the attempt ended, and whether and when it is tried again.
5. `heal` is done every ten seconds: rows of dead workers are closed as crashed and their occurrences begun again, what
   nobody took is sent again, what nobody took in time is missed.
6. `rows` has the conditional updates by which all of that happens; `prune` forgets old rows every night.

How it can fail, and the answer:

* two schedulers → one has the seat, the others stand by; it dies → its lock goes with its session, and another one
  reads the schedule afresh. It sent and died before that was written down → the next one names the same slot, which
  exists;
* a message comes twice, or its worker died after the work → the row is taken or closed, and the second is refused;
* the same task is called by hand meanwhile → its lock is taken: refused, kept as such, and told in a line;
* the broker is away, or lost the message → the row waits, and is sent again;
* the worker is killed → the lock goes with its session; `heal` marks the row and begins the next attempt;
* it hangs → the limits of the task kill its process, which is the same;
* an attempt fails → it is tried again later and later, at most `ATTEMPTS` times and never past the next occurrence;
  several occurrences in a row failed → an alert;
* the registry is away → no row can be kept: the task runs all the same where it needs none (the health checks do not),
  and the scheduler goes on with what it knows if it had the seat.
"""
