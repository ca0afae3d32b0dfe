"""Predictions of a trained setup, in the order of the examples, memory flat in their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from adaptrans.allocator import HEAP
from adaptrans.data.encodings import rows
from adaptrans.data.fitting import FittingParts
from adaptrans.devices import autocast
from adaptrans.models.adapting import Assembled, logits
from adaptrans.models.fusing import Attention
from adaptrans.models.sharing import Common
from adaptrans.models.trimming import cover, trimmed
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
        examples: Iterable[Any],
        features: Dataset,
        tick: Callable[[int], None] = lambda done: None,
    ) -> Iterator[Any]:
        """One prediction per example, in order.

        Args:
            examples: The examples.
            features: Their encoding, in the same order.
            tick: Called with the number of examples answered so far.
        """
        cover(self.assembled.model, features)
        for _, _, answers in answered([self], [Part(examples, _in_order(features))], tick):
            yield answers[0]

    def outputs(self, features: Sequence[dict[str, Any]]) -> list[Any]:
        """One decoded output per feature, computed in batches of like length."""
        return outputs_of([self], features)[0]

    def values(self, batch: dict[str, Tensor]) -> Tensor | tuple[Tensor, ...]:
        """What the head answers to one batch, on the CPU."""
        if self.attention is not None:
            self.attention.batch(batch["attention_mask"])
        watching = nullcontext() if self.attention is None else self.attention.watching(self.assembled.model)
        with watching, autocast(self.device, self.precision):
            values = logits(self.assembled, batch)
        return tuple(value.cpu() for value in values) if isinstance(values, tuple) else values.cpu()


@dataclass(frozen=True)
class Part:
    """Examples that are answered one after the other, such as those of a language.

    Args:
        examples: The examples, gone through once.
        features: Their encoding, in the same order.
    """

    examples: Iterable[Any]
    features: Iterable[dict[str, Any]]


def answered(
    predictors: Sequence[Predictor],
    parts: Sequence[Part],
    tick: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[int, Any, tuple[Any, ...]]]:
    """The answers of one or several models to all examples of some parts, in order.

    Inputs of like length are computed together, whatever part they belong to, `CHUNK` or so at a time.

    Args:
        predictors: The models; they answer to the same batches.
        parts: What is answered.
        tick: Called with the number of examples answered so far.

    Yields:
        Number of the part, example, and one prediction of each model.
    """
    answers = predictors[0].kind.answers
    assert answers is not None, "retrieval compares vectors"
    examples: Iterator[Any] = iter(())
    current, done = -1, 0
    for chunk in _chunks(parts):
        outputs = outputs_of(predictors, [feature for _, feature in chunk])
        found = zip(chunk, zip(*outputs, strict=True), strict=True)
        for (number, _), group in groupby(found, key=lambda pair: _owner(pair[0])):
            if number != current:
                current, examples = number, iter(parts[number].examples)
            example = next(examples)
            own = list(zip(*map(itemgetter(1), group), strict=True))
            yield (
                number,
                example,
                tuple(
                    answers.predict(example, outputs, predictor.labels)
                    for predictor, outputs in zip(predictors, own, strict=True)
                ),
            )
            done += 1
        tick(done)


@torch.inference_mode()
def outputs_of(predictors: Sequence[Predictor], features: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """One decoded output per feature, of each of some models.

    What the models have in common below their first difference is computed once.
    """
    first = predictors[0]
    answers = first.kind.answers
    assert answers is not None
    lengths = [feature["length"] for feature in features]
    results: list[list[Any]] = [[None] * len(features) for _ in predictors]
    for predictor in predictors:
        predictor.assembled.model.eval()
    _fetch(first.assembled.model, features)
    common = Common([predictor.assembled for predictor in predictors])
    parts = FittingParts(range(len(features)), lengths, first.tokens_per_batch, first.device)
    for part in parts:
        HEAP.look()
        with parts.attempt(part):
            chosen = [features[i] for i in part]
            batch = collated(first.kind, chosen, first.padding_id, first.device)
            with autocast(first.device, first.precision):
                states = common.states(batch)
            for predictor, own in zip(predictors, results, strict=True):
                with common.given(predictor.assembled, states):
                    values = predictor.values(batch)
                for place, output in zip(part, answers.decode(values, chosen), strict=True):
                    own[place] = output
    return results


def _fetch(model: torch.nn.Module, features: Sequence[dict[str, Any]]) -> None:
    """Read the embeddings of all pieces of some features in one go, where the model is without them."""
    embeddings = trimmed(model)
    if embeddings is not None and features:
        rows = (feature["input_ids"] for feature in features)
        ids = np.concatenate([np.asarray(row, dtype=np.int64) for row in _flat(rows)])
        embeddings.fetch(ids)


def _flat(rows: Iterable[Any]) -> Iterator[Any]:
    """Rows of token ids; several choices are rows of rows."""
    for row in rows:
        yield from row if row and isinstance(row[0], list) else (row,)


def _owner(pair: tuple[int, dict[str, Any]]) -> tuple[int, int]:
    """Part and example that a feature belongs to."""
    return pair[0], pair[1]["example"]


def _chunks(parts: Iterable[Part]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Lists of about `CHUNK` features, with their parts, that keep those of one example together."""
    chunk: list[tuple[int, dict[str, Any]]] = []
    for number, part in enumerate(parts):
        for feature in part.features:
            if len(chunk) >= CHUNK and _owner(chunk[-1]) != (number, feature["example"]):
                yield chunk
                chunk = []
            chunk.append((number, feature))
    if chunk:
        yield chunk


def _in_order(features: Dataset) -> Iterator[dict[str, Any]]:
    """The features of a data set one after the other."""
    for start in range(0, len(features), CHUNK):
        yield from rows(features, range(start, min(start + CHUNK, len(features))))
