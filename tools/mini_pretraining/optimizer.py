"""Rate over the steps, AdamW, and the running average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mini_pretraining.config import Optimizer

FLOOR = 0.1
"""What the rate falls to, as a fraction of the highest."""
AVERAGE_EVERY = 8
"""Steps between updates of the running average: each passes over all weights."""


def rate_at(plan: Optimizer, step: int, steps: int) -> float:
    """Learning rate of a step: rise, constant, linear fall over the last part.

    Only the fall depends on the number of steps, so a run can be prolonged: it goes on
    at the constant rate until the new last part.

    Example:
        >>> plan = Optimizer(rate=1.0, warmup=10, decay=0.5)
        >>> [rate_at(plan, step, 100) for step in (4, 30, 75, 100)]
        [0.5, 1.0, 0.55, 0.1]
        >>> rate_at(plan, 75, 1000)
        1.0
    """
    rise = min(1.0, (step + 1) / plan.warmup) if plan.warmup else 1.0
    falling = steps * plan.decay
    past = step - (steps - falling)
    fall = 1.0 - (1.0 - FLOOR) * past / falling if past > 0 else 1.0
    return plan.rate * min(rise, max(FLOOR, fall))


def make(model: Any, plan: Optimizer) -> torch.optim.AdamW:
    """AdamW; biases and normalizations are not decayed."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=plan.betas, eps=1e-6, fused=True)


def weights(model: Any) -> dict[str, Tensor]:
    """Trained weights by name, shared ones once; the tensors themselves, not copies."""
    return {name: weight.detach() for name, weight in model.named_parameters()}


def start_average(model: Any, plan: Optimizer) -> dict[str, Tensor]:
    """A copy of the weights to average into; empty if nothing is averaged."""
    return {name: weight.clone() for name, weight in weights(model).items()} if plan.average else {}


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: Any, plan: Optimizer, step: int) -> None:
    """Move the running average towards the weights, every few steps.

    The memory is shorter at the beginning, so that the random start is soon forgotten.

    Args:
        average: Changed in place.
        model: The weights after this step.
        plan: Memory per step.
        step: Number of this step, from 0.
    """
    if not average or (step + 1) % AVERAGE_EVERY:
        return
    updates = (step + 1) / AVERAGE_EVERY
    memory = min(plan.average**AVERAGE_EVERY, updates / (updates + 10))
    current = weights(model)
    names = list(average)
    torch._foreach_lerp_([average[name] for name in names], [current[name] for name in names], 1 - memory)
