"""Live configuration as it is kept: what operators set, what the config service said last, who changed what."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class ParameterOverride(models.Model):
    """A parameter as an operator set it; it counts before the environment."""

    name = models.TextField(primary_key=True)
    value = models.TextField()
    by = models.TextField()
    reason = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "dualwrite_parameter_override"
        verbose_name = "parameter override"
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


class ParameterKnown(models.Model):
    """What the config service last said of a parameter that was good; it counts while the service is away, too."""

    name = models.TextField(primary_key=True)
    value = models.TextField()
    since = models.DateTimeField(db_default=Now(), help_text="Since when it says so.")

    class Meta:
        db_table = "dualwrite_parameter_known"
        verbose_name = "value of the config service"
        verbose_name_plural = "values of the config service"
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


class ParameterChange(models.Model):
    """One change of a parameter, by an operator or the config service. Kept for ever."""

    at = models.DateTimeField(db_default=Now())
    name = models.TextField(db_index=True)
    origin = models.TextField()
    # NULL: that source said nothing. The column is the database's own, not Django's.
    before = models.TextField(null=True)  # noqa: DJ001
    after = models.TextField(null=True)  # noqa: DJ001
    by = models.TextField()
    reason = models.TextField(default="", blank=True)

    class Meta:
        db_table = "dualwrite_parameter_change"
        verbose_name = "change of a parameter"
        verbose_name_plural = "changes of parameters"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.name}: {self.before} → {self.after}"


class ConfigSource(models.Model):
    """How the config service is, for all processes: one row. It is a breaker: nobody asks again before `ask_at`."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    failures = models.PositiveIntegerField(default=0, help_text="Failed attempts in a row.")
    error = models.TextField(default="", help_text="Why the last attempt failed.")
    wrong = models.JSONField(default=dict, help_text="Values that are none, by parameter; the last good ones count.")
    asked_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True, help_text="Since when it answers, or does not.")
    ask_at = models.DateTimeField(db_default=Now(), help_text="When it is asked again.")

    class Meta:
        db_table = "dualwrite_config_source"
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="one_config_source")]

    def __str__(self) -> str:
        return self.error or "answers"
