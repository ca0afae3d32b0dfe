"""What a task asks of the model: one file per kind.

A kind turns examples into token ids, token ids into a batch, model outputs into
a loss, and model outputs into predictions. Everything else (reading, batching,
training, scoring, storing) is the same for every kind. Torch-free until a kind
is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptrans.utils.registry import Registry

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


Feature = dict[str, Any]
"""One model input: `example` (index), `input_ids`, `length` (tokens of all its rows, padded), and more."""

Batch = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Answers:
    """How a kind that has a head learns and answers.

    Args:
        head: Head type in `adaptrans.models`.
        loss: (logits, batch) to (sum of losses, number of terms), so that micro-batches add up to
            exactly the loss of the whole batch.
        decode: (logits, features) to one output per feature, plain Python values.
        predict: (example, outputs of its features, label names of the head) to the prediction,
            JSON-serializable.
        gold: (example) to the gold value the task's scores compare a prediction with; None or an
            empty list if the data has none.
        whole: Whether the inputs of a step are each other's wrong answers, so that it cannot be cut.
    """

    head: str
    loss: Callable[[Any, Batch], tuple[torch.Tensor, int]]
    decode: Callable[[Any, Sequence[Feature]], list[Any]]
    predict: Callable[[Any, Sequence[Any], Sequence[str]], Any]
    gold: Callable[[Any], Any]
    whole: bool = False


@dataclass(frozen=True)
class TaskType:
    """The functions that make up a kind.

    Args:
        name: Name used in task files.
        version: Raised when `encode` changes, so that cached encodings are made anew.
        encode: (examples, tokenizer, task, max_length, training) to features. An example may give
            several features (windows, segments), in order.
        collate: (features, padding id) to a padded batch.
        answers: How it learns and answers; None for retrieval, which compares vectors instead, and
            whose gold is no part of an example: the translation of line i is line i.
    """

    name: str
    version: int
    encode: Callable[[Sequence[Any], PreTrainedTokenizerFast, Task, int, bool], list[Feature]]
    collate: Callable[[Sequence[Feature], int], Batch]
    answers: Answers | None

    @property
    def gold(self) -> Callable[[Any], Any]:
        """What `Answers` says of gold values."""
        assert self.answers is not None, "the gold of retrieval is the number of the line"
        return self.answers.gold


TASK_TYPES: Registry[TaskType] = Registry("kind of task")
for _name in (
    "classification",
    "tagging",
    "span_qa",
    "span_qa_null",
    "multiple_choice",
    "bitext_retrieval",
    "bitext_mining",
    "passage_ranking",
):
    TASK_TYPES.add(_name, f"adaptrans.task_types.{_name}:KIND")
TASK_TYPES.add("mlm", "adaptrans.task_types.masked_lm:KIND")
