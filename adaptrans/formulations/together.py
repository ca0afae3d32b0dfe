"""Several formulations of one encoder that answer at once; rows that they share are computed once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adaptrans.formulations.base import Formulation
from adaptrans.task_types.base import Answer, Batch, Feature, Level, TaskSettings, TaskType
from adaptrans.task_types.rows import Example, Rules

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Together(TaskType):
    """The type of a task in several formulations of one kind, under one head.

    Args:
        forms: The formulations; an example's prediction is one of each.
    """

    def __init__(self, forms: Sequence[Formulation]) -> None:
        self.forms = tuple(forms)
        self.first = forms[0]
        for name in ("head", "scores", "layout", "one_label"):
            setattr(self, name, getattr(self.first, name))
        self.name = " + ".join(form.name for form in forms)  # type: ignore[misc]

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> Example:
        """As the task's own type has it."""
        return self.first.build(id, fields, rules)

    def reference(self, example: Any) -> Any:
        """As the task's own type has it."""
        return self.first.reference(example)

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """As the task's own type has it."""
        return self.first.chance(task, examples, references, level)

    def encode(
        self,
        examples: Sequence[Any],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per example: its rows, each once, and as JSON what each formulation does with them."""
        rows: list[dict[tuple[int, ...], int]] = [{} for _ in examples]
        parts: list[list[list[dict[str, Any]]]] = [[[] for _ in self.forms] for _ in examples]
        for number, form in enumerate(self.forms):
            for feature in form.encode(examples, tokenizer, task, max_length, training):
                place = feature["example"]
                own = rows[place]
                numbers = [own.setdefault(tuple(row), len(own)) for row in feature["input_ids"]]
                parts[place][number].append({**feature, "input_ids": numbers})
        return [
            {
                "example": place,
                "length": max(map(len, own)) * len(own),
                "input_ids": [list(row) for row in own],
                "parts": json.dumps(said),
            }
            for place, (own, said) in enumerate(zip(rows, parts, strict=True))
        ]

    def _features(self, features: Sequence[Feature]) -> list[list[list[Feature]]]:
        """The features of each formulation, by example."""
        found = []
        for feature in features:
            rows, parts = feature["input_ids"], json.loads(feature["parts"])
            found.append(
                [
                    [{**own, "input_ids": [rows[number] for number in own["input_ids"]]} for own in of_form]
                    for of_form in parts
                ]
            )
        return found

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """The rows of all formulations, each once."""
        return self.first.collate(_flat(self._features(features)), padding_id)

    def decode(self, logits: Any, features: Sequence[Feature]) -> list[list[list[list[float]]]]:
        """For each feature and formulation the scores under each of its prompts."""
        every = self._features(features)
        scores = iter(self.first.decode(logits, _flat(every)))
        return [[[next(scores) for _ in of_form] for of_form in parts] for parts in every]

    def predict(self, example: Any, outputs: Sequence[Any], labels: Sequence[str]) -> tuple[Answer, ...]:
        """The answer of each formulation."""
        pairs = zip(self.forms, outputs[0], strict=True)
        return tuple(form.answer(example, own, labels) for form, own in pairs)


def _flat(features: Sequence[Sequence[Sequence[Feature]]]) -> list[Feature]:
    return [own for parts in features for of_form in parts for own in of_form]
