"""Over which ways alerts reach people, and what was delivered. Secrets are in the environment, never here."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from dualwrite.models.alerts import Alert, Severity

#: Only variables made for this may be named: a row must not be able to send any other secret away.
VARIABLE = r"ALERT_[A-Z0-9_]+"


class AlertChannel(models.Model):
    """One way to reach people."""

    class Kind(models.TextChoices):
        """How it is reached."""

        EMAIL = "email", "e-mail"
        WEBHOOK = "webhook"
        LOG = "log"

    class Payload(models.TextChoices):
        """What a webhook is sent."""

        JSON = "json", "JSON of our own"
        ALERTMANAGER = "alertmanager", "Alertmanager, /api/v2/alerts"
        SLACK = "slack", "Slack, incoming webhook"

    name = models.TextField(unique=True)
    kind = models.TextField(choices=Kind.choices)
    address = models.TextField(
        default="",
        blank=True,
        help_text="E-mail addresses, separated by commas, or a URL; $ALERT_NAME: what that environment variable has.",
    )
    payload = models.TextField(choices=Payload.choices, default=Payload.JSON, help_text="Of a webhook.")
    secret_variable = models.TextField(
        default="",
        blank=True,
        validators=[RegexValidator(rf"^{VARIABLE}\Z", "ALERT_ and upper case.")],
        help_text="The environment variable, ALERT_..., that has the keys webhooks are signed with.",
    )
    least_severity = models.TextField(
        choices=Severity.choices, default=Severity.INFO, help_text="What is less urgent is not sent there."
    )
    enabled = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="Failed attempts in a row.")
    error = models.TextField(default="", editable=False, help_text="Why the last attempt failed.")
    delivered_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "dualwrite_alert_channel"
        verbose_name = "alert channel"
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="log") | ~Q(address=""),
                name="alert_channel_has_an_address",
                violation_error_message="An e-mail or webhook channel needs an address.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DeliveryState(models.TextChoices):
    """What became of a message."""

    DUE = "due"
    SENT = "sent"
    OVERTAKEN = "overtaken"  #: never sent, as a later message of the same alert says it all
    GIVEN_UP = "given_up", "given up"


class AlertDelivery(models.Model):
    """One message over one channel: that an alert fires, or that it is over."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="deliveries")
    event = models.TextField(help_text="The state it tells: firing or resolved.")
    state = models.TextField(choices=DeliveryState.choices, default=DeliveryState.DUE)
    attempts = models.PositiveIntegerField(default=0)
    made_at = models.DateTimeField(db_default=Now())
    next_at = models.DateTimeField(help_text="When it is tried, or tried again.")
    sent_at = models.DateTimeField(null=True)
    error = models.TextField(default="")

    class Meta:
        db_table = "dualwrite_alert_delivery"
        verbose_name = "delivery of an alert"
        verbose_name_plural = "deliveries of alerts"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["next_at"], condition=Q(state="due"), name="alert_delivery_due")]

    def __str__(self) -> str:
        return f"{self.event} over {self.channel_id}: {self.state}"
