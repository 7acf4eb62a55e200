"""The engine as a Django application."""

from django.apps import AppConfig


class DualWriteConfig(AppConfig):
    """Finds every application's streams once all models are loaded."""

    name = "dualwrite"
    verbose_name = "Dual write"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Discover streams."""
        from dualwrite.stream import discover

        discover()
