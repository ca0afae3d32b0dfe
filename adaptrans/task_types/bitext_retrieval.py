"""Find each English sentence's translation by nearest neighbor (Tatoeba).

Nothing is trained: the setup is everything below `target`. Two features per
example, the sentence in the language (`side` 0) and the English one (`side` 1).
`adaptrans.evaluation.dense_retrieval` turns their vectors into predictions; the gold
answer to sentence i is i.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adaptrans.task_types.base import Batch, Feature, TaskType
from adaptrans.task_types.examples import BitextExample
from adaptrans.task_types.tensors import padded_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


def encode(
    examples: Sequence[BitextExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
    max_length: int,
    training: bool,  # noqa: ARG001
) -> list[Feature]:
    """Both sentences of each pair, pieces cut to the maximum length."""
    texts = [text for example in examples for text in (example.text, example.english)]
    rows = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)["input_ids"]
    return [
        {"example": index // 2, "length": len(ids), "input_ids": ids, "side": index % 2}
        for index, ids in enumerate(rows)
    ]


def collate(features: Sequence[Feature], padding_id: int) -> Batch:
    """Padded inputs."""
    return padded_inputs([feature["input_ids"] for feature in features], padding_id)


KIND = TaskType("bitext_retrieval", 1, encode, collate, None)
