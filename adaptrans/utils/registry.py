"""Named things that are looked up by users: types of tasks, formats, scores, methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from adaptrans.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects, with lazy targets and near-name suggestions.

    A target is the object itself or a string `module:attribute`, which is
    imported at the first lookup, so that listing names stays cheap.

    Args:
        noun: What the names stand for, used in messages.
        group: Group of entry points through which installed packages add names; None where they cannot.
        made: Makes the object of what a string names, at the first lookup; None where that is the object.

    Example:
        >>> metrics = Registry[object]("metric")
        >>> metrics.add("pi", "math:pi")
        >>> metrics["pi"], metrics.names()
        (3.141592653589793, ['pi'])
    """

    def __init__(self, noun: str, group: str | None = None, made: Callable[[Any], T] | None = None) -> None:
        self.noun = noun
        self._own: dict[str, T | str] = {}
        self._group = group
        self._made = made

    @property
    def _targets(self) -> dict[str, T | str]:
        """All targets, after what packages bring has been added once; their names do not replace ours."""
        group, self._group = self._group, None
        if group is None:
            return self._own
        # Imported here, since `--help` asks for nothing that packages bring and would wait for it.
        from importlib.metadata import entry_points

        for point in entry_points(group=group):
            self._own.setdefault(point.name, point.value)
        return self._own

    def add(self, name: str, target: T | str) -> None:
        """Register a target under a name that is still free.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self._own:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        self._own[name] = target

    def replace(self, name: str, target: T | str) -> None:
        """Register a target under a name, whatever it was before."""
        self._own[name] = target

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
            found = getattr(import_module(module), attribute)
            target = self._made(found) if self._made else cast(T, found)
            self._targets[name] = target
        return target

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._targets)
