"""Classification of one text or of a pair (NLI, paraphrase, ...)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptrans.task_types.base import (
    LEARNT,
    Batch,
    Feature,
    Input,
    Level,
    Recipe,
    TaskSettings,
    TaskType,
    Template,
)
from adaptrans.task_types.chance import guess
from adaptrans.task_types.rows import Example, RowError, Rules, how_to_name, label_field, text_field
from adaptrans.task_types.tensors import IGNORED, padded_inputs, summed_cross_entropy

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


class Classification(TaskType):
    """One of a few labels for a text or a pair."""

    name = "classification"
    title = "Classification of a text or a pair"
    required = ("text", "label")
    optional = ("pair",)
    needs_labels = True
    head = "classification"
    fixed_inputs = True
    one_label = True
    scores = ("accuracy",)
    layout = "labels"
    pipeline = "text-classification"

    template = Template(
        asks="One text, or a pair of texts, and its label.",
        settings="""\
labels: [entailment, neutral, contradiction]
# label_map: {0: entailment, e: entailment}  # what the files call the labels, if not by these names
scores: [accuracy]  # the first one selects and stands in tables
# parallel: true  # if every language holds the same items in the same order
max_length: 128  # sub-words; what is longer is cut
fields: {text: premise, pair: hypothesis, label: label}  # ours: the file's column; no pair for single texts
""",
        format="""\
    format: tsv  # or csv, jsonl, json; see docs/how-to/own-task.md
    options: {header: true}  # or, without a header, {columns: [premise, hypothesis, label]}
""",
        suffix="tsv",
        splits=LEARNT,
        rows={
            "en": "premise\thypothesis\tlabel\n"
            "The cat sleeps on the mat.\tAn animal sleeps.\tentailment\n"
            "The cat sleeps on the mat.\tThe mat is red.\tneutral\n"
            "The cat sleeps on the mat.\tNothing sleeps.\tcontradiction\n"
            "Two people read a book.\tSomebody reads.\tentailment\n",
            "sw": "premise\thypothesis\tlabel\n"
            "Paka analala.\tMnyama analala.\tentailment\n"
            "Paka analala.\tPaka anakula.\tcontradiction\n",
        },
    )

    recipe = Recipe(
        lambda own: {"inputs": "pair" if own.get("pair") else "text", "truncation": "longest_first"},
        "Texts are stripped; of $max_length pieces at most, the longer text of a pair is cut first.",
        """\
def answer(text, pair=None):
    texts = [text.strip()] if pair is None else [text.strip(), pair.strip()]
    inputs = tokenizer(*texts, truncation=True, max_length=$max_length, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    return labels[int(logits.argmax())]
""",
        labeled=True,
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
            shortened = tokenizer(
                [inputs[index] for index in long],
                truncation=True,
                max_length=max_length,
                return_attention_mask=False,
            )
            for index, ids in zip(long, shortened["input_ids"], strict=True):
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

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Padded inputs and `labels`, shape (batch,)."""
        import torch

        return {
            **padded_inputs([feature["input_ids"] for feature in features], padding_id),
            "labels": torch.tensor([feature["label"] for feature in features]),
        }

    def loss(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:
        """Cross-entropy of logits, shape (batch, classes)."""
        return summed_cross_entropy(logits, batch["labels"])

    def decode(self, logits: torch.Tensor, features: Sequence[Feature]) -> list[int]:
        """Number of the class with the highest logit; the first of equal ones."""
        return logits.float().argmax(dim=-1).tolist()

    def predict(self, example: ClassificationExample, outputs: Sequence[int], labels: Sequence[str]) -> str:
        """The label of the example's only feature."""
        return labels[outputs[0]]

    def gold(self, example: ClassificationExample) -> Any:
        """The reference label, None if the data has none."""
        return example.label

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], golds: Iterable[Any], level: Level
    ) -> float:
        """Share of one label in all, or of the most frequent one where they are uneven."""
        return 100 * guess(1 / len(task.labels), golds)

    def answering(self, task: TaskSettings) -> dict[str, Any]:
        """Whether an input is a pair."""
        return {"pair": "pair" in task.fields}

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """The tokens, and the label."""
        note = "no label" if example.label is None else f"label {example.label}"
        return [
            Input(found.tokens, note=note) for found in super().preview(example, features, tokenizer, task)
        ]
