"""Benchmarks of the engine against its limits: `python -m benchmarks NAME [--rows N] [--rounds N] [--json]`.

The flow, in the order of the data:

1. `databases` makes two databases of its own on the servers of the environment, and drops them at the end;
2. `capture` and `relay` fill them and declare their cases: what is measured, and which of them are compared;
3. `harness` runs the cases in turn, round by round, and compares only what ran in the same round, since the same
   code runs at different speeds in different minutes;
4. `report` prints it. Exit code 0: every goal is met; 1: one is missed; 3: it could not be measured.
"""
