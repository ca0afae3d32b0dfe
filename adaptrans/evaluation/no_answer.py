"""When a setup says that a passage holds no answer: a threshold tuned on dev data of the source language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrans.evaluation.metrics.squad2 import Threshold, best_threshold
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.tasks.sources import available_languages

if TYPE_CHECKING:
    from adaptrans.evaluation.session import Session


def dev_threshold(spec: EvaluateSpec, session: Session) -> tuple[Threshold, str] | None:
    """The threshold that is best on the task's dev set, and the language it was tuned in.

    English, or the first language whose dev set is at hand: never a test language's own labels alone.
    None for a task whose questions all have answers, for the dev set itself, and without a dev set.
    """
    task = spec.task
    if not task.unanswerable or spec.config.split == "dev" or "dev" not in task.splits:
        return None
    languages = available_languages(task, "dev", spec.workspace.data)
    if not languages:
        return None
    language = "en" if "en" in languages else languages[0]
    examples = spec.workspace.examples(task, "dev", language, spec.config.limit, [])
    key = spec.workspace.data_key(task, "dev", language)
    outcome = session.answer(language, f"dev:{key}", examples, lambda done: None)
    return best_threshold(outcome.golds, list(outcome.predictions)), language
