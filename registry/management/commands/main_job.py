"""`main_job`: import the real data, move it to the registry, prove both stores equal."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.progress import Steps
from dualwrite.management.render import table
from registry import mainjob
from registry.exceptions import RegistryError

NOTHING = (
    "There is no old store, so there is nothing to move; `manage.py import_constituents` imports into the registry."
)
NEXT = """Try next:
  ./run manage dualwrite status
  ./run manage run_validation --level strict
while ./run is up, a write of the old service and where it arrives:
  ./run psql screener -c "UPDATE index_memberships SET weight = 7.5 WHERE symbol = 'AAPL'"
  ./run psql registry -c "SELECT * FROM index_memberships WHERE weight = 7.5\""""


class Command(OperatorCommand):
    """Exit code 0 only when every stream converged."""

    help = __doc__ or ""

    def run(self, options: dict[str, Any]) -> int:
        """Run the job and show one table."""
        try:
            with Steps() as steps:
                job = mainjob.run(actor(options), steps)
        except RegistryError as exc:
            raise CommandError(str(exc), returncode=exc.exit_code) from exc
        self.answer(options, job.as_data(), _text(job))
        return 0 if job.converged else 1


def _text(job: mainjob.MainJob) -> str:
    if not job.moves:
        return NOTHING
    imports = table(
        ["file", "read", "accepted", "unchanged", "rejected", "rejected rows in"],
        [
            [Path(r.file).name, r.read, r.accepted, r.unchanged, r.rejected, os.path.relpath(r.rejects_path)]
            for r in job.imports
        ],
    )
    streams = table(
        ["stream", "screener", "registry", "relayed", "parked", "verdict", "seconds"],
        [[s.name, s.screener_rows, s.registry_rows, s.relayed, s.parked, s.verdict, s.seconds] for s in job.streams],
    )
    end = "Every stream converged" if job.converged else "NOT every stream converged"
    return f"{imports}\n\n{streams}\n\n{end} in {job.seconds} s.\n\n{NEXT}"
