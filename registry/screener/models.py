"""The old tables, unmanaged: no unique key, nulls nearly everywhere, as the old service left them."""

from typing import ClassVar

from django.db import models


class ScreenerInstrument(models.Model):
    """A row of the old ``instruments``; several may share an (exchange, symbol), and either may be null."""

    # DJ001 is waived throughout: the columns are another team's, and NULL differs from '' in them.
    symbol = models.TextField(null=True, blank=True)  # noqa: DJ001
    exchange = models.TextField(null=True, blank=True)  # noqa: DJ001
    name = models.TextField(null=True, blank=True)  # noqa: DJ001
    isin = models.TextField(null=True, blank=True)  # noqa: DJ001
    currency = models.TextField(null=True, blank=True)  # noqa: DJ001
    country = models.TextField(null=True, blank=True)  # noqa: DJ001
    # numeric without precision in the table; Django wants one, and only its forms use it.
    lot_size = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    tick_size = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        managed = False
        db_table = "instruments"
        ordering: ClassVar = ["exchange", "symbol", "id"]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"


class ScreenerIndexMembership(models.Model):
    """A row of the old ``index_memberships``: ``weight`` in percent, joined on ``effective_date``."""

    # DJ001 is waived for the reason given above.
    symbol = models.TextField(null=True, blank=True)  # noqa: DJ001
    exchange = models.TextField(null=True, blank=True)  # noqa: DJ001
    index_name = models.TextField(null=True, blank=True)  # noqa: DJ001
    weight = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    sector = models.TextField(null=True, blank=True)  # noqa: DJ001
    effective_date = models.DateField(null=True, blank=True)

    class Meta:
        managed = False
        db_table = "index_memberships"
        ordering: ClassVar = ["index_name", "exchange", "symbol", "id"]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol} in {self.index_name}"
