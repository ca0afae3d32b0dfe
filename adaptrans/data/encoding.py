"""Token ids of a split, made once and kept on disk as Arrow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.utils.io import atomic_write, digest, read_json, write_json
from adaptrans.utils.progress import remark

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adaptrans.task_types.base import TaskType
    from adaptrans.tasks.schema import Task


CHUNK = 1_000
"""Examples that are tokenized together: bounds memory, keeps the tokenizer's threads busy."""

FOUND = "from the cache"
"""What is told of an encoding that is not made anew."""


def rows(features: Dataset, places: Sequence[int]) -> list[dict[str, Any]]:
    """Some features as a list of dictionaries."""
    columns = features[list(places)]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@dataclass(frozen=True)
class Encoder:
    """How examples become token ids.

    Args:
        kind: The task's type.
        task: The task.
        tokenizer: The backbone's tokenizer.
        tokenizer_key: Fingerprint of the tokenizer's files.
        max_length: Pieces per model input.
        training: Whether reference answers are encoded for a loss.
    """

    kind: TaskType
    task: Task
    tokenizer: PreTrainedTokenizerFast
    tokenizer_key: str
    max_length: int
    training: bool

    def key(self, data_key: str) -> str:
        """Name of the cached encoding of data with this fingerprint."""
        deciding = self.parts(data_key)
        del deciding["task"]
        return digest(deciding, length=24)

    def parts(self, data_key: str) -> dict[str, Any]:
        """All that decides the token ids, after the name of the task, which does not.

        It lies beside an encoding, to say why another is made.
        """
        return {
            "task": self.task.name,
            "kind": f"{self.kind.name}@{self.kind.version}{self.kind.source and f' {self.kind.source}'}",
            "labels": list(self.task.labels),
            "tag_on": self.task.tag_on,
            "tokenizer": self.tokenizer_key,
            "max_length": self.max_length,
            "training": self.training,
            "data": data_key,
        }


def encode(
    encoder: Encoder,
    examples: Iterable[Any],
    data_key: str,
    cache: Path,
    *,
    tick: Callable[[int], None] = lambda done: None,
    tell: Callable[[str], None] | None = None,
) -> Dataset:
    """The features in `encoded_file`, memory-mapped: one row per feature, in the order of the examples."""
    from datasets import Dataset

    return Dataset.from_file(str(encoded_file(encoder, examples, data_key, cache, tick=tick, tell=tell)))


def encoding_path(encoder: Encoder, data_key: str, cache: Path) -> Path:
    """Where the features of data with this fingerprint lie, if they do."""
    return cache / "encodings" / f"{encoder.key(data_key)}.arrow"


def encoded_file(
    encoder: Encoder,
    examples: Iterable[Any],
    data_key: str,
    cache: Path,
    *,
    tick: Callable[[int], None] = lambda done: None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """The file of the cache that holds the features of the examples, made now where it is not there.

    Args:
        encoder: How examples become token ids.
        examples: The examples, in order; not read if the cache has their encoding.
        data_key: Fingerprint of these examples.
        cache: Folder of the cache.
        tick: Called with the number of examples done.
        tell: Told whether it comes from the cache or why not; by default that is said on standard error.
    """
    path = encoding_path(encoder, data_key, cache)
    what = f"token ids of {encoder.task.name} ({'training' if encoder.training else 'evaluation'})"
    tell = tell or (lambda text: remark(f"{what}: {text}"))
    if path.is_file():
        tell(FOUND)
        return path
    tell(f"made now, {_why(encoder, data_key, cache)}")
    from datasets.arrow_writer import ArrowWriter

    with atomic_write(path) as temporary, ArrowWriter(path=str(temporary)) as writer:
        rest, start = iter(examples), 0
        while part := list(islice(rest, CHUNK)):
            features = encoder.kind.encode(
                part, encoder.tokenizer, encoder.task, encoder.max_length, encoder.training
            )
            for feature in features:
                writer.write({**feature, "example": feature["example"] + start})
            start += len(part)
            tick(start)
        writer.finalize()
    write_json(path.with_suffix(".json"), encoder.parts(data_key))
    return path


def _why(encoder: Encoder, data_key: str, cache: Path) -> str:
    """Why the cache has no encoding, in words: what differs from the nearest one of the same data."""
    wanted = encoder.parts(data_key)
    nearest: list[str] | None = None
    for path in (cache / "encodings").glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            found = read_json(path)
            if (found.get("task"), found.get("data")) == (wanted["task"], data_key):
                differing = [part for part, value in wanted.items() if found.get(part) != value]
                nearest = differing if nearest is None or len(differing) < len(nearest) else nearest
    if nearest is None:
        return "the cache has none of these data"
    if not nearest:
        return "the file of these very inputs was deleted"
    return f"the cache has them for another {' and '.join(nearest)}"


def stream_features(path: Path) -> Iterator[dict[str, Any]]:
    """The features of a file of the cache one after the other; memory does not grow with their number.

    Pages of a memory map would stay in memory, and count, for as long as there is room.
    """
    for batch in _batches(path):
        yield from batch.to_pylist()


def count_examples(path: Path) -> int:
    """How many examples the features of a file of the cache belong to."""
    last = -1
    for batch in _batches(path):
        last = batch["example"][-1].as_py() if len(batch) else last
    return last + 1


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow

    with pyarrow.OSFile(str(path)) as file, pyarrow.ipc.open_stream(file) as reader:
        yield from reader
