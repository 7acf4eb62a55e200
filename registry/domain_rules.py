"""What must be true of index memberships by themselves, whatever the other store has; and what they were before.

Validation looks at them after comparing the stores and tells what it finds apart from differences: a source with a
missing sector is no reason to doubt the mirror.
"""

from pathlib import Path

from dualwrite.parameters import Parameter, between, register
from dualwrite.sql import named_statements
from dualwrite.stream import Rule

WEIGHT_SUM_TOLERANCE = Parameter(
    "WEIGHT_SUM_TOLERANCE",
    0.5,
    between(0, 100, float),
    "how far, in percentage points, the weights of an index may be from 100 together",
)

register(WEIGHT_SUM_TOLERANCE)

_queries = named_statements(Path(__file__).parent / "sql" / "domain_rules.sql")

MEMBERSHIP_RULES = (
    Rule(
        "weights_sum_to_100",
        "the weights of an index sum to 100, when all its members have one",
        _queries["weights_sum_to_100"],
        {"tolerance": WEIGHT_SUM_TOLERANCE.value},
    ),
    Rule(
        "spells_do_not_overlap",
        "no instrument is twice in an index on a day",
        _queries["spells_do_not_overlap"],
    ),
    Rule(
        "membership_has_its_instrument",
        "each membership has its instrument",
        _queries["membership_has_its_instrument"],
    ),
    Rule("sector_known", "each membership has a sector", _queries["sector_known"]),
)

#: The spells of a membership, superseded and archived versions too.
MEMBERSHIP_HISTORY = _queries["membership_history"]
