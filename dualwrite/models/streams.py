"""What is kept of the streams: stage and intent of each, its transitions, its parked keys, and who changed what."""

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
