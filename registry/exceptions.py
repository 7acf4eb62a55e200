"""What the domain refuses or cannot do. A class's docstring is its message, with a detail after a colon."""


class RegistryError(Exception):
    """The registry could not do this."""

    exit_code = 1

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        sentence = (type(self).__doc__ or "").strip()
        super().__init__(f"{sentence.rstrip('.')}: {detail}" if detail else sentence)


class ImportFileError(RegistryError):
    """The file cannot be imported."""

    exit_code = 2


class ImportOptionError(RegistryError):
    """The import was asked for wrongly."""

    exit_code = 2


class PlanChangedError(RegistryError):
    """The import would change something else by now, so nothing was written; look at it again."""


class StoreUnreachableError(RegistryError):
    """A database cannot be used."""

    exit_code = 3


class WriteRefusedError(RegistryError):
    """The database refused the import, nothing was written."""
