"""What ran by schedule or by order: each occurrence of a task, attempt by attempt."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class TaskStatus(models.TextChoices):
    """How an attempt stands."""

    QUEUED = "queued", "queued: nobody has begun it yet"
    RUNNING = "running", "running"
    DONE = "done", "done"
    REFUSED = "refused", "refused: it was under way already"
    FAILED = "failed", "failed"
    CRASHED = "crashed", "crashed: its worker died"
    MISSED = "missed", "missed: nobody began it in time"


class TaskRun(models.Model):
    """One attempt at one occurrence of a task. `dualwrite.schedule` writes it; nothing else decides who may run.

    `slot` names the occurrence, such as the 17th of a row of the schedule; a slot has one attempt at a time.
    """

    task = models.TextField(help_text="The task's name.")
    schedule = models.TextField(default="", help_text="The periodic task it is an occurrence of; empty: an order.")
    slot = models.TextField(help_text="Which occurrence it is; each is completed once.")
    attempt = models.PositiveIntegerField(default=1)
    actor = models.TextField(help_text="Who or what asked for it.")
    reason = models.TextField(default="")
    message = models.JSONField(default=dict, help_text="What is sent to the workers: args, kwargs, queue.")
    status = models.TextField(choices=TaskStatus.choices, default=TaskStatus.QUEUED)
    queued_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now(), help_text="Not before; later than queued for one tried again.")
    sent_at = models.DateTimeField(null=True, help_text="When the workers were told last.")
    expires_at = models.DateTimeField(null=True, help_text="Not begun by then, it is not begun any more.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.TextField(default="", help_text="Host and process.")
    lock = models.TextField(default="", help_text="The name of the lock its worker holds while it lives.")
    backend = models.IntegerField(null=True, help_text="The session of the registry's server that holds the lock.")
    backend_start = models.DateTimeField(null=True, help_text="When that session began: its number is used again.")
    result = models.JSONField(null=True)
    sentence = models.TextField(default="", help_text="Why it is not done, or what is to be known about it.")

    class Meta:
        db_table = "dualwrite_task_run"
        verbose_name = "run of a task"
        verbose_name_plural = "runs of tasks"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["slot", "attempt"], name="task_run_once"),
            models.CheckConstraint(condition=models.Q(status__in=TaskStatus.values), name="task_run_status_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["task", "-id"], name="task_run_newest"),
            models.Index(fields=["schedule", "-id"], name="task_run_of_schedule"),
            models.Index(fields=["queued_at"], name="task_run_age"),
            models.Index(fields=["id"], name="task_run_open", condition=models.Q(status__in=["queued", "running"])),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.slot}"

    @property
    def seconds(self) -> float | None:
        """How long it took; None until it has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds(), 3)
