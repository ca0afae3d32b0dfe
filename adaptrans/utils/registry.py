"""Named things that are looked up by users: kinds, formats, scores, methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Generic, TypeVar, cast

from adaptrans.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects, with lazy targets and near-name suggestions.

    A target is the object itself or a string `module:attribute`, which is
    imported at the first lookup, so that listing names stays cheap.

    Args:
        noun: What the names stand for, used in messages.

    Example:
        >>> metrics = Registry[object]("metric")
        >>> metrics.add("pi", "math:pi")
        >>> metrics["pi"], metrics.names()
        (3.141592653589793, ['pi'])
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._targets: dict[str, T | str] = {}

    def add(self, name: str, target: T | str) -> None:
        """Register a target under a name that is still free.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self._targets:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        self._targets[name] = target

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""

        def decorate(target: T) -> T:
            self.add(name, target)
            return target

        return decorate

    def __getitem__(self, name: str) -> T:
        try:
            target = self._targets[name]
        except KeyError:
            raise UnknownNameError(self.noun, name, self._targets) from None
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = cast(T, getattr(import_module(module), attribute))
            self._targets[name] = target
        return target

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._targets)
