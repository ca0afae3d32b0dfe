"""Choose the best of a few continuations (COPA, CommonsenseQA, HellaSwag, ...)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from adaptrans.task_types.base import (
    Batch,
    Feature,
    Level,
    Recipe,
    TaskSettings,
    TaskType,
    answer_text,
    best_of,
    uneven,
)
from adaptrans.task_types.inputs import IGNORED, cut_to, padded_inputs, summed_cross_entropy
from adaptrans.task_types.rows import Example, Prefixes, RowError, Rules, label_field, text_field

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class MultipleChoiceExample(Example):
    """A prompt and its candidate continuations; `label` is the index of the right one."""

    id: str
    prompt: str
    choices: tuple[str, ...]
    label: int | None

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the prefix before the prompt and before each choice."""
        choices = tuple(prefixes.text + choice for choice in self.choices)
        return replace(self, prompt=prefixes.text + self.prompt, choices=choices)

    def changed(self, change: Callable[[str, str], str]) -> Self:
        """The prompt is the premise."""
        choices = tuple(change("choice", choice) for choice in self.choices)
        return replace(self, prompt=change("premise", self.prompt), choices=choices)

    @property
    def number_of_choices(self) -> int:
        """How many there are."""
        return len(self.choices)

    def reordered(self, order: Sequence[int]) -> Self:
        """With its choices in another order, given as the places that they have now; the label moves
        along."""
        label = None if self.label is None else list(order).index(self.label)
        return replace(self, choices=tuple(self.choices[place] for place in order), label=label)


def shuffled(key: str, number: int) -> list[int]:
    """The places of so many choices in an order that a text fixes.

    Example:
        >>> shuffled("1", 4), shuffled("1", 4) == shuffled("1", 4), sorted(shuffled("2", 4))
        ([3, 1, 2, 0], True, [0, 1, 2, 3])
    """
    hashes = [hashlib.blake2b(f"{place}:{key}".encode(), digest_size=8).digest() for place in range(number)]
    return sorted(range(number), key=hashes.__getitem__)


def _marked(raw: Any, choices: int) -> Any:
    """The place of the 1 in a list of a 0 or 1 per choice; what is no list stays as it is.

    Raises:
        RowError: If it has another length, or not exactly one 1.
    """
    if not isinstance(raw, list | tuple):
        return raw
    if len(raw) != choices:
        raise RowError(f"the label marks {len(raw)} choices, there are {choices}")
    right = [place for place, mark in enumerate(raw) if mark == 1]
    if len(right) != 1 or any(mark not in (0, 1) for mark in raw):
        raise RowError("the label is a list, which must hold one 1 and otherwise 0")
    return right[0]


class MultipleChoice(TaskType):
    """One of a few ways to go on from a prompt."""

    name = "multiple_choice"
    title = "Multiple choice"
    required = ("prompt", "choices", "label")
    optional = ("shuffle_by",)
    reference_fields = ("label", "shuffle_by")
    text_field = "prompt"
    head = "multiple_choice"
    text_roles = ("premise", "choice")
    takes_prefix = ("text",)
    rows_per_input = 2
    one_label = True
    scores = ("accuracy",)
    layout = "choices"
    pipeline = "multiple-choice"

    recipe = Recipe(
        lambda own: {"inputs": "prompt, choice", "truncation": "longest_first"},
        answer_text("multiple_choice"),
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> MultipleChoiceExample:
        """A prompt with two or more choices and the index of the right one.

        A label may also be a list that holds 1 at the place of the right choice and 0 at the others. With
        `shuffle_by` the choices get an order that depends on this text and their number alone, for data that
        always have the right one in the same place.
        """
        raw = fields.get("choices")
        if not isinstance(raw, list | tuple) or len(raw) < 2:
            raise RowError("a row needs at least two choices")
        if not all(isinstance(choice, str) for choice in raw):
            raise RowError("a choice is not a text")
        choices = tuple(choice.strip() for choice in raw)
        label = label_field(_marked(fields.get("label"), len(choices)), rules)
        if label is not None:
            try:
                label = int(label)
            except ValueError:
                how = f"say which it is in the task file, as label_map: {{{label}: 0}}"
                raise RowError(f'label "{label}" is not the number of a choice; {how}') from None
            if not 0 <= label < len(choices):
                raise RowError(f"label {label} does not name one of {len(choices)} choices")
        if fields.get("shuffle_by") is not None:
            order = shuffled(str(fields["shuffle_by"]), len(choices))
            choices = tuple(choices[place] for place in order)
            label = None if label is None else order.index(label)
        return MultipleChoiceExample(id, text_field(fields, "prompt"), choices, label)

    def encode(
        self,
        examples: Sequence[MultipleChoiceExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per example with a row of ids per choice; the longer of both texts is cut first."""
        texts = [(example.prompt, choice) for example in examples for choice in example.choices]
        rows = cut_to(tokenizer, texts, max_length)
        features, start = [], 0
        for index, example in enumerate(examples):
            ids = rows[start : start + len(example.choices)]
            start += len(example.choices)
            features.append(
                {
                    "example": index,
                    "length": max(len(row) for row in ids) * len(ids),
                    "input_ids": ids,
                    "label": IGNORED if example.label is None else example.label,
                }
            )
        return features

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Inputs of shape (batch, choices, tokens), `labels` and `choice_mask` (batch, choices).

        Examples with fewer choices get rows of padding that the mask takes out of loss and choice.
        """
        import torch

        width = max(len(feature["input_ids"]) for feature in features)
        rows, real = [], []
        for feature in features:
            missing = width - len(feature["input_ids"])
            # An empty row would have no token to attend to, hence a copy of the first one.
            rows.extend([*feature["input_ids"], *[feature["input_ids"][0]] * missing])
            real.append([True] * len(feature["input_ids"]) + [False] * missing)
        inputs = padded_inputs(rows, padding_id)
        return {
            **{name: value.view(len(features), width, -1) for name, value in inputs.items()},
            "labels": torch.tensor([feature["label"] for feature in features]),
            "choice_mask": torch.tensor(real),
        }

    def head_labels(
        self, task: TaskSettings, examples: Sequence[MultipleChoiceExample], width: int
    ) -> tuple[str, ...]:
        """The numbers of the choices, as many as an example of the training data has at most."""
        return tuple(str(number) for number in range(max(len(example.choices) for example in examples)))

    def head_size(self, task: TaskSettings, width: int) -> int:
        """Two choices."""
        return self.rows_per_input

    def loss(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:
        """Cross-entropy over the choices; logits have shape (batch, choices)."""
        masked = logits.float().masked_fill(~batch["choice_mask"], float("-inf"))
        return summed_cross_entropy(masked, batch["labels"])

    def decode(self, logits: torch.Tensor, features: Sequence[Feature]) -> list[list[float]]:
        """Log-probabilities of the choices; in double precision, so that unequal logits stay unequal."""
        return [
            row[: len(feature["input_ids"])].log_softmax(dim=-1).tolist()
            for feature, row in zip(features, logits.double(), strict=True)
        ]

    def predict(
        self, example: MultipleChoiceExample, outputs: Sequence[Sequence[float]], labels: Sequence[str]
    ) -> int:
        """The most likely choice, 0-based; the first of equal ones."""
        return best_of(outputs[0])

    def log_probabilities(self, outputs: Sequence[Sequence[float]]) -> list[float]:
        """Of the choices, in their order."""
        return list(outputs[0])

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """One in the number of choices, or the share of the most frequent place where they are uneven."""
        shares = [1 / len(example.choices) for example in examples]
        return 100 * uneven(sum(shares) / len(shares), references)

    def notes(self, example: MultipleChoiceExample, features: Sequence[Feature]) -> Sequence[str]:
        """The choice, and whether it is the right one."""
        right = {example.label: ", right"}
        return [f"choice {number}{right.get(number, '')}" for number in range(len(example.choices))]
