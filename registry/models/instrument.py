"""A tradable instrument."""

from typing import ClassVar

from django.contrib.postgres.functions import TransactionNow
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Collate, Concat

from registry.models import rules

COLON = Value(":", output_field=models.TextField())
KEY = Concat(F("exchange"), COLON, F("symbol"))


class Instrument(models.Model):
    """One instrument of one exchange, e.g. ``ETR:SAP``.

    ``instrument_key`` is ``exchange:symbol`` and never changes. ``mic`` is derived from the exchange code by
    the database when it is not given. ``lot_size`` counts units, ``tick_size`` is in ``currency``. Optional
    values are NULL when unknown.
    """

    class Type(models.TextChoices):
        """What kind of instrument it is; NULL when the source does not say."""

        EQUITY = "equity"
        FUND = "fund"
        INDEX = "index"
        BOND = "bond"
        DERIVATIVE = "derivative"
        OTHER = "other"

    # Optional text is NULL-able although Django advises against it (ruff DJ001): NULL and '' are different
    # values in the store these rows are mirrored from, and folding them would be a difference that validation
    # never stops reporting.
    instrument_key = models.TextField(primary_key=True)
    symbol = models.TextField()
    exchange = models.TextField()
    mic = models.TextField(null=True, blank=True)  # noqa: DJ001
    instrument_type = models.TextField(null=True, blank=True, choices=Type.choices)  # noqa: DJ001
    isin = models.TextField(null=True, blank=True)  # noqa: DJ001
    figi = models.TextField(null=True, blank=True)  # noqa: DJ001
    name = models.TextField(null=True, blank=True)  # noqa: DJ001
    currency = models.TextField(null=True, blank=True)  # noqa: DJ001
    country = models.TextField(null=True, blank=True)  # noqa: DJ001
    lot_size = models.DecimalField(max_digits=18, decimal_places=6, null=True, blank=True)
    tick_size = models.DecimalField(max_digits=18, decimal_places=8, null=True, blank=True)
    is_active = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    updated_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "instruments"
        ordering: ClassVar = ["instrument_key"]
        indexes: ClassVar = [
            models.Index(fields=["isin"], name="instruments_isin"),
            models.Index(fields=["figi"], name="instruments_figi", condition=Q(figi__isnull=False)),
            models.Index(fields=["symbol"], name="instruments_symbol"),
            # Pages go by the bytes of the key, in which both stores agree whatever their locales are.
            models.Index(Collate("instrument_key", "C"), name="instruments_by_key"),
            # What a search looks through: parts of words, and words that are nearly right.
            GinIndex(fields=["name", "symbol"], opclasses=["gin_trgm_ops", "gin_trgm_ops"], name="instruments_search"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(instrument_key=KEY),
                name="instruments_key_is_exchange_and_symbol",
                violation_error_message="instrument_key must be exchange:symbol.",
            ),
            models.CheckConstraint(
                condition=Q(instrument_type__in=["equity", "fund", "index", "bond", "derivative", "other"]),
                name="instruments_type_known",
                violation_error_message="instrument_type must be one of the listed types.",
            ),
            rules.matches("instruments", "exchange", rules.EXCHANGE, "capital letters and digits"),
            rules.matches("instruments", "symbol", rules.TRIMMED, "text without surrounding blanks"),
            rules.matches("instruments", "mic", rules.MIC, "four capital letters or digits"),
            rules.matches("instruments", "isin", rules.ISIN, "two letters, nine letters or digits, a digit"),
            rules.matches("instruments", "figi", rules.FIGI, "a 12 character FIGI"),
            rules.matches("instruments", "currency", rules.CURRENCY, "three capital letters"),
            rules.positive("instruments", "lot_size"),
            rules.positive("instruments", "tick_size"),
        ]

    def __str__(self) -> str:
        return self.instrument_key
