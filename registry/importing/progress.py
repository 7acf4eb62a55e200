"""Who is told how far an import has come."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
SAY_EVERY = 1000


class Steps(Protocol):
    """Whoever shows the progress."""

    def begin(self, label: str) -> None:
        """A step begins."""

    def at(self, done: int, total: int | None = None) -> None:
        """It has come this far."""


class Silent:
    """Shows nothing."""

    def begin(self, label: str) -> None:
        """A step begins."""

    def at(self, done: int, total: int | None = None) -> None:
        """It has come this far."""


def counted(items: Iterable[T], steps: Steps) -> Iterator[T]:
    """The items, saying now and then how many there were."""
    for number, item in enumerate(items, 1):
        yield item
        if number % SAY_EVERY == 0:
            steps.at(number)
