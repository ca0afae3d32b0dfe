"""Examples of a task as text and as the model sees them, and how long they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from adaptrans.task_types.base import Feature, Input
from adaptrans.tasks.schema import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

UNCUT = 1_000_000
"""A maximum length that nothing reaches, to see how long examples are."""


@dataclass(frozen=True)
class Shown:
    """One example.

    Args:
        id: Its id.
        fields: Its texts and references, by field.
        inputs: What the model gets for it.
    """

    id: str
    fields: dict[str, Any]
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Lengths:
    """How many sub-words examples have, special tokens included, before anything is cut.

    Args:
        examples: Number of examples measured.
        median: Half of them are at most this long.
        percentile_95: 95 % of them are at most this long.
        longest: The longest.
        max_length: The task's maximum length.
        longer: How many are longer than it.
        then: What happens to those.
        bins: Lengths from, to (inclusive) and the number of examples, in order.
    """

    examples: int
    median: int
    percentile_95: int
    longest: int
    max_length: int
    longer: int
    then: str
    bins: tuple[tuple[int, int, int], ...]

    @property
    def share_longer(self) -> float:
        """Share of the examples that are longer than the maximum length, between 0 and 1."""
        return self.longer / self.examples if self.examples else 0.0


def shown(
    task: Task, examples: Sequence[Any], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> list[Shown]:
    """Examples with their fields and the inputs the model gets for them in training.

    Args:
        task: The task.
        examples: A few of its examples.
        tokenizer: The backbone's tokenizer.
        max_length: Sub-words per input.
    """
    examples = [example.shortened() for example in examples]
    # Running text is joined to blocks in training; here each example is shown alone.
    features = task.type.encode(examples, tokenizer, task, max_length, not task.type.plain_text)
    found = []
    for index, example in enumerate(examples):
        own = [feature for feature in features if feature["example"] == index]
        fields = {key: value for key, value in asdict(example).items() if key != "id"}
        found.append(Shown(example.id, fields, tuple(task.type.preview(example, own, tokenizer, task))))
    return found


def lengths(
    task: Task,
    examples: Sequence[Any],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    tick: Callable[[int], None] = lambda done: None,
) -> Lengths:
    """Measure examples, each by its longest input.

    Args:
        task: The task.
        examples: Examples, one or more.
        tokenizer: The backbone's tokenizer.
        max_length: Sub-words per input.
        tick: Called with the number of examples measured.
    """
    longest: list[int] = []
    for start in range(0, len(examples), 500):
        part = examples[start : start + 500]
        of_part = [0] * len(part)
        for feature in task.type.encode(part, tokenizer, task, UNCUT, False):
            of_part[feature["example"]] = max(of_part[feature["example"]], *_sizes(feature))
        longest += of_part
        tick(len(longest))
    ordered = sorted(longest)
    return Lengths(
        examples=len(ordered),
        median=ordered[(len(ordered) - 1) // 2],
        percentile_95=ordered[math.ceil(0.95 * len(ordered)) - 1],
        longest=ordered[-1],
        max_length=max_length,
        longer=sum(length > max_length for length in ordered),
        then=task.type.too_long,
        bins=histogram(ordered),
    )


def histogram(values: Sequence[int], most: int = 12) -> tuple[tuple[int, int, int], ...]:
    """Bins of equal width, a power of two of 4 or more, that cover all values.

    Args:
        values: Lengths, one or more.
        most: Most bins there may be.

    Returns:
        First and last length of a bin and how many values are in it.

    Example:
        >>> histogram([3, 5, 9], most=3)
        ((0, 3, 1), (4, 7, 1), (8, 11, 1))
    """
    width = 4
    while max(values) // width - min(values) // width >= most:
        width *= 2
    first = min(values) // width
    counts = [0] * (max(values) // width - first + 1)
    for value in values:
        counts[value // width - first] += 1
    return tuple(
        ((first + place) * width, (first + place + 1) * width - 1, count)
        for place, count in enumerate(counts)
    )


def _sizes(feature: Feature) -> list[int]:
    """Tokens of every row of a feature."""
    rows = feature.get("input_ids")
    if rows is None:
        return [feature["length"]]
    return [len(row) for row in rows] if rows and isinstance(rows[0], list) else [len(rows)]
