"""Classification of one text or of a pair (NLI, paraphrase, ...)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from adaptrans.task_types.base import (
    Feature,
    Level,
    Recipe,
    TaskSettings,
    TaskType,
    answer_text,
    best_of,
    uneven,
)
from adaptrans.task_types.inputs import IGNORED, cut_to
from adaptrans.task_types.rows import (
    Example,
    Prefixes,
    RowError,
    Rules,
    how_to_name,
    label_field,
    text_field,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class ClassificationExample(Example):
    """One text, or a pair, with the name of its label (None: not given)."""

    id: str
    text: str
    pair: str | None
    label: str | None

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the prefix before each text."""
        pair = None if self.pair is None else prefixes.text + self.pair
        return replace(self, text=prefixes.text + self.text, pair=pair)

    def changed(self, change: Callable[[str, str], str]) -> Self:
        """A pair is a premise and a hypothesis."""
        if self.pair is None:
            return replace(self, text=change("text", self.text))
        return replace(self, text=change("premise", self.text), pair=change("hypothesis", self.pair))


class Classification(TaskType):
    """One of a few labels for a text or a pair."""

    name = "classification"
    title = "Classification of a text or a pair"
    required = ("text", "label")
    optional = ("pair",)
    needs_labels = True
    head = "classification"
    text_roles = ("text", "premise", "hypothesis")
    takes_prefix = ("text",)
    fixed_inputs = True
    one_label = True
    targets: ClassVar[Mapping[str, str]] = {"labels": "label"}
    scores = ("accuracy",)
    layout = "labels"
    pipeline = "text-classification"

    recipe = Recipe(
        lambda own: {"inputs": "pair" if own.get("pair") else "text", "truncation": "longest_first"},
        answer_text("classification"),
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> ClassificationExample:
        """A text or a pair with one of the task's labels; ends are stripped, inner spaces kept."""
        label = label_field(fields.get("label"), rules)
        if label is not None and label not in rules.labels:
            how = how_to_name(fields["label"], rules)
            raise RowError(f'unknown label "{label}", expected one of {", ".join(rules.labels)}{how}')
        pair = text_field(fields, "pair") if "pair" in fields else None
        text = text_field(fields, "text")
        if not text and not pair:
            raise RowError("the row has no text")
        return ClassificationExample(id, text, pair, None if label is None else str(label))

    def group(self, example: ClassificationExample) -> str:
        """Pairs with the same premise, such as those of NLI, stay together."""
        return example.text

    def encode(
        self,
        examples: Sequence[ClassificationExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per example; the longer text of a pair is cut first, `cut` says so."""
        inputs = [
            example.text if example.pair is None else (example.text, example.pair) for example in examples
        ]
        rows = tokenizer(inputs, return_attention_mask=False, verbose=False)["input_ids"]
        long = [index for index, ids in enumerate(rows) if len(ids) > max_length]
        if long:
            shortened = cut_to(tokenizer, [inputs[index] for index in long], max_length)
            for index, ids in zip(long, shortened, strict=True):
                rows[index] = ids
        cut = set(long)
        number = {label: index for index, label in enumerate(task.labels)}
        return [
            {
                "example": index,
                "length": len(ids),
                "input_ids": ids,
                "label": IGNORED if example.label is None else number[example.label],
                "cut": index in cut,
            }
            for index, (example, ids) in enumerate(zip(examples, rows, strict=True))
        ]

    def decode(self, logits: torch.Tensor, features: Sequence[Feature]) -> list[list[float]]:
        """Log-probabilities of the labels; in double precision, so that unequal logits stay unequal."""
        found: list[list[float]] = logits.double().log_softmax(dim=-1).tolist()
        return found

    def predict(
        self, example: ClassificationExample, outputs: Sequence[Sequence[float]], labels: Sequence[str]
    ) -> str:
        """The most likely label; the first of equal ones."""
        return labels[best_of(outputs[0])]

    def log_probabilities(self, outputs: Sequence[Sequence[float]]) -> list[float]:
        """Of the labels, in the order of the task's."""
        return list(outputs[0])

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """Share of one label in all, or of the most frequent one where they are uneven."""
        return 100 * uneven(1 / len(task.labels), references)

    def answering(self, task: TaskSettings) -> dict[str, Any]:
        """Whether an input is a pair."""
        return {"pair": "pair" in task.fields}

    def notes(self, example: ClassificationExample, features: Sequence[Feature]) -> Sequence[str]:
        """The label."""
        return ["no label" if example.label is None else f"label {example.label}"]
