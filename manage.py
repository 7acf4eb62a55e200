#!/usr/bin/env python
"""Django's command line for the instrument registry; `./run manage` calls it with the environment set."""

from dualwrite.management import began  # noqa: F401, I001 - first, as it takes the time

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility, get_commands
from django.core.management.base import BaseCommand

USAGE = 2


class CommandLine(ManagementUtility):
    """Django's, which ends with 1 for a command that does not exist: here that is usage, and what is valid is named."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """The command of that name; ends the process when there is none."""
        if subcommand not in get_commands() and settings.INSTALLED_APPS:  # wrong settings hide the project's commands
            print(f"No command {subcommand!r}; valid: {', '.join(sorted(get_commands()))}", file=sys.stderr)
            raise SystemExit(USAGE)
        return super().fetch_command(subcommand)


def main() -> None:
    """Run one management command; a wrong setting is one sentence and exit code 2, never a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        CommandLine(sys.argv).execute()
    except ImproperlyConfigured as exc:
        print(f"Configuration: {exc}", file=sys.stderr)
        raise SystemExit(USAGE) from None


if __name__ == "__main__":
    main()
