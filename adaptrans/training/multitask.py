"""What each step of a run trains: batches of one task, or of several in turn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from adaptrans.data.batching import epoch_batches
from adaptrans.data.mixing import capped_sizes, schedule, shares, smooth_epoch, with_own
from adaptrans.modeling.model import SetupModel
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.task_types.base import TaskType

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor


class FrozenStates(Protocol):
    """Gives what the frozen layers below the first adapter compute, and answers above it."""

    def states(self, assembled: SetupModel, items: Sequence[int], batch: dict[str, Tensor]) -> Tensor:
        """What reaches the first adapter for some inputs."""

    def logits(self, assembled: SetupModel, batch: dict[str, Tensor]) -> Any:
        """What the head answers above the states of a batch."""


@dataclass(frozen=True)
class TrainingTask:
    """One task of a run.

    Args:
        name: The task as the setup names it.
        assembled: The model with the task's head; all tasks share the model.
        kind: Kind of the task.
        features: Encoded training data.
        example_ids: Ids of the examples, so that a failure names them.
        groups: Number of the language of each input, where languages are drawn by smoothed size.
        forward: What gives the logits of a batch; by default the model's own head.
        prefix: What gives the states below the first adapter, where they are not computed in every step.
    """

    name: str
    assembled: SetupModel
    kind: TaskType
    features: Dataset
    example_ids: Sequence[str]
    forward: Callable[[SetupModel, Any], Any] | None = None
    groups: Sequence[int] | None = None
    prefix: FrozenStates | None = None

    def logits(self, batch: Any) -> Any:
        """What the task's head answers to a batch."""
        forward = self.forward or (self.prefix.logits if self.prefix is not None else SetupModel.__call__)
        return forward(self.assembled, batch)


@dataclass(frozen=True)
class TrainingBatch:
    """What one step trains.

    Args:
        task: Number of the task.
        number: Number of the task's batch, from 0.
        items: The items of the batch.
    """

    task: int
    number: int
    items: list[int]


class Streams:
    """The batches of all tasks of a run, by step.

    The task of a step and its batch depend on seed, sizes and options alone, so that a place in the run is
    one number.

    Args:
        config: Batch size and mixing.
        seed: The run's seed.
    """

    def __init__(self, sources: Sequence[TrainingTask], config: TrainingConfig, seed: int) -> None:
        self.sources = tuple(sources)
        self.lengths: list[list[int]] = [source.features["length"][:] for source in sources]
        self._config = config
        self._seed = seed
        self._order: list[int] = []
        self._taken: Counter[int] = Counter()
        self._next = 0
        self._epochs: dict[int, tuple[int, list[list[int]]]] = {}

    @property
    def items(self) -> int:
        """Inputs of an epoch: those of all tasks, none counted beyond the cap.

        A task with a share of its own does not make it longer for the others: it adds what its share takes.
        """
        sizes, own = [len(lengths) for lengths in self.lengths], self._own
        if len(sizes) == 1:
            return sizes[0]
        capped = capped_sizes(sizes, self._config.mixing_cap)
        others = sum(size for size, share in zip(capped, own, strict=True) if share is None)
        return math.ceil(others / (1 - sum(filter(None, own)))) if others else sum(capped)

    @property
    def _own(self) -> list[float | None]:
        """The share of its own that each task has."""
        return [(self._config.mixing_shares or {}).get(source.name) for source in self.sources]

    @property
    def shares(self) -> list[float]:
        """How often each task is drawn."""
        config, number = self._config, len(self.sources)
        if number == 1:
            return [1.0]
        if config.mixing_weights is not None:
            weights = [config.mixing_weights.get(source.name, 0.0) for source in self.sources]
            found = [weight / sum(weights) for weight in weights]
        elif config.mixing == "uniform":
            found = [1 / number] * number
        else:
            sizes = [len(lengths) for lengths in self.lengths]
            found = shares(sizes, cap=config.mixing_cap, temperature=config.mixing_temperature)
        return with_own(found, self._own)

    def start(self, step: int, total: int) -> None:
        """Go to a step of a run of so many."""
        self._order = schedule(self.shares, total, seed=self._seed)
        self._taken = Counter(self._order[:step])
        self._next = step

    def take(self) -> TrainingBatch:
        """What the next step trains."""
        task = self._order[self._next]
        number = self._taken[task]
        self._taken[task] += 1
        self._next += 1
        return TrainingBatch(task, number, self._batch(task, number))

    def _batch(self, task: int, number: int) -> list[int]:
        size = self._config.batch_size
        per_epoch = -(-len(self.lengths[task]) // size)
        epoch, offset = divmod(number, per_epoch)
        if self._epochs.get(task, (None,))[0] != epoch:
            self._epochs[task] = (epoch, self._epoch(task, epoch))
        return self._epochs[task][1][offset]

    def _epoch(self, task: int, epoch: int) -> list[list[int]]:
        """The batches of an epoch of a task."""
        lengths, groups = self.lengths[task], self.sources[task].groups
        size, seed = self._config.batch_size, self._seed
        if groups is None:
            return epoch_batches(lengths, size, seed=seed, epoch=epoch)
        drawn = smooth_epoch(groups, self._config.language_smoothing, seed=seed, epoch=epoch)
        batches = epoch_batches([lengths[item] for item in drawn], size, seed=seed, epoch=epoch)
        return [[drawn[place] for place in batch] for batch in batches]
