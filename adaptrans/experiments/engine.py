"""Carry out a plan, one run after another; what is in the store is not computed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from adaptrans.evaluation.zero_shot import evaluate, is_done
from adaptrans.experiments.plan import Plan
from adaptrans.hub.store import Run
from adaptrans.runs.specs import TrainSpec


@dataclass(frozen=True)
class Work:
    """One run of a plan.

    Args:
        run: The run.
        done: Whether the store has it.
        what: What it computes, in words.
        compute: Does so.
    """

    run: Run
    done: bool
    what: str
    compute: Callable[[], Any]


def work(plan: Plan) -> list[Work]:
    """Every run of a plan once, in order."""
    found: dict[str, Work] = {}
    for spec in plan.training:
        what = f"{spec.phase}: train {spec.setup} on {spec.task.name}"
        found[spec.run.name] = Work(spec.run, spec.run.is_done, what, partial(train, spec))
    for cell in plan.cells:
        spec_ = cell.evaluation
        what = f"evaluate: {spec_.answering} on {cell.target}, {len(spec_.wanted_languages)} languages"
        if f"evaluate {spec_.run.name}" not in found:
            done = is_done(spec_)
            found[f"evaluate {spec_.run.name}"] = Work(spec_.run, done, what, partial(evaluate, spec_))
    return list(found.values())


def execute(plan: Plan, announce: Callable[[Work, int, int], None] = lambda item, place, total: None) -> int:
    """Carry out what is to do; returns the number of runs computed.

    Args:
        plan: The plan.
        announce: Called before each run that is computed, with its place among those to do.
    """
    to_do = [item for item in work(plan) if not item.done]
    for place, item in enumerate(to_do, start=1):
        announce(item, place, len(to_do))
        item.compute()
        free_memory()
    return len(to_do)


def train(spec: TrainSpec) -> Run:
    """Train one run; torch is imported only here."""
    from adaptrans.training.phases import run_training

    return run_training(spec)


def free_memory() -> None:
    """Give the memory of a finished run's model back before the next one loads."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
