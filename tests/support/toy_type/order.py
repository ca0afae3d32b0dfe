"""A type of task in one file: which of two sentences comes first."""

from dataclasses import dataclass
from typing import ClassVar

from adaptrans.task_types.base import Recipe, TaskType, Template, uneven
from adaptrans.task_types.inputs import cut_to
from adaptrans.task_types.rows import Example, RowError, text_field

ORDERS = ("as they stand", "swapped")
ANSWERS = "Texts are stripped.\n\n```python\ndef answer(left, right): ...\n```\n"
ROWS = "Anna came home.\tShe slept.\t0\nShe slept.\tAnna came home.\t1\nIt rained.\tThe street is wet.\t0\n"


@dataclass(frozen=True, slots=True)
class OrderExample(Example):
    """Two sentences, and whether they are swapped (None: not given)."""

    id: str
    left: str
    right: str
    swapped: int | None


class Order(TaskType):
    """Two sentences of a text in one of two orders."""

    name = "order"
    title = "Order of sentences"
    required = ("left", "right", "swapped")
    reference_fields = ("swapped",)
    text_field = "left"
    head = "classification"
    fixed_inputs = True
    one_label = True
    targets: ClassVar = {"labels": "label"}
    scores = ("accuracy",)
    layout = "labels"
    template = Template(
        asks="Two sentences, and whether they are swapped.",
        settings="max_length: 64\nfields: {left: left, right: right, swapped: swapped}\n",
        format="format: tsv\noptions: {columns: [left, right, swapped]}\n",
        suffix="tsv",
        rows={"en": ROWS, "sw": ROWS},
    )
    recipe = Recipe(lambda own: {"inputs": "pair"}, ANSWERS)

    def build(self, id, fields, rules):
        raw = str(fields.get("swapped") if fields.get("swapped") is not None else "")
        if raw not in ("0", "1") and (raw or rules.labeled):
            raise RowError(f'swapped is "{raw}", not 0 or 1')
        swapped = int(raw) if raw else None
        return OrderExample(id, text_field(fields, "left"), text_field(fields, "right"), swapped)

    def encode(self, examples, tokenizer, task, max_length, training):
        pairs = [(example.left, example.right) for example in examples]
        rows = cut_to(tokenizer, pairs, max_length)
        return [
            {"example": place, "length": len(ids), "input_ids": ids, "label": example.swapped or 0}
            for place, (example, ids) in enumerate(zip(examples, rows, strict=True))
        ]

    def head_labels(self, task, examples, width):
        return ORDERS

    def reference(self, example):
        return None if example.swapped is None else ORDERS[example.swapped]

    def chance(self, task, examples, references, level):
        return 100 * uneven(1 / 2, references)

    def notes(self, example, features):
        return ["swapped" if example.swapped else "in order"]
