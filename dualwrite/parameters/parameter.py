"""A typed live parameter and where its value comes from.

The config service, then what an operator set, then the environment, then the default. The first two are read from
memory: `dualwrite.configuration` fills it, and keeps it fresh. So a value costs nothing, and never waits for anybody.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from dualwrite.exceptions import InvalidParameter, UnknownName

PREFIX = "INSTRUMENT_REGISTRY_"
T = TypeVar("T")


class Origin(StrEnum):
    """Where a value comes from, the first that has one."""

    CONFIG_SERVICE = "config-service"
    OVERRIDE = "override"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


@dataclass(frozen=True)
class Texts:
    """What the config service said last, and what operators set, by parameter."""

    remote: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)


class _Live:
    """The texts in force in this process. They are exchanged whole, so no reader sees half of a change."""

    texts = Texts()


def put(texts: Texts) -> None:
    """From now on these texts count."""
    _Live.texts = texts


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A value, where it comes from, and why what stood before it does not count."""

    value: T
    origin: Origin
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parameter(Generic[T]):
    """One parameter; `parse` turns text into a value or raises ValueError saying what is valid.

    careful: what becomes of the local and the remote value where the remote one may only make things more careful,
        e.g. `max` for a period that it may lengthen and not shorten.
    """

    name: str
    default: T
    parse: Callable[[str], T]
    meaning: str
    careful: Callable[[T, T], T] | None = None

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name

    @property
    def valid(self) -> str:
        """What is valid, in words; empty where any text is."""
        try:
            self.parse("")  # no parameter takes it, and each says why
        except ValueError as exc:
            return str(exc).removeprefix("valid: ")
        return ""

    def value(self) -> T:
        """The value in force; raises InvalidParameter for a text of the environment that is none."""
        return self.reading().value

    def reading(self) -> Reading[T]:
        """The same, with where it comes from. A wrong text of the first two sources changes nothing."""
        local = self._local()
        text = _Live.texts.remote.get(self.name)
        if text is None:
            return local
        try:
            remote = self.parse(text.strip())
        except ValueError as exc:
            return self._with(local, f"{Origin.CONFIG_SERVICE} says {text!r}; {exc}")
        chosen = self.careful(local.value, remote) if self.careful else remote
        if chosen != remote:
            return self._with(local, f"{Origin.CONFIG_SERVICE} says {text!r}, which would be less careful")
        return Reading(remote, Origin.CONFIG_SERVICE, local.faults)

    def read(self, text: str) -> T:
        """The value of a text; raises InvalidParameter."""
        try:
            return self.parse(text.strip())
        except ValueError as exc:
            raise InvalidParameter(f"{self.name} {text!r}; {exc}") from exc

    def _local(self) -> Reading[T]:
        text = _Live.texts.overrides.get(self.name)
        if text is None:
            return self._of_environment()
        try:
            return Reading(self.parse(text.strip()), Origin.OVERRIDE)
        except ValueError as exc:
            return self._with(self._of_environment(), f"{Origin.OVERRIDE} {text!r}; {exc}")

    def _of_environment(self) -> Reading[T]:
        text = os.environ.get(self.variable)
        if text is None or not text.strip():
            return Reading(self.default, Origin.DEFAULT)
        try:
            return Reading(self.parse(text.strip()), Origin.ENVIRONMENT)
        except ValueError as exc:
            raise InvalidParameter(f"{self.variable}={text!r}; {exc}") from exc

    @staticmethod
    def _with(found: Reading[T], fault: str) -> Reading[T]:
        return Reading(found.value, found.origin, (*found.faults, fault))


_registered: dict[str, Parameter[Any]] = {}


def register(*parameters: Parameter[Any]) -> None:
    """Let these be listed, asked for at the config service, and set by operators."""
    _registered.update({parameter.name: parameter for parameter in parameters})


def all_parameters() -> tuple[Parameter[Any], ...]:
    """Every registered parameter, by name."""
    return tuple(_registered[name] for name in sorted(_registered))


def parameter_named(name: str) -> Parameter[Any]:
    """The parameter of that name, with or without its prefix; raises UnknownName listing the valid ones."""
    plain = name.upper().removeprefix(PREFIX)
    if plain not in _registered:
        raise UnknownName("parameter", name, _registered)
    return _registered[plain]
