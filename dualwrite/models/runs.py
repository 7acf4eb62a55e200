"""What every long run has in its row."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class Run(models.Model):
    """What is kept of everything that runs for long: who works on it, how far it is, whether it is to stop.

    `dualwrite.runs` writes these fields; `kind` names the lock and the command.
    """

    kind: ClassVar = ""
    #: What the column `stream` names: what one run at a time is at work on.
    about: ClassVar = "stream"
    #: The statuses that run control itself gives; how a run came out is its own affair.
    RUNNING, ERROR, CANCELLED = "running", "error", "cancelled"

    stream = models.TextField(db_index=True)
    status = models.TextField(default=RUNNING)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    error = models.TextField(default="", help_text="Why it did not come to an end, or what is to be known about it.")
    owner = models.TextField(default="", help_text="Host and process that work on it.")
    backend = models.IntegerField(null=True, help_text="The session of the registry's server that holds its lock.")
    backend_start = models.DateTimeField(null=True, help_text="When that session began: its number is used again.")
    progress = models.JSONField(default=dict, help_text="How far it is; written every second.")
    cancel_asked_by = models.TextField(default="", help_text="Who asked it to stop.")
    resumes = models.BigIntegerField(null=True, help_text="The run that this one does again.")

    class Meta:
        abstract = True
