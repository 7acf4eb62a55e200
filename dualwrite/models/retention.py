"""What is kept of retention: policies as operators edit them, holds, runs, backups, restores and drills."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from dualwrite.models.runs import Run


class RetentionPolicy(models.Model):
    """How long the rows of a table stay, and what becomes of those that are older.

    What an operator approved is kept beside it: a policy that differs from that does nothing until it is approved.
    """

    class Action(models.TextChoices):
        """What is done with a row that is old enough."""

        DELETE = "delete"
        ARCHIVE = "archive"
        MARK_INACTIVE = "mark_inactive"

    name = models.TextField(unique=True)
    table = models.TextField(help_text="A table that an application declared for retention.")
    action = models.TextField(choices=Action.choices)
    date = models.TextField(help_text="The date of the table that tells how old a row is; a row without one stays.")
    days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="For how long at least; empty: as the table's parameter says. The longest of both counts.",
    )
    conditions = models.JSONField(
        default=list,
        blank=True,
        help_text='Which rows only: a list such as [{"column": "action", "is": "in", "value": ["create"]}].',
    )
    batch_size = models.PositiveIntegerField(
        default=10_000, validators=[MinValueValidator(1)], help_text="Rows of one transaction."
    )
    backup = models.BooleanField(
        default=True, help_text="Whether a verified backup is made before. Rows are never deleted without one."
    )
    enabled = models.BooleanField(default=True)
    max_rows = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="More rows than these stop a run; empty: the parameter."
    )
    max_percent = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="More of the table than this share stops a run; empty: the parameter.",
    )
    window_begins = models.TimeField(null=True, blank=True, help_text="UTC. Scheduled runs work only from then on.")
    window_ends = models.TimeField(null=True, blank=True, help_text="UTC. Scheduled runs stop then, and go on later.")
    approved_hash = models.TextField(default="", blank=True, editable=False)
    approved_days = models.PositiveIntegerField(null=True, editable=False)
    approved_by = models.TextField(default="", blank=True, editable=False)
    approved_at = models.DateTimeField(null=True, editable=False)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "dualwrite_retention_policy"
        verbose_name = "retention policy"
        verbose_name_plural = "retention policies"
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [
            ("operate_retention", "Can plan, approve, execute, switch, hold, restore and drill"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(action__in=["delete", "archive", "mark_inactive"]), name="retention_action_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(action="delete") | Q(backup=True),
                name="retention_deletes_with_backup",
                violation_error_message="Rows are never deleted without a backup.",
            ),
            models.CheckConstraint(condition=Q(batch_size__gte=1), name="retention_batch_has_rows"),
            models.CheckConstraint(condition=Q(days__gte=1), name="retention_days_positive"),
            models.CheckConstraint(condition=Q(max_percent__range=(0, 100)), name="retention_percent_range"),
            models.CheckConstraint(
                condition=Q(window_begins__isnull=True, window_ends__isnull=True)
                | Q(window_begins__isnull=False, window_ends__isnull=False),
                name="retention_window_has_both_ends",
                violation_error_message="A window has a beginning and an end.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LegalHold(models.Model):
    """Rows that nothing may remove while it is in force: a whole table, or those that have a value.

    A trigger of the database makes whoever adds or changes one wait for the batch under way, so that nothing goes
    once it is committed.
    """

    table = models.TextField()
    name = models.TextField(
        default="", blank=True, help_text="What the value names, as the table declares it; empty: the whole table."
    )
    value = models.TextField(default="", blank=True)
    reason = models.TextField()
    by = models.TextField()
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, editable=False)
    released_by = models.TextField(default="", editable=False)
    released_because = models.TextField(default="", editable=False)

    class Meta:
        db_table = "dualwrite_legal_hold"
        verbose_name = "legal hold"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["table"], name="legal_hold_table")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(reason=""), name="legal_hold_has_a_reason"),
            models.CheckConstraint(
                condition=Q(name="", value="") | ~Q(name=""),
                name="legal_hold_value_has_a_name",
                violation_error_message="A value needs the name of what it is.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.name}={self.value}" if self.name else f"{self.table}, all of it"


class BackupState(models.TextChoices):
    """What a backup is good for."""

    VERIFIED = "verified"  #: read back after it was stored
    BROKEN = "broken"  #: a drill found that it cannot be restored
    EXPIRED = "expired"  #: past its period, and removed


class RetentionBackup(models.Model):
    """A verified backup. Its manifest in the storage tells its parts; here is what that cannot tell of itself."""

    policy = models.TextField()
    table = models.TextField()
    location = models.TextField(unique=True, help_text="Its folder in the backup storage.")
    manifest_sha256 = models.TextField()
    rows = models.BigIntegerField()
    bytes = models.BigIntegerField()
    state = models.TextField(choices=BackupState.choices, default=BackupState.VERIFIED)
    made_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    drilled_at = models.DateTimeField(null=True)
    finding = models.TextField(default="", help_text="What a drill found.")

    class Meta:
        db_table = "dualwrite_retention_backup"
        verbose_name = "backup"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.location


class RetentionState(models.TextChoices):
    """How far a run that executes has come; where it ended before complete, the next one goes on or begins anew."""

    PLANNED = "planned"  #: cutoff, policy and holds are frozen; nothing is stored
    EXPORTING = "exporting"  #: parts are being stored; without manifest they are nothing
    VERIFIED = "verified"  #: read back from the storage; nothing is removed yet
    DELETING = "deleting"  #: batches go, each in a transaction
    RECONCILED = "reconciled"  #: every row of the backup is accounted for
    COMPLETE = "complete"
    DISCARDED = "discarded"  #: broken off before it was verified; what it had stored is removed
    ABANDONED = "abandoned"  #: broken off while it removed rows, and not to be continued; its backup stays
    CONTINUED = "continued"  #: another run has taken it over


class RetentionStatus(models.TextChoices):
    """How a run ended."""

    RUNNING = Run.RUNNING
    PLANNED = "planned"  #: a dry run: it tells what would go
    COMPLETE = "complete"
    STOPPED = "stopped"  #: by its time window; the next one goes on
    REFUSED = "refused"  #: a brake held it before anything was removed
    SKIPPED = "skipped"
    ERROR = Run.ERROR
    CANCELLED = Run.CANCELLED


class RetentionRun(Run):
    """One run of one policy. `stream` names its table: one at a time is at work on it."""

    kind = "retention"
    about = "table"

    status = models.TextField(choices=RetentionStatus.choices, default=RetentionStatus.RUNNING)
    policy = models.TextField(db_index=True)
    state = models.TextField(choices=RetentionState.choices, default=RetentionState.PLANNED)
    dry_run = models.BooleanField(default=True)
    actor = models.TextField()
    reason = models.TextField(default="", blank=True)
    forced = models.BooleanField(default=False)
    frozen = models.JSONField(default=dict, help_text="The policy as it was when the run was planned.")
    policy_hash = models.TextField(default="")
    schema_hash = models.TextField(default="")
    cutoff = models.DateTimeField(null=True, help_text="Older rows go.")
    plan = models.JSONField(default=dict, help_text="What was found: rows, oldest, newest, examples, holds, warnings.")
    planned_rows = models.BigIntegerField(null=True)
    removed = models.BigIntegerField(null=True, help_text="Rows of the backup that are gone from the table.")
    changed = models.BigIntegerField(default=0, help_text="Rows that stayed, as they had changed since the export.")
    held = models.BigIntegerField(default=0, help_text="Rows that stayed, as a hold came meanwhile.")
    location = models.TextField(default="", help_text="The folder of its backup, from before the first file is stored.")
    backup = models.ForeignKey(RetentionBackup, null=True, on_delete=models.PROTECT, related_name="runs")
    stopped_because = models.TextField(default="")
    seconds = models.FloatField(null=True)

    class Meta:
        db_table = "dualwrite_retention_run"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.policy} {self.status}"


class RestoreRun(Run):
    """One restore of rows of a backup."""

    kind = "restore"
    about = "table"

    backup = models.ForeignKey(RetentionBackup, on_delete=models.PROTECT, related_name="restores")
    actor = models.TextField()
    reason = models.TextField(default="", blank=True)
    dry_run = models.BooleanField(default=False)
    asked = models.JSONField(default=dict, help_text="Which rows, and what becomes of those that are there.")
    found = models.BigIntegerField(null=True, help_text="Rows of the backup that were asked for.")
    restored = models.BigIntegerField(null=True)
    overwritten = models.BigIntegerField(null=True)
    skipped = models.BigIntegerField(null=True, help_text="Rows that were there already.")

    class Meta:
        db_table = "dualwrite_restore_run"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"restore of {self.backup_id} {self.status}"


class DrillRun(Run):
    """One drill: backups read back and restored into a temporary table. `stream` says which."""

    kind = "drill"
    about = "backups"

    actor = models.TextField()
    checked = models.JSONField(default=list, help_text="Each backup, and what was found.")

    class Meta:
        db_table = "dualwrite_drill_run"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"drill {self.status}"
