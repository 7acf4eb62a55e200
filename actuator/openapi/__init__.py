"""The description of every operation, from the same words that check requests.

`shapes` are the parts of JSON schemas, `operation` says of a view's method what it takes and answers, `bodies` checks a
body by that, `generate` puts roles, security and problems beside it for every view there is, of this package or not.

How it can fail, and the answer: the description says another thing than the code does → the same schema checks and is
shown, and every answer of the tests is held against it; the committed file grows old → a test writes it anew and
compares; a view of another package says less → what is common to all (problems, security, role) is added to it as well.
"""

from actuator.openapi.bodies import given
from actuator.openapi.operation import Answer, operation

__all__ = ["Answer", "given", "operation"]
