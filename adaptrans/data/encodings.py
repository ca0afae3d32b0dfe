"""Token ids of a split, made once and kept on disk as Arrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.files import digest, written_whole

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.kinds import Kind
    from adaptrans.tasks.schema import Task

CHUNK = 1_000
"""Examples that are tokenised together: bounds memory, keeps the tokenizer's threads busy."""


def rows(features: Dataset, places: Sequence[int]) -> list[dict[str, Any]]:
    """Some features as a list of dictionaries."""
    columns = features[list(places)]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@dataclass(frozen=True)
class Encoder:
    """How examples become token ids.

    Args:
        kind: The task's kind.
        task: The task.
        tokenizer: The backbone's tokenizer.
        tokenizer_key: Fingerprint of the tokenizer's files.
        max_length: Pieces per model input.
        training: Whether gold answers are encoded for a loss.
    """

    kind: Kind
    task: Task
    tokenizer: PreTrainedTokenizerFast
    tokenizer_key: str
    max_length: int
    training: bool

    def key(self, data_key: str) -> str:
        """Name of the cached encoding of data with this fingerprint."""
        return digest(
            {
                "kind": f"{self.kind.name}@{self.kind.version}",
                "labels": list(self.task.labels),
                "tag_on": self.task.tag_on,
                "tokenizer": self.tokenizer_key,
                "max_length": self.max_length,
                "training": self.training,
                "data": data_key,
            },
            length=24,
        )


def encode(
    encoder: Encoder,
    examples: Sequence[Any],
    data_key: str,
    cache: Path,
    *,
    tick: Callable[[int], None] = lambda done: None,
) -> Dataset:
    """Features of the examples, from the cache or made now; memory-mapped either way.

    Args:
        encoder: How examples become token ids.
        examples: The examples, in order.
        data_key: Fingerprint of these examples.
        cache: Folder of the cache.
        tick: Called with the number of examples done.

    Returns:
        One row per feature, in the order of the examples.
    """
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    path = cache / "encodings" / f"{encoder.key(data_key)}.arrow"
    if not path.is_file():
        with written_whole(path) as temporary, ArrowWriter(path=str(temporary)) as writer:
            for start in range(0, len(examples), CHUNK):
                part = examples[start : start + CHUNK]
                features = encoder.kind.encode(
                    part, encoder.tokenizer, encoder.task, encoder.max_length, encoder.training
                )
                for feature in features:
                    writer.write({**feature, "example": feature["example"] + start})
                tick(start + len(part))
            writer.finalize()
    return Dataset.from_file(str(path))
