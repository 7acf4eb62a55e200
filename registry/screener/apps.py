"""The old store's Django application."""

from django.apps import AppConfig


class ScreenerConfig(AppConfig):
    """Label ``screener``: models of tables that another service owns; it has no migrations."""

    name = "registry.screener"
    label = "screener"
    verbose_name = "Screener (old store)"
    default_auto_field = "django.db.models.BigAutoField"
