"""A type of task in one file: which of two sentences comes first."""

from dataclasses import dataclass

from adaptrans.task_types.base import LEARNT, Input, Recipe, TaskType, Template, tokens
from adaptrans.task_types.chance import guess
from adaptrans.task_types.rows import Example, RowError, text_field
from adaptrans.task_types.tensors import padded_inputs, summed_cross_entropy

ORDERS = ("as they stand", "swapped")
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
    gold_fields = ("swapped",)
    text_field = "left"
    head = "classification"
    fixed_inputs = True
    one_label = True
    scores = ("accuracy",)
    layout = "labels"
    template = Template(
        asks="Two sentences, and whether they are swapped.",
        settings="max_length: 64\nfields: {left: left, right: right, swapped: swapped}\n",
        format="    format: tsv\n    options: {columns: [left, right, swapped]}\n",
        suffix="tsv",
        splits=LEARNT,
        rows={"en": ROWS, "sw": ROWS},
    )
    recipe = Recipe(lambda own: {"inputs": "pair"}, "Texts are stripped.", "def answer(left, right): ...\n")

    def build(self, id, fields, rules):
        raw = str(fields.get("swapped") if fields.get("swapped") is not None else "")
        if raw not in ("0", "1") and (raw or rules.labeled):
            raise RowError(f'swapped is "{raw}", not 0 or 1')
        swapped = int(raw) if raw else None
        return OrderExample(id, text_field(fields, "left"), text_field(fields, "right"), swapped)

    def encode(self, examples, tokenizer, task, max_length, training):
        pairs = [(example.left, example.right) for example in examples]
        rows = tokenizer(pairs, truncation=True, max_length=max_length)["input_ids"]
        return [
            {"example": place, "length": len(ids), "input_ids": ids, "label": example.swapped or 0}
            for place, (example, ids) in enumerate(zip(examples, rows, strict=True))
        ]

    def collate(self, features, padding_id):
        import torch

        batch = padded_inputs([feature["input_ids"] for feature in features], padding_id)
        return {**batch, "labels": torch.tensor([feature["label"] for feature in features])}

    def head_labels(self, task, examples, width):
        return ORDERS

    def loss(self, logits, batch):
        return summed_cross_entropy(logits, batch["labels"])

    def decode(self, logits, features):
        return logits.float().argmax(dim=-1).tolist()

    def predict(self, example, outputs, labels):
        return labels[outputs[0]]

    def gold(self, example):
        return None if example.swapped is None else ORDERS[example.swapped]

    def chance(self, task, examples, golds, level):
        return 100 * guess(1 / 2, golds)

    def preview(self, example, features, tokenizer, task):
        note = "swapped" if example.swapped else "in order"
        return [Input(tokens(tokenizer, feature["input_ids"]), note=note) for feature in features]
