"""Rank intermediate tasks for a target by cheap measures, and judge the measures by what is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.evaluation.results import load_results
from adaptrans.experiments.execution.base import execute
from adaptrans.experiments.plan import Plan, Planner
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.train import TrainSpec
from adaptrans.runs.training_args import training_config
from adaptrans.runs.workspace import Workspace
from adaptrans.selection.h_score import h_score
from adaptrans.selection.leep import leep
from adaptrans.selection.logme import logme
from adaptrans.selection.nce import nce
from adaptrans.selection.probing import fitted
from adaptrans.selection.ranking import ndcg, ranked, regret
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.io import digest

FROZEN = ("text_embedding", "task_embedding", "leep", "nce", "logme", "h_score")
MEASURES = (*FROZEN, "few_steps")
"""In the order of tables; the last one trains."""


@dataclass(frozen=True)
class Judgement:
    """How good a measure's ranking is, by the scores of a store.

    Args:
        regret: Regret@1, @3 and @5, as far as there are candidates.
        ndcg: Of the whole ranking.
    """

    regret: dict[int, float]
    ndcg: float


@dataclass(frozen=True)
class Selection:
    """Candidates for a target by each measure.

    Args:
        target: The target.
        values: By measure and candidate; higher is better. A candidate that a measure does not fit is absent.
        rankings: Candidates by measure, the recommended one first.
        worth: Mean score on the target after each candidate, by what of a store tells it; empty without any.
        judged: By measure, against the first of `worth`.
        notes: What the reader has to know.
    """

    target: str
    values: dict[str, dict[str, float]]
    rankings: dict[str, list[str]]
    worth: dict[str, dict[str, float]]
    judged: dict[str, Judgement]
    notes: tuple[str, ...] = ()


def select(
    target: str,
    candidates: Sequence[str],
    *,
    where: Workspace,
    measures: Sequence[str] = MEASURES,
    limit: int = 500,
    steps: int = 30,
    seed: int = 1,
    advance: Callable[[str], None] = lambda what: None,
) -> Selection:
    """Rank intermediate tasks for a target.

    Args:
        target: The target's name.
        candidates: Intermediate tasks, with training languages in brackets if not English.
        where: The workspace.
        measures: Which measures.
        limit: Training examples of each task that are looked at.
        steps: Optimizer steps on the candidate, then on the target, of `few_steps`.
        seed: Seed of fresh heads and of the few steps.
        advance: Told what is done.

    Raises:
        ConfigError: If there are fewer than two candidates, or no measure fits.
        UnknownNameError: If there is no such task or measure.
    """
    for name in measures:
        if name not in MEASURES:
            raise UnknownNameError("measure", name, MEASURES)
    names = list(dict.fromkeys(candidates))
    if len(names) < 2:
        raise ConfigError(f"{len(names)} candidate cannot be ranked", remedy="name two or more after --from")
    options = {"max_steps": steps, "evaluate_every": steps, "limit_train": limit, "limit_dev": limit}
    few = training_config(options)
    planner = Planner(where, lambda name, whole: few, seed=seed)
    goal, _ = planner.target(parse("full"), where.task(target))
    specs = {}
    for text in names:
        (reference,) = parse(f"full({text})").references()
        specs[text] = planner.intermediate(reference, True)
    values: dict[str, dict[str, float]] = {name: {} for name in measures}
    notes: list[str] = []
    if any(name in FROZEN for name in measures):
        for text, own in _frozen(goal, specs, measures, notes, advance).items():
            for name, value in own.items():
                values[name][text] = value
    if "few_steps" in measures:
        for text in names:
            advance(f"{steps} steps on {text}, then on {target}")
            values["few_steps"] |= _few_steps(planner, text, goal, notes)
    rankings = {name: ranked(own) for name, own in values.items() if len(own) > 1}
    if not rankings:
        raise ConfigError("no measure fits two of the candidates", remedy="; ".join(notes) or "name others")
    worth = stored_worth(where, target, names)
    judged = {}
    for scores in [next(iter(worth.values()))] if worth else []:
        for name, order in rankings.items():
            known = [text for text in order if text in scores]
            if len(known) == len(scores):
                tried = {k: regret(known, scores, k) for k in (1, 3, 5) if k < len(known)}
                judged[name] = Judgement(tried, ndcg(known, scores))
    return Selection(target, values, rankings, worth, judged, tuple(dict.fromkeys(notes)))


def _frozen(
    goal: TrainSpec,
    specs: Mapping[str, TrainSpec],
    measures: Sequence[str],
    notes: list[str],
    advance: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    """The measures of a frozen encoder, by candidate."""
    # Loads torch, which a plan does without.
    from adaptrans.selection.vectors import FrozenTask, cosine, mean_cosine

    advance(f"vectors of {goal.task.name}")
    own = FrozenTask(goal)
    target = own.vectors()
    gradients = own.fisher() if "task_embedding" in measures else {}
    found: dict[str, dict[str, float]] = {}
    for text, spec in specs.items():
        advance(f"vectors of {text}")
        source = FrozenTask(spec)
        vectors = source.vectors()
        values = {"text_embedding": cosine(target.text, vectors.text)}
        if gradients:
            values["task_embedding"] = mean_cosine(gradients, source.fisher())
        if target.features is None or target.labels is None:
            notes.append(f"{goal.task.name} has no label per example or word: no leep, nce, logme, h_score")
        elif vectors.features is None or vectors.labels is None:
            notes.append(f"{text} has no label per example or word: no leep, nce, logme, h_score of it")
        else:
            probe = fitted(vectors.features, vectors.labels)
            logits = probe.logits(target.features)
            predicted = probe.probabilities(target.features)
            values |= {
                "leep": leep(predicted, target.labels),
                "nce": nce(predicted.argmax(axis=1), target.labels),
                "logme": logme(_with_ones(logits), target.labels),
                "h_score": h_score(logits, target.labels),
            }
        found[text] = {name: value for name, value in values.items() if name in measures}
    return found


def _with_ones(features: np.ndarray) -> np.ndarray:
    return np.column_stack([features, np.ones(len(features))])


def _few_steps(planner: Planner, text: str, goal: TrainSpec, notes: list[str]) -> dict[str, float]:
    """Dev score on the target after a few steps on a candidate and on the target."""
    spec, before = planner.target(parse(f"full({text})"), goal.task)
    execute(Plan((*before, spec), ()))
    score = spec.run.result().get("dev")
    if score is None:
        notes.append(f"{goal.task.name} has no dev set to score few steps on")
        return {}
    return {text: float(score)}


OTHER = ("setup", "seed", "parents", "trained", "method")


def stored_worth(where: Workspace, target: str, candidates: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean scores on a target after each candidate, as the evaluations of a store tell them.

    By `full(A)` and `A > target`, evaluated with the same options on this backbone, mean over the languages
    that all have and over seeds. What has fewer than two candidates is left out; the one with most comes
    first.
    """
    forms = {
        str(parse(form.format(text))): (form.format("A"), text)
        for text in candidates
        for form in ("full({})", "{} > target")
    }
    groups: dict[tuple[str, str], dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for run in where.store.runs("evaluate"):
        config = run.config()
        named = forms.get(str(config.get("setup")))
        task = TaskRef.parse(str(config.get("task", ""))).name
        if named is None or task != target or config.get("backbone") != where.backbone.fingerprint:
            continue
        rest = digest({name: value for name, value in config.items() if name not in OTHER})
        results = load_results(run)
        means = {code: value for code, own in results.items() if (value := own.value) is not None}
        groups[f"{named[0]}, {config.get('method')}", rest][named[1]].append(means)
    found: dict[str, dict[str, float]] = {}
    for (form, _), own in sorted(groups.items(), key=lambda item: -len(item[1])):
        shared = set.intersection(*(set(means) for runs in own.values() for means in runs))
        if len(own) > 1 and shared and form not in found:
            found[form] = {
                text: float(np.mean([np.mean([means[code] for code in shared]) for means in runs]))
                for text, runs in own.items()
            }
    return found
