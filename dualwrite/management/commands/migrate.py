"""`migrate`, under the account that owns the registry's schema where one is configured."""

from argparse import ArgumentParser

from django.core.management.commands import migrate
from django.db import connections

from dualwrite.stages import Store


class Command(migrate.Command):
    """Django's migrate with the owner's account as default."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """As Django's, with another default for --database."""
        super().add_arguments(parser)  # type: ignore[arg-type]
        if Store.REGISTRY.owner_alias in connections:
            parser.set_defaults(database=Store.REGISTRY.owner_alias)
