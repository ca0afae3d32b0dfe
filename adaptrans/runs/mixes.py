"""What the tasks of one training run share, and who wrote their data. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.models.setup import Reference

ROUNDING = 1e-9

TEXT_KINDS = ("mlm",)
"""Kinds without labels."""

if TYPE_CHECKING:
    from adaptrans.runs.config import TrainingConfig
    from adaptrans.runs.specs import TrainSpec
    from adaptrans.tasks.schema import Task


def fitting(config: TrainingConfig, names: Sequence[str]) -> TrainingConfig:
    """The options with weights and shares by the names of the tasks of a mix.

    Args:
        config: The options; a task may be named without its languages where no other has its name.
        names: The tasks, as a setup names them.

    Raises:
        UnknownNameError: If a weight or a share is for a task that is not there.
        ConfigError: If a task has no weight, or the shares leave nothing for the others.
    """
    given = {"mixing_weights": config.mixing_weights, "mixing_shares": config.mixing_shares}
    found = {
        option: _by_name(option, values, names) for option, values in given.items() if values is not None
    }
    own = found.get("mixing_shares", {})
    if "mixing_weights" in found:
        for name in sorted(set(names) - found["mixing_weights"].keys() - own.keys()):
            raise ConfigError(f"mixing_weights has no weight for {name}", remedy="give every task one")
    total = sum(own.values())
    every = len(own) == len(set(names))
    if total > 1 + ROUNDING or (not every and total > 1 - ROUNDING):
        raise ConfigError(f"mixing_shares add up to {total:g}", remedy="leave some steps for the others")
    if every and total < 1 - ROUNDING:
        raise ConfigError(f"mixing_shares of all tasks add up to {total:g}, not 1", remedy="leave one out")
    return config.model_copy(update=found)


def _by_name(option: str, values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Values by the tasks as the setup names them."""
    found: dict[str, float] = {}
    for given, value in values.items():
        alike = [name for name in names if given in (name, name.partition("[")[0])]
        if len(alike) != 1:
            raise UnknownNameError(f"task in {option}", given, names)
        found[alike[0]] = value
    return found


def is_text(task: Task) -> bool:
    """Whether a task is plain text: trained on in every language that has some, and no target."""
    return task.kind in TEXT_KINDS


def selecting(parts: Sequence[TrainSpec]) -> list[bool]:
    """Which tasks' dev scores select the weights: those with a dev set, text only where no other has one."""
    labelled = any(part.has_dev and not is_text(part.task) for part in parts)
    return [part.has_dev and not (labelled and is_text(part.task)) for part in parts]


def head_places(parts: Sequence[TrainSpec]) -> tuple[int, ...]:
    """For each task the number of the task whose head it learns under: its own, or an earlier one.

    Tasks share a head if their files name the same one and they have the same kind and labels.
    """
    found: list[int] = []
    for number, part in enumerate(parts):
        alike = (place for place in found if part.task.shares_head(parts[place].task))
        found.append(next(alike, number))
    return tuple(found)


def provenance(parts: Sequence[TrainSpec]) -> dict[str, dict[str, list[str]]]:
    """Who wrote the training data, by task and language: `native`, `human`, `machine`; as far as known."""
    return {
        str(Reference(part.task.name, part.languages)): {
            language: list(found)
            for language in part.train_languages
            if (found := part.task.provenance_of("train", language))
        }
        for part in parts
    }
