"""What an import may be asked for."""

from pathlib import Path

from django.conf import settings

from dualwrite.stages import Store
from dualwrite.stores import present
from registry.exceptions import ImportOptionError
from registry.exchanges import EXCHANGES, Exchange
from registry.importing.database import STORES


def default_rejects(source: Path) -> Path:
    """The file for rejected rows when none is named; raises ImportOptionError."""
    folder = settings.BASE_DIR / "var" / "rejects"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ImportOptionError(f"the folder {folder} for rejected rows cannot be made ({exc.strerror})") from exc
    return Path(folder / f"{source.stem}.csv")


def check_options(
    source: Path, target: Path, index: str | None, exchange: str | None, into: str | None
) -> Exchange | None:
    """The exchange of rows that name none; raises ImportOptionError, saying what is valid."""
    if into is not None and into not in STORES:
        raise ImportOptionError(f"--into {into!r}; valid are {', '.join(sorted(STORES))}")
    if into == Store.SCREENER and Store.SCREENER not in present():
        raise ImportOptionError("there is no screener store, as SCREENER_DATABASE_URL is none; valid: --into registry")
    if exchange is not None and exchange not in EXCHANGES:
        raise ImportOptionError(f"--exchange {exchange!r}; valid are {', '.join(EXCHANGES)}")
    if index is not None and (not index.strip() or index != index.strip() or not index.isprintable()):
        raise ImportOptionError(f"--index {index!r}; valid is any text without surrounding blanks")
    if source.resolve() == target.resolve():
        raise ImportOptionError(f"the rejects file {target} is the imported file itself")
    return EXCHANGES[exchange] if exchange else None
