"""What the engine keeps in the registry for people: the control row of a stream, parked keys, validation runs, audit.

Roles and epochs are not here: they stand in `dualwrite.stream_state` of each store, where the triggers read them.
"""

from typing import ClassVar

from django.db import models
from django.db.models.functions import MD5, Now

from dualwrite.stages import Stage


class StreamControl(models.Model):
    """Stage and intent of one stream, as operators set them."""

    stream = models.TextField(primary_key=True)
    stage = models.TextField(choices=[(s.value, s.value) for s in Stage], default=Stage.OFF.value)
    paused = models.BooleanField(default=False, help_text="The relay stands still; writes go on being noted.")
    held_because = models.TextField(
        default="", blank=True, help_text="Why the relay stopped by itself; empty when it did not."
    )
    brake_lifted_until = models.BigIntegerField(
        null=True, help_text="The newest note when an operator confirmed a mass delete; later ones are braked again."
    )
    brake_spent = models.BigIntegerField(default=0, help_text="Rows deleted on the mirror in the brake's window.")
    brake_since = models.DateTimeField(null=True, help_text="Since when the brake's window counts.")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "dualwrite_stream"
        verbose_name = "stream"
        permissions: ClassVar = [
            ("operate_stream", "Can enable, pause, resume, disable, advance and roll back streams"),
            ("force_stream", "Can do so although a gate is closed that may be overridden"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(stage__in=[s.value for s in Stage]), name="stage_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.stream}: {self.stage}"


class TransitionStatus(models.TextChoices):
    """How a transition ended."""

    RUNNING = "running"
    DONE = "done"
    TAKEN_BACK = "taken_back"  #: begun, and taken back: everything is as before
    REFUSED = "refused"  #: the gates were open, but it could not begin
    CRASHED = "crashed"  #: its process died, or it was broken off, before anything had come of it


class StageTransition(models.Model):
    """One step of a stream from a stage to the next or the one before; kept for ever."""

    stream = models.TextField(db_index=True)
    before = models.TextField(choices=[(s.value, s.value) for s in Stage])
    after = models.TextField(choices=[(s.value, s.value) for s in Stage])
    status = models.TextField(choices=TransitionStatus.choices, default=TransitionStatus.RUNNING)
    actor = models.TextField()
    reason = models.TextField(default="", blank=True)
    forced = models.BooleanField(default=False, help_text="Closed gates were overridden.")
    gates = models.JSONField(default=list, help_text="Every gate as it was found, with its evidence.")
    epoch = models.BigIntegerField(null=True, help_text="The epoch of the switch, where the authority moved.")
    stall_seconds = models.FloatField(null=True, help_text="How long writers had to wait.")
    error = models.TextField(default="", blank=True)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "dualwrite_transition"
        verbose_name = "stage transition"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["stream"], condition=models.Q(status=TransitionStatus.RUNNING), name="one_transition_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream}: {self.sentence}"

    @property
    def verb(self) -> str:
        """What the operator called it."""
        before, after = Stage(self.before), Stage(self.after)
        if before is Stage.OFF:
            return "enable"
        return "advance" if before.following is after else "rollback"

    @property
    def sentence(self) -> str:
        """The verb and both stages."""
        return f"{self.verb} {self.before} → {self.after}"


class ParkedKey(models.Model):
    """A key that could not be applied to the mirror, set aside so that the rest flows."""

    stream = models.TextField()
    key = models.TextField(help_text="The key fields as a JSON array.")
    error = models.TextField()
    sqlstate = models.TextField(default="", help_text="The mirror's code for it; empty when the relay refused the key.")
    record = models.JSONField(null=True, help_text="The authority's rows of this key when it was parked.")
    attempts = models.PositiveIntegerField(default=1)
    next_attempt_at = models.DateTimeField(
        null=True, help_text="When it is tried again by itself; empty: when it is written or redriven."
    )
    first_parked_at = models.DateTimeField(db_default=Now())
    last_parked_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "dualwrite_parked"
        verbose_name = "parked key"
        # By the hash: a key may be longer than an index entry can be.
        constraints: ClassVar = [models.UniqueConstraint("stream", MD5("key"), name="parked_once")]
        indexes: ClassVar = [models.Index(fields=["stream", "next_attempt_at"], name="parked_next_attempt")]

    def __str__(self) -> str:
        return f"{self.stream} {self.key}"


class Run(models.Model):
    """What is kept of everything that runs for long: who works on it, how far it is, whether it is to stop.

    `dualwrite.runs` writes these fields; `kind` names the lock and the command.
    """

    kind: ClassVar = ""
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


class ValidationStatus(models.TextChoices):
    """How a validation ended."""

    RUNNING = Run.RUNNING
    PASSED = "passed"  #: complete, nothing found
    WARNING = "warning"  #: differences within the thresholds, or keys that did not come to rest
    FAILED = "failed"  #: complete, more found than the thresholds allow
    ERROR = Run.ERROR  #: could not be completed, or could not prove anything
    SKIPPED = "skipped"  #: there was nothing to be compared, and nobody had asked for it
    CANCELLED = Run.CANCELLED  #: somebody asked it to stop


class ValidationRun(Run):
    """One comparison of both stores of a stream."""

    kind = "validation"

    status = models.TextField(choices=ValidationStatus.choices, default=ValidationStatus.RUNNING)
    level = models.TextField()
    scope = models.TextField(default="whole", help_text="The part of the stream that was compared.")
    configuration = models.JSONField(default=dict, help_text="What it was run with, and how it compared.")
    authority = models.TextField(default="")
    generation = models.BigIntegerField(null=True, help_text="The authority's capture generation it speaks about.")
    snapshots = models.JSONField(default=dict, help_text="When each store was looked at.")
    authority_rows = models.BigIntegerField(null=True)
    mirror_rows = models.BigIntegerField(null=True)
    matched = models.BigIntegerField(null=True)
    missing_in_mirror = models.BigIntegerField(default=0)
    extra_in_mirror = models.BigIntegerField(default=0)
    field_mismatch = models.BigIntegerField(default=0)
    unsettled = models.BigIntegerField(default=0)
    relay_stuck = models.BigIntegerField(default=0)
    fields = models.JSONField(default=dict, help_text="How many records differ in each field.")
    thresholds = models.JSONField(default=dict, help_text="The shares in percent that were tolerated.")
    violations = models.JSONField(default=list, help_text="The thresholds that were exceeded.")
    passed_thresholds = models.BooleanField(null=True)
    cut_short = models.TextField(default="", help_text="Why not everything was looked at; totals are estimates then.")
    seconds = models.FloatField(null=True)
    rows_per_second = models.FloatField(null=True)
    differences = models.JSONField(default=list, help_text="The first differing keys with both records.")
    rules = models.JSONField(default=list, help_text="What the stream's own rules found, beside any difference.")
    repair = models.JSONField(null=True, help_text="What was repaired, where that was asked for.")

    class Meta:
        db_table = "dualwrite_validation_run"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.stream} {self.level} {self.status}"

    @property
    def found(self) -> int:
        """Keys that differ, of whatever kind."""
        return self.missing_in_mirror + self.extra_in_mirror + self.field_mismatch + self.relay_stuck

    def rows_of(self, store: str) -> int | None:
        """Rows the run counted in that store."""
        return self.authority_rows if store == self.authority else self.mirror_rows


class Audit(models.Model):
    """Who changed what and why, in the registry. The database only lets rows be added."""

    at = models.DateTimeField()
    actor = models.TextField()
    role_name = models.TextField()
    verb = models.TextField()
    # NULL: about no stream in particular. The column is the database's own, not Django's.
    stream = models.TextField(null=True)  # noqa: DJ001
    reason = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    evidence = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = 'dualwrite"."audit'
        verbose_name_plural = "audit"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.at} {self.actor} {self.verb} {self.stream or ''}"
