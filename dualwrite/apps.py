"""The engine as a Django application."""

from django.apps import AppConfig


class DualWriteConfig(AppConfig):
    """Finds every application's streams once all models are loaded, and has them checked."""

    name = "dualwrite"
    verbose_name = "Dual write"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Discover streams, register the system checks."""
        from dualwrite import checks
        from dualwrite.stream import discover

        discover()
        checks.register_all()
