"""The runs of a plan as pieces of work, each with what it computes and what it waits for. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adaptrans.evaluation.zero_shot import evaluate, is_done
from adaptrans.experiments.plan import Plan
from adaptrans.experiments.planner import Training
from adaptrans.hub.store import Run
from adaptrans.models.control import control_of
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.shots import ShotSpec
from adaptrans.runs.specs import TrainSpec


@dataclass(frozen=True)
class Work:
    """One run of a plan.

    Args:
        run: The run.
        done: Whether the store has it.
        what: What it computes, in words.
        compute: Does so.
        needs: Folders of the runs that it builds on.
    """

    run: Run
    done: bool
    what: str
    compute: Callable[[], Any]
    needs: frozenset[Path] = frozenset()


def work(plan: Plan) -> list[Work]:
    """Every run of a plan once, in order."""
    found: dict[str, Work] = {}
    told = _telling((*plan.training, *(cell.evaluation for cell in plan.cells)))
    for spec in plan.training:
        what = f"{spec.phase}: train {spec.setup} on {_data(spec)}{told(spec)}"
        needs = frozenset(parent.path for parent in spec.parents.values())
        found[spec.run.name] = Work(spec.run, spec.run.is_done, what, partial(train, spec), needs)
    for cell in plan.cells:
        spec_ = cell.evaluation
        number = len(spec_.wanted_languages)
        answering = spec_.regime.row(spec_.answering)
        what = f"evaluate: {answering} on {cell.target}, {number} languages{told(spec_)}"
        if f"evaluate {spec_.run.name}" not in found:
            before = [*spec_.parents.values(), *([spec_.trained] if spec_.trained else [])]
            before += [shot.run for shot in spec_.shots.values()]
            found[f"evaluate {spec_.run.name}"] = Work(
                spec_.run,
                is_done(spec_),
                what,
                partial(evaluate, spec_),
                frozenset(run.path for run in before),
            )
    return list(found.values())


def train(spec: Training) -> Run:
    """Train one run; torch is imported only here."""
    match spec:
        case ShotSpec():
            from adaptrans.training.shots import run_shots

            return run_shots(spec)
        case TrainSpec():
            from adaptrans.training.phases import run_training

            return run_training(spec)


def _data(spec: Training) -> str:
    """What a run is trained on, in words."""
    match spec:
        case ShotSpec(language=language):
            return f"{spec.task.name} {language}"
    return spec.task.name


def _telling(
    specs: Sequence[Training | EvaluateSpec],
) -> Callable[[Training | EvaluateSpec], str]:
    """What tells a run from those of other seeds, methods and backbones, where a plan has several."""
    seeds = len({spec.seed for spec in specs}) > 1
    methods = len({_method(spec) for spec in specs} - {""}) > 1
    names = {spec.workspace.backbone.name for spec in specs}
    backbones = len({control_of(name) or name for name in names}) > 1

    def told(spec: Training | EvaluateSpec) -> str:
        seed, method, name = spec.inputs["seed"], _method(spec), spec.workspace.backbone.name
        parts = [f", {method}"] if methods and method else []
        parts += [f", seed {seed}"] if seeds and seed is not None else []
        parts += [f" [{name}]"] if backbones or control_of(name) is not None else []
        return "".join(parts)

    return told


def _method(spec: Training | EvaluateSpec) -> str:
    """The adapter method of a run; empty for a whole model and for the bare backbone."""
    method = str(spec.inputs["method"])
    return "" if method in ("full", "none") else method
