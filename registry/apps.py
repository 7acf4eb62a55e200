"""The registry's Django application."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Label ``registry``: the tables of schema ``instrument_registry``."""

    name = "registry"
    label = "registry"
    verbose_name = "Instrument registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the API's live parameters be listed."""
        from registry.reading import parameters

        parameters.register_all()
