"""Predictions of a trained setup, in the order of the examples, memory flat in their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adaptrans.data.batches import micro_batches
from adaptrans.data.encodings import rows
from adaptrans.devices import autocast
from adaptrans.models.adapting import Assembled, logits
from adaptrans.models.fusing import Attention
from adaptrans.tasks.kinds import Kind
from adaptrans.tasks.kinds.tensors import collated

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 4_096
"""Features that are sorted by length together: bounds memory, leaves little padding."""


@dataclass(frozen=True)
class Predictor:
    """A model under its setup, ready to answer.

    Args:
        assembled: The model.
        kind: Kind of the task.
        labels: Label names of its head.
        padding_id: Id of the padding token.
        tokens_per_batch: Padded tokens per forward pass.
        device: Where it runs.
        precision: `fp32` or `bf16`.
        attention: Where to add up what the setup's fusions attend to, if anywhere.
    """

    assembled: Assembled
    kind: Kind
    labels: tuple[str, ...]
    padding_id: int
    tokens_per_batch: int
    device: torch.device
    precision: str
    attention: Attention | None = None

    def predictions(
        self,
        examples: Sequence[Any],
        features: Dataset,
        tick: Callable[[int], None] = lambda done: None,
    ) -> Iterator[Any]:
        """One prediction per example, in order.

        Args:
            examples: The examples.
            features: Their encoding, in the same order.
            tick: Called with the number of examples answered so far.
        """
        answers = self.kind.answers
        assert answers is not None, "retrieval compares vectors"
        self.assembled.model.eval()
        for chunk in _chunks(features):
            outputs = self.outputs(chunk)
            pairs = zip(chunk, outputs, strict=True)
            last = 0
            for index, group in groupby(pairs, key=lambda pair: pair[0]["example"]):
                yield answers.predict(examples[index], [output for _, output in group], self.labels)
                last = index + 1
            tick(last)

    @torch.inference_mode()
    def outputs(self, features: Sequence[dict[str, Any]]) -> list[Any]:
        """One decoded output per feature, computed in batches of like length."""
        answers = self.kind.answers
        assert answers is not None
        lengths = [feature["length"] for feature in features]
        results: list[Any] = [None] * len(features)
        for part in micro_batches(range(len(features)), lengths, self.tokens_per_batch):
            chosen = [features[i] for i in part]
            batch = collated(self.kind, chosen, self.padding_id, self.device)
            values = self._values(batch)
            moved = tuple(value.cpu() for value in values) if isinstance(values, tuple) else values.cpu()
            for place, output in zip(part, answers.decode(moved, chosen), strict=True):
                results[place] = output
        return results

    def _values(self, batch: dict[str, Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        """What the head answers to one batch."""
        if self.attention is not None:
            self.attention.batch(batch["attention_mask"])
        watching = nullcontext() if self.attention is None else self.attention.watching(self.assembled.model)
        with watching, autocast(self.device, self.precision):
            return logits(self.assembled, batch)


def _chunks(features: Dataset) -> Iterator[list[dict[str, Any]]]:
    """Lists of about `CHUNK` features that keep the features of one example together."""
    owners = features["example"][:]
    start = 0
    while start < len(owners):
        end = min(start + CHUNK, len(owners))
        while end < len(owners) and owners[end] == owners[end - 1]:
            end += 1
        yield rows(features, range(start, end))
        start = end
