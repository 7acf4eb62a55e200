"""`python -m ops.local.setup_stores`: the setting up that needs Django, in one process (Django loads slowly).

Migrates the registry, installs the engine in each store, makes the first admin user with ADMIN_PASSWORD.
Each step can be run again and changes nothing then.
"""

import os
import sys

import django
from django.core.management import CommandError, call_command

from ops.local import environment


def main() -> int:
    """Run every step. Returns the exit code of the first that fails, after its message on stderr."""
    django.setup()
    try:
        call_command("migrate", verbosity=0, interactive=False)
        for store in ("registry", "screener") if environment.has_old_store(os.environ) else ("registry",):
            call_command("dualwrite", "install", "--store", store)
    except CommandError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.returncode
    create_admin(os.environ["ADMIN_PASSWORD"])
    return 0


def create_admin(password: str) -> None:
    """The superuser `admin`, when there is no superuser at all: a password changed later is kept."""
    from django.contrib.auth import get_user_model  # only importable once Django is set up

    users = get_user_model().objects
    if not users.filter(is_superuser=True).exists():
        users.create_superuser("admin", password=password)


if __name__ == "__main__":
    sys.exit(main())
