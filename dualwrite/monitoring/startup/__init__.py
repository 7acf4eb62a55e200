"""Starting up: everything is looked at in order, and told with what mends it; requests are taken only then.

1. `steps` are the questions, in their order: live parameters, settings, databases, Redis, migrations, router, triggers,
   roles, identities, schedule.
2. `sequence` asks them one after another, each with a limit, and makes a report.
3. `gate`: a web process asks on a thread until nothing that blocks is left; `/readyz` says 503 until then.

A step *blocks* where a request would not be answered, or answered from wrong tables. The others are told and mended
while the registry serves: that the old store, Redis or the config service is away, or a trigger was damaged, is no
reason to refuse a reader; writes are refused by the engine itself where it must.

How it can fail, and the answer: a database says nothing → the limit of the step; the registry is away → what needs it
is not asked, and said so; what was missing comes → the next round finds it, nothing has to be started again.
"""

from dualwrite.monitoring.startup.gate import GATE, Gate
from dualwrite.monitoring.startup.sequence import Finding, Report, start_up

__all__ = ["GATE", "Finding", "Gate", "Report", "start_up"]
