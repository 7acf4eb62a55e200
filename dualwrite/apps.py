"""The engine as a Django application."""

from django.apps import AppConfig


class DualWriteConfig(AppConfig):
    """Finds every application's streams once all models are loaded, and has them checked."""

    name = "dualwrite"
    verbose_name = "Dual write"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Discover streams, enter the write service, register the system checks."""
        from dualwrite import checks, writing
        from dualwrite.retention import subject
        from dualwrite.stream import discover, write_by

        discover()
        subject.discover()
        write_by(writing.write)
        checks.register_all()
