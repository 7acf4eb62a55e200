"""The engine: moves streams of records from one store to another and keeps both equal. It knows nothing of instruments.

The flow, in the order of the data:

1. `stream` declares a table pair and its canonical record; an application does so in its `streams.py`.
2. `capture` installs triggers in both stores. A write, however made, notes its keys in the `outbox` of the store it
   was made in, in its own transaction.
3. `relay` reads noted keys, then their current records, makes the other store equal to them, then deletes the notes.
   A key that cannot be applied is parked (`parking`); the rest flows.
4. `validation` compares both stores; only a key that stays different with nothing pending is a difference.
5. `switch` holds the conditional updates of roles and epochs; `control` are the verbs operators use; each verb is one
   function, called alike by command, admin, endpoint and task.
6. `monitoring` reads all of it and tells.

What can go wrong, and what answers it, stands in docs/protocol.md.
"""
