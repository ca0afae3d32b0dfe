"""The gradient of one step: cut into parts that fit the memory, divided among processes.

Losses and gradients are sums until the whole step is there, and divided by the number of its terms only
then, so that the result depends neither on how the step was cut nor on how many processes computed it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adaptrans import processes
from adaptrans.data.batches import micro_batches, own_share
from adaptrans.data.encodings import rows
from adaptrans.devices import autocast, let_go
from adaptrans.errors import is_out_of_memory
from adaptrans.models.adapting import Assembled
from adaptrans.tasks.kinds.tensors import collated
from adaptrans.training import checkpoint
from adaptrans.training.streams import Draw, Source

if TYPE_CHECKING:
    from accelerate import Accelerator

BUCKET = 2**24
"""Numbers that the processes add up at once: 64 MiB in float32."""


@dataclass(frozen=True)
class Summed:
    """What is known of a step when its gradients are there.

    Args:
        loss: Sum of the loss over all terms.
        terms: Their number.
        parts: The parts that this process computed.
        failed: Items of the parts whose loss is not a finite number, of all processes.
    """

    loss: float
    terms: int
    parts: list[list[int]]
    failed: list[int]

    @property
    def mean(self) -> float:
        """The mean loss of the step."""
        return self.loss / max(self.terms, 1)


@dataclass
class Limit:
    """How much of a step is computed at once; lowered when the memory is short.

    Args:
        tokens: Padded tokens per part.
        recomputed: Whether activations are computed again for the gradients instead of kept.
    """

    tokens: int
    recomputed: bool = False


class Gradients:
    """Computes the gradients of steps.

    Args:
        assembled: The model whose gradients are wanted; those of all sources are its own.
        parameters: Its trained parameters.
        limit: How much is computed at once, changed in place.
        recompute: Lets activations be computed again, for when one input does not fit; None for never.
        tell: Called with what was changed because the memory was short.
        seed: Seed of the run.
        padding_id: Id of the padding token.
        device: Where it runs.
        precision: `fp32` or `bf16`.
        accelerator: What runs the backward pass.
    """

    def __init__(
        self,
        assembled: Assembled,
        parameters: Mapping[str, Tensor],
        limit: Limit,
        *,
        recompute: Callable[[], None] | None,
        tell: Callable[[str], None],
        seed: int,
        padding_id: int,
        device: torch.device,
        precision: str,
        accelerator: Accelerator,
    ) -> None:
        self.limit = limit
        self._model = assembled.model
        self._parameters = list(parameters.values())
        self._recompute = recompute
        self._tell = tell
        self._seed = seed
        self._padding_id = padding_id
        self._device = device
        self._precision = precision
        self._accelerator = accelerator

    def of(self, source: Source, draw: Draw, lengths: Sequence[int]) -> Summed:
        """Leave the gradient of the mean loss of a step in the parameters.

        When the memory ends, the same step is computed again from the same random state, in smaller parts.

        Args:
            source: The task of the step.
            draw: Its batch.
            lengths: Tokens of each item of the task.
        """
        self._model.train()
        state = checkpoint.random_state(self._device)
        while True:
            parts = self._parts(source, draw, lengths)
            try:
                losses, terms = self._backward(source, draw, parts)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or not self._smaller(source, parts, lengths):
                    raise
            # The failed tensors are let go only outside of the handler, which holds their frames.
            self._clear()
            checkpoint.restore_random_state(state, self._device)
        pairs = zip(parts, losses, strict=True)
        failed = [item for part, loss in pairs if not math.isfinite(loss) for item in part]
        return self._shared(sum(losses), terms, parts, failed)

    def _parts(self, source: Source, draw: Draw, lengths: Sequence[int]) -> list[list[int]]:
        """What of a step this process computes, in parts."""
        if source.answers.whole:
            # Its inputs are each other's wrong answers, so that nothing can be divided.
            return [draw.items] if processes.is_main() else []
        items = own_share(draw.items, lengths, processes.rank(), processes.count())
        return micro_batches(items, lengths, self.limit.tokens)

    def _backward(
        self, source: Source, draw: Draw, parts: Sequence[Sequence[int]]
    ) -> tuple[list[float], int]:
        """Add up the gradients of some parts; returns the summed loss of each, and the number of terms."""
        losses: list[Tensor] = []
        terms = 0
        for part in parts:
            batch = self._batch(source, draw, part)
            with autocast(self._device, self._precision):
                output = source.logits(batch)
            loss, number = source.answers.loss(output, batch)
            self._accelerator.backward(loss)
            losses.append(loss.detach())
            terms += number
        # Asked for at the end, so that a GPU need not wait for this process in between.
        return torch.stack(losses).tolist() if losses else [], terms

    def _batch(self, source: Source, draw: Draw, part: Sequence[int]) -> Any:
        features = rows(source.features, part)
        # What a kind draws for each batch, such as masks, follows from the place alone, as batches do.
        for item, feature in zip(part, features, strict=True):
            feature["draw"] = (self._seed, draw.number, item)
        batch = collated(source.kind, features, self._padding_id, self._device)
        if source.trunk is not None:
            batch["below"] = source.trunk.states(source.assembled, part, batch)
        return batch

    def _smaller(self, source: Source, parts: Sequence[Sequence[int]], lengths: Sequence[int]) -> bool:
        """Lower the limit after the memory ended; whether there was something to lower."""
        widest = max(len(part) * max(lengths[item] for item in part) for part in parts)
        if not source.answers.whole and max(map(len, parts)) > 1:
            self.limit.tokens = max(16, min(self.limit.tokens, widest) // 2)
            self._tell(f"out of memory: from here on {self.limit.tokens} padded tokens at once")
            return True
        if self._recompute is not None and not self.limit.recomputed:
            self._recompute()
            self._tell("out of memory: from here on activations are computed again instead of kept")
            return True
        return False

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
        let_go(self._device)

    def _shared(self, loss: float, terms: int, parts: list[list[int]], failed: list[int]) -> Summed:
        """Add up the sums of all processes, and divide the gradients by the terms."""
        if processes.count() > 1:
            present = [float(parameter.grad is not None) for parameter in self._parameters]
            sums = processes.add_up(torch.tensor([loss, terms, *present], dtype=torch.float64)).tolist()
            loss, terms = sums[0], round(sums[1])
            reached = [item for item, number in zip(self._parameters, sums[2:], strict=True) if number]
            _add_up(reached)
            if not math.isfinite(loss):
                failed = [item for items in processes.gathered(failed) for item in items]
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.div_(max(terms, 1))
        return Summed(loss, terms, parts, failed)


def _add_up(parameters: Sequence[Tensor]) -> None:
    """Replace gradients by their sums over all processes; one that a process lacks counts as zero there."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    bucket: list[Tensor] = []
    for place, parameter in enumerate(parameters):
        assert parameter.grad is not None
        bucket.append(parameter.grad)
        if place == len(parameters) - 1 or sum(map(torch.numel, bucket)) >= BUCKET:
            flat = processes.add_up(torch.cat([gradient.reshape(-1) for gradient in bucket]))
            for gradient, own in zip(bucket, flat.split([item.numel() for item in bucket]), strict=True):
                gradient.copy_(own.view_as(gradient))
            bucket = []
