"""Examples of a task as text and as the model sees them, and how long they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from adaptrans.task_types.base import TASK_TYPES, Feature
from adaptrans.task_types.tensors import IGNORED
from adaptrans.utils.registry import Registry

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task

UNCUT = 1_000_000
"""A maximum length that nothing reaches, to see how long examples are."""

POOL = 3
"""Sentences of the other corpus that are shown with the first example of a task that mines pairs."""

TOO_LONG = {
    "tagging": "go on in a further input, from a word's beginning",
    "span_qa": "are read in several windows",
    "span_qa_null": "are read in several windows",
    "mlm": "go on in a further input",
}
"""What happens to examples over the maximum length; those of other kinds are cut."""

JOINED = ("mlm",)
"""Kinds that join examples to one input in training; here each is shown alone."""


@dataclass(frozen=True)
class Input:
    """One row of tokens that the model gets.

    Args:
        tokens: The tokens, special ones included.
        labels: A label per token, empty where none is learnt or scored; None for kinds without.
        span: First and last token of the gold answer, None where this input does not hold it.
        note: What this input is for, such as the choice it holds.
    """

    tokens: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    span: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """One example.

    Args:
        id: Its id.
        fields: Its texts and gold values, by field.
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


Show: TypeAlias = Callable[[Any, Sequence[Feature], "PreTrainedTokenizerFast", "Task"], list[Input]]
"""(example, its features, tokenizer, task) to what the model gets."""

SHOWS: Registry[Show] = Registry("kind")


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
    examples = [_short(example) for example in examples]
    features = TASK_TYPES[task.kind].encode(examples, tokenizer, task, max_length, task.kind not in JOINED)
    known = task.kind in SHOWS
    show = SHOWS[task.kind] if known else _tokens_only
    found = []
    for index, example in enumerate(examples):
        own = [feature for feature in features if feature["example"] == index]
        fields = {key: value for key, value in asdict(example).items() if key != "id"}
        found.append(Shown(example.id, fields, tuple(show(example, own, tokenizer, task))))
    return found


def _short(example: Any) -> Any:
    """An example without most of the sentences it brings along, of which there are thousands."""
    return replace(example, pool=example.pool[:POOL]) if getattr(example, "pool", ()) else example


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
    kind = TASK_TYPES[task.kind]
    longest: list[int] = []
    for start in range(0, len(examples), 500):
        part = examples[start : start + 500]
        of_part = [0] * len(part)
        for feature in kind.encode(part, tokenizer, task, UNCUT, False):
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
        then=TOO_LONG.get(task.kind, "are cut"),
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


def _tokens(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> tuple[str, ...]:
    return tuple(tokenizer.convert_ids_to_tokens(list(ids)))


def _tokens_only(
    example: Any,  # noqa: ARG001
    features: Sequence[Feature],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
) -> list[Input]:
    """Tokens alone, for kinds that say nothing of their own."""
    found = []
    for feature in features:
        ids = feature.get("input_ids") or []
        rows: Iterable[Sequence[int]] = ids if ids and isinstance(ids[0], list) else [ids]
        found += [Input(_tokens(tokenizer, row)) for row in rows]
    return found


@SHOWS.register("classification")
def _classification(
    example: Any, features: Sequence[Feature], tokenizer: PreTrainedTokenizerFast, task: Task
) -> list[Input]:
    note = "no label" if example.label is None else f"label {example.label}"
    return [Input(found.tokens, note=note) for found in _tokens_only(example, features, tokenizer, task)]


@SHOWS.register("tagging")
def _tagging(
    example: Any,  # noqa: ARG001
    features: Sequence[Feature],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,
) -> list[Input]:
    found = []
    for feature in features:
        labels = tuple("" if tag == IGNORED else task.labels[tag] for tag in feature["token_labels"])
        found.append(Input(_tokens(tokenizer, feature["input_ids"]), labels=labels))
    return found


@SHOWS.register("span_qa")
def _span_qa(
    example: Any,
    features: Sequence[Feature],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
) -> list[Input]:
    found = []
    for number, feature in enumerate(features, start=1):
        tokens = _tokens(tokenizer, feature["input_ids"])
        # Position 0 stands for "not in this window".
        inside = feature["start"] > 0
        note = f"window {number} of {len(features)}"
        if not inside:
            note += ", the answer is not in it" if any(a.text for a in example.answers) else ", no answer"
        span = (feature["start"], feature["end"]) if inside else None
        found.append(Input(tokens, span=span, note=note))
    return found


SHOWS.add("span_qa_null", _span_qa)


@SHOWS.register("multiple_choice")
def _multiple_choice(
    example: Any,
    features: Sequence[Feature],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
) -> list[Input]:
    return [
        Input(_tokens(tokenizer, row), note=f"choice {number}{', right' if number == example.label else ''}")
        for feature in features
        for number, row in enumerate(feature["input_ids"])
    ]


def _bitext(
    example: Any,  # noqa: ARG001
    features: Sequence[Feature],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
) -> list[Input]:
    return [
        Input(_tokens(tokenizer, feature["input_ids"]), note="English" if feature["side"] else "the language")
        for feature in features
    ]


SHOWS.add("bitext_retrieval", _bitext)
SHOWS.add("bitext_mining", _bitext)


@SHOWS.register("mlm")
def _text(
    example: Any,  # noqa: ARG001
    features: Sequence[Feature],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
) -> list[Input]:
    from adaptrans.task_types.masked_lm import masked

    found = []
    for feature in features:
        seen, hidden = masked(feature)
        pieces = _tokens(tokenizer, feature["input_ids"])
        labels = tuple(piece if guessed else "" for piece, guessed in zip(pieces, hidden, strict=True))
        found.append(Input(_tokens(tokenizer, seen.tolist()), labels=labels))
    return found


@SHOWS.register("passage_ranking")
def _ranking(
    example: Any, features: Sequence[Feature], tokenizer: PreTrainedTokenizerFast, task: Task
) -> list[Input]:
    sides = [name for name in ("query", "passage") if getattr(example, name) is not None]
    inputs = _tokens_only(example, features, tokenizer, task)
    return [replace(found, note=side) for found, side in zip(inputs, sides, strict=True)]
