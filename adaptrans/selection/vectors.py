"""What a frozen encoder makes of a task: vectors with labels, a mean of its text, gradients of its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from adaptrans.data.encoding import rows
from adaptrans.evaluation.sentence_vectors import mean_pool
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.train import TrainSpec
from adaptrans.task_types.inputs import IGNORED
from adaptrans.training.train import TaskData, padding_id
from adaptrans.utils.devices import pick_device

PROBE_STEPS, PROBE_RATE, PROBE_BATCH = 50, 1e-3, 16
"""Of the head alone, before gradients are taken; ours."""


@dataclass(frozen=True)
class Vectors:
    """What the encoder makes of the training data of a task.

    Args:
        text: Mean over examples of their mean-pooled last states, shape (width,).
        features: A vector for each label: of an example, or of a word's first piece; shape (labels, width).
            None for tasks without such labels.
        labels: Numbers of the labels, shape (labels,).
        examples: Number of examples.
    """

    text: np.ndarray
    features: np.ndarray | None
    labels: np.ndarray | None
    examples: int


class FrozenTask:
    """A task on an encoder without training.

    Args:
        spec: The training run that it would have.
        advance: Told after each batch.
    """

    def __init__(self, spec: TrainSpec, advance: Callable[[], None] = lambda: None) -> None:
        self.spec, self.advance = spec, advance
        self.data = TaskData(spec, spec.task.labels)
        self.examples, self.encoded = self.data.split("train", spec.config.limit_train, training=True)
        self.device = pick_device(spec.workspace.device)
        head = self.data.head(self.examples)
        self.model = SetupModel.from_setup(
            spec.workspace.backbone,
            parse("full"),
            target=spec.task.name,
            head=head,
            method="full",
            parents={},
            seed=spec.seed,
        ).to(self.device)
        self.padding = padding_id(self.data.tokenizer)

    def batches(self, size: int, most: int | None = None) -> Iterator[dict[str, Any]]:
        """Batches of inputs in their order."""
        number = len(self.encoded) if most is None else min(most, len(self.encoded))
        for start in range(0, number, size):
            features = rows(self.encoded, range(start, min(start + size, number)))
            yield self.data.kind.batch(features, self.padding, self.device)
            self.advance()

    @torch.inference_mode()
    def vectors(self, size: int = 16) -> Vectors:
        """Its vectors, labels and mean."""
        self.model.eval()
        total: np.ndarray | None = None
        inputs, found, labels = 0, [], []
        for batch in self.batches(size):
            ids, mask = (batch[name].flatten(0, -2) for name in ("input_ids", "attention_mask"))
            last = self.model.hidden_states(ids, mask)[-1]
            pooled = mean_pool(last, mask)
            own = pooled.double().sum(dim=0).cpu().numpy()
            total = own if total is None else total + own
            inputs += len(ids)
            answers = batch.get("labels")
            if answers is None or batch["input_ids"].dim() > 2 or not self.has_labels:
                continue
            states = pooled if answers.dim() == 1 else last
            used = answers != IGNORED
            found.append(states[used].cpu().numpy())
            labels.append(answers[used].cpu().numpy())
        assert total is not None, "a task has examples"
        features = np.concatenate(found).astype(np.float64) if found else None
        return Vectors(
            total / inputs, features, np.concatenate(labels) if labels else None, len(self.examples)
        )

    @property
    def has_labels(self) -> bool:
        """Whether an example, or a word, has one of a few labels."""
        return self.data.kind.one_label or self.data.kind.tags_words

    def fisher(self, examples: int = 64) -> dict[str, np.ndarray]:
        """Mean squared gradients of the loss by weight tensor of the encoder's layers (TaskEmb).

        The head is trained for a few steps first, with the encoder frozen: gradients through a head that
        knows nothing tell nothing of the task. Dropout is off.
        """
        self.model.eval()
        inner = {id(value) for value in self.model.model.base_model.parameters()}
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) not in inner)
        head = [value for value in self.model.parameters() if value.requires_grad]
        optimizer = torch.optim.Adam(head, lr=PROBE_RATE)
        steps = 0
        while steps < PROBE_STEPS:
            for batch in self.batches(PROBE_BATCH):
                loss, terms = self.data.kind.loss(self.model(batch), batch)
                optimizer.zero_grad()
                (loss / max(1, terms)).backward()
                optimizer.step()
                steps += 1
                if steps == PROBE_STEPS:
                    break
        layers = {
            name: value for name, value in self.model.model.base_model.named_parameters() if ".layer" in name
        }
        for value in layers.values():
            value.requires_grad_(True)
        sums = {name: torch.zeros_like(value) for name, value in layers.items()}
        number = 0
        for batch in self.batches(1, examples):
            self.model.zero_grad()
            loss, terms = self.data.kind.loss(self.model(batch), batch)
            if terms:
                (loss / terms).backward()
                for name, value in layers.items():
                    if value.grad is not None:
                        sums[name] += value.grad**2
            number += 1
        return {name: (value / max(1, number)).flatten().cpu().numpy() for name, value in sums.items()}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two vectors; 0 where one is 0.

    Example:
        >>> cosine(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
        1.0
    """
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0


def mean_cosine(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Mean over weight tensors of the cosine of two tasks' gradients.

    Example:
        >>> mean_cosine({"w": np.ones(4)}, {"w": np.ones(4)})
        1.0
    """
    return float(np.mean([cosine(a[name], b[name]) for name in a]))
