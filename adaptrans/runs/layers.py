"""Options from several places, and which place each value came from. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from adaptrans.runs.config import Config, layered

DEFAULT = "default"
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Layer:
    """Options that stand in one place.

    Args:
        origin: The place, in words.
        values: The options; None counts as not given.
    """

    origin: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved(Generic[Config]):
    """A configuration and where each of its values came from.

    Args:
        config: The options.
        origins: Place of each option that is not a default, by name.
    """

    config: Config
    origins: Mapping[str, str]

    def origin(self, name: str) -> str:
        """Where an option came from."""
        return self.origins.get(name, DEFAULT)


def resolve(model: type[Config], layers: Sequence[Layer], where: str) -> Resolved[Config]:
    """One configuration from layers of options, later ones winning.

    Args:
        model: What they are options of.
        layers: The layers.
        where: What the options belong to, for messages.

    Raises:
        UnknownNameError: If an option does not exist; the nearest is suggested.
        ConfigError: If a value is impossible; names the field and what is allowed.

    Example:
        >>> from adaptrans.runs.config import TrainingConfig
        >>> file = Layer("file", {"epochs": 5, "batch_size": 8})
        >>> found = resolve(TrainingConfig, [file, Layer("command line", {"epochs": 1})], "training")
        >>> found.config.epochs, found.origin("epochs"), found.origin("batch_size"), found.origin("clip")
        (1.0, 'command line', 'file', 'default')
    """
    origins = {
        name: layer.origin for layer in layers for name, value in layer.values.items() if value is not None
    }
    return Resolved(layered(model, *(layer.values for layer in layers), where=where), origins)
