"""An error as a line of the log may have it: without a value of a record, which a server's sentence may repeat."""

import psycopg
from django.db import Error as DatabaseError

from dualwrite.exceptions import first_line

#: Classes of SQLSTATE that are about values: data, constraints, what a trigger raised.
OF_VALUES = ("22", "23", "P0")


def said(exc: BaseException) -> str:
    """The first line of the error; of a server that did not take a value, only what kind of error it is."""
    cause = exc.__cause__ if isinstance(exc, DatabaseError) else exc
    if isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith(OF_VALUES):
        return f"{type(cause).__name__} ({cause.sqlstate})"
    return first_line(exc)
