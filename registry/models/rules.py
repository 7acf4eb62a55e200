"""CHECK constraints the registry's tables share: well-formed values as PostgreSQL regular expressions."""

from django.db.models import CheckConstraint, Q

# No blank at either end and no control character inside: two keys that look the same must be the same.
TRIMMED = r"^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$"
EXCHANGE = r"^[A-Z0-9]+$"
INSTRUMENT_KEY = r"^[A-Z0-9]+:[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$"
MIC = r"^[A-Z0-9]{4}$"
CURRENCY = r"^[A-Z]{3}$"
ISIN = r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$"
FIGI = r"^[B-DF-HJ-NP-TV-Z]{2}G[B-DF-HJ-NP-TV-Z0-9]{8}[0-9]$"


def matches(table: str, column: str, pattern: str, valid: str) -> CheckConstraint:
    """A constraint ``{table}_{column}_format``: null, or matching the pattern; ``valid`` describes it."""
    return CheckConstraint(
        condition=Q(**{f"{column}__regex": pattern}),
        name=f"{table}_{column}_format",
        violation_error_message=f"{column} must be {valid}.",
    )


def positive(table: str, column: str) -> CheckConstraint:
    """A constraint ``{table}_{column}_positive``: the column is null or greater than zero."""
    return CheckConstraint(
        condition=Q(**{f"{column}__gt": 0}),
        name=f"{table}_{column}_positive",
        violation_error_message=f"{column} must be greater than zero.",
    )
