"""Alerts as they are kept: rules, what they found and what became of it, and the evaluations themselves."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from dualwrite.models.measures import Measure


class Severity(models.TextChoices):
    """How urgent an alert is, the most urgent first."""

    CRITICAL = "critical"  #: somebody is to get up
    WARNING = "warning"  #: to be looked at today
    INFO = "info"

    def reaches(self, least: str) -> bool:
        """Whether it is at least as urgent as that."""
        order = list(Severity)
        return order.index(self) <= order.index(Severity(least))


class Comparison(models.TextChoices):
    """How a value stands to the threshold where it is bad."""

    ABOVE = "above"
    AT_LEAST = "at_least", "at least"
    BELOW = "below"
    AT_MOST = "at_most", "at most"

    def holds(self, value: float, threshold: float) -> bool:
        """Whether the value is bad."""
        return {
            Comparison.ABOVE: value > threshold,
            Comparison.AT_LEAST: value >= threshold,
            Comparison.BELOW: value < threshold,
            Comparison.AT_MOST: value <= threshold,
        }[self]


class AlertState(models.TextChoices):
    """What became of what a rule found."""

    PENDING = "pending"  #: bad, but not for as long as the rule wants
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"  #: somebody sees to it
    SILENCED = "silenced"  #: nobody is told until a moment
    RESOLVED = "resolved"

    @property
    def fires(self) -> bool:
        """Whether it has been told, and is not over."""
        return self in (AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.SILENCED)


class AlertRule(models.Model):
    """When somebody is told of what."""

    name = models.TextField(unique=True, validators=[RegexValidator(r"^[a-z][a-z0-9_]*\Z", "Lower case, with _.")])
    measure = models.TextField(choices=Measure.choices)
    comparison = models.TextField(choices=Comparison.choices, default=Comparison.ABOVE)
    threshold = models.FloatField(help_text="In the unit of what is measured; of yes and no, yes is 1.")
    for_seconds = models.PositiveIntegerField(default=0, help_text="So long it must be bad before it fires.")
    cool_down_seconds = models.PositiveIntegerField(
        default=300, help_text="So long it must be fine again before it is over; what comes and goes is told once."
    )
    severity = models.TextField(choices=Severity.choices, default=Severity.WARNING)
    runbook = models.TextField(help_text="The heading in docs/runbook.md, as in a link.")
    enabled = models.BooleanField(default=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "dualwrite_alert_rule"
        verbose_name = "alert rule"
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(comparison__in=Comparison.values), name="alert_comparison_is_known"),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="alert_severity_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """What a rule found of a subject, from when it was bad until it was fine again."""

    rule = models.ForeignKey(AlertRule, on_delete=models.PROTECT, related_name="alerts")
    subject = models.TextField(help_text="What it is about: a stream, a component, a policy, a channel, a rule.")
    state = models.TextField(choices=AlertState.choices)
    severity = models.TextField(choices=Severity.choices)
    value = models.FloatField(null=True, help_text="As it was measured last.")
    why = models.TextField(default="", help_text="What was measured, in words.")
    since = models.DateTimeField(help_text="Since when it is bad.")
    fired_at = models.DateTimeField(null=True)
    fine_since = models.DateTimeField(null=True, help_text="Since when it is fine again; it is over a cool-down later.")
    silenced_until = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "dualwrite_alert"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "subject"], condition=~Q(state="resolved"), name="one_open_alert_per_subject"
            ),
            models.CheckConstraint(condition=Q(state__in=AlertState.values), name="alert_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.rule.name} {self.subject}"


class AlertChange(models.Model):
    """One change of an alert's state: who, when and why. Kept as long as the alert."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField(db_default=Now())
    before = models.TextField(default="", blank=True, help_text="Empty where it began.")
    after = models.TextField(choices=AlertState.choices)
    by = models.TextField()
    reason = models.TextField()

    class Meta:
        db_table = "dualwrite_alert_change"
        verbose_name = "change of an alert"
        verbose_name_plural = "changes of alerts"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.after}"


class AlertEvaluation(models.Model):
    """The last evaluation, for all processes: one row. When it was, and what could not be measured."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()
    seconds = models.FloatField()
    samples = models.PositiveIntegerField(help_text="Values that were measured.")
    unknown = models.JSONField(default=list, help_text="What could not be measured, and why.")
    relayed = models.JSONField(default=dict, help_text="Keys relayed so far, by stream; the next ones count from here.")
    relayed_at = models.DateTimeField(help_text="When that was so.")

    class Meta:
        db_table = "dualwrite_alert_evaluation"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_alert_evaluation")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"
