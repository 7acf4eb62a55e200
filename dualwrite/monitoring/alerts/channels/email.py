"""By e-mail, through Django's mail: EMAIL_URL says which server."""

from smtplib import SMTPException

from django.core.mail import EmailMessage

from dualwrite.monitoring.alerts.channels.message import Message, Way
from dualwrite.monitoring.alerts.exceptions import NotDelivered


def send(way: Way, message: Message) -> None:
    """Hand it to the mail server; raises NotDelivered."""
    to = [address for address in map(str.strip, way.address.split(",")) if address]
    try:
        EmailMessage(message.title, message.text, to=to).send()
    except (SMTPException, OSError, ValueError) as exc:
        # An address may come from the environment, and some of these errors repeat it.
        raise NotDelivered(f"the mail server did not take it ({type(exc).__name__})") from exc
