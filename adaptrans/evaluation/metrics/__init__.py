"""Scores by name, each as additive counts per example and a reduction. No torch.

Example:
    >>> "chunk_f1" in SCORES, "token_accuracy" in SCORES
    (True, True)
    >>> SCORES["chunk_f1"].compute([["NOUN", "SYM", "SYM"]], [["NOUN", "SYM", "X"]])["precision"]
    66.66666666666666
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from adaptrans.evaluation.metrics.score import Score
from adaptrans.tasks.schema import Task
from adaptrans.utils.registry import Registry

SCORES: Registry[Score] = Registry("score")
SCORES.add("accuracy", "adaptrans.evaluation.metrics.accuracy:ACCURACY")
SCORES.add("chunk_f1", "adaptrans.evaluation.metrics.tagging:CHUNK_F1")
SCORES.add("entity_f1", "adaptrans.evaluation.metrics.tagging:ENTITY_F1")
SCORES.add("token_accuracy", "adaptrans.evaluation.metrics.tagging:TOKEN_ACCURACY")
SCORES.add("squad", "adaptrans.evaluation.metrics.question_answering:SQUAD")
SCORES.add("squad_characters", "adaptrans.evaluation.metrics.question_answering:SQUAD_CHARACTERS")
SCORES.add("squad2", "adaptrans.evaluation.metrics.question_answering:SQUAD2")
SCORES.add("squad2_best", "adaptrans.evaluation.metrics.question_answering:SQUAD2_BEST")
SCORES.add("mlqa", "adaptrans.evaluation.metrics.question_answering:MLQA")
SCORES.add("bucc_f1", "adaptrans.evaluation.metrics.retrieval:BUCC_F1")
SCORES.add("map_at_20", "adaptrans.evaluation.metrics.retrieval:MAP_AT_20")
SCORES.add("masked_pieces", "adaptrans.evaluation.metrics.accuracy:MASKED_SUBWORDS")
SCORES.add("mrr_at_20", "adaptrans.evaluation.metrics.retrieval:MRR_AT_20")

__all__ = ["SCORES", "Score", "chance"]

CHUNK = 4_096
"""Answers that are counted together for a chance level."""


def chance(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float | None:
    """The chance level of a test set x 100, see `TaskType.chance`; None without gold.

    Args:
        task: The task; its first score counts.
        examples: The examples of one language; no iterator, for they are gone through several times.
        golds: Their references, likewise.
    """
    if all(False for _ in golds) or any(gold is None or gold == [] for gold in golds):
        return None
    rule = SCORES[task.scores[0]]

    def level(pairs: Iterable[tuple[Any, Any]]) -> float:
        rest, counts = iter(pairs), []
        while chunk := list(islice(rest, None if rule.whole else CHUNK)):
            own, answers = zip(*chunk, strict=True)
            counts.append(rule.counts(own, answers))
        return rule.values(np.concatenate(counts))[rule.primary]

    return task.type.chance(task, examples, golds, level)
