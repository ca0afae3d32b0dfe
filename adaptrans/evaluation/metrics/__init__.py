"""Scores by name, each as additive counts per example and a reduction. No torch.

Example:
    >>> SCORES.names()
    ['accuracy', 'chunk_f1', 'squad', 'squad_characters', 'token_accuracy']
    >>> SCORES["chunk_f1"].compute([["NOUN", "SYM", "SYM"]], [["NOUN", "SYM", "X"]])["precision"]
    66.66666666666666
"""

from __future__ import annotations

from adaptrans.evaluation.metrics.score import Score
from adaptrans.registry import Registry

SCORES: Registry[Score] = Registry("score")
SCORES.add("accuracy", "adaptrans.evaluation.metrics.accuracy:SCORE")
SCORES.add("chunk_f1", "adaptrans.evaluation.metrics.tagging:CHUNK_F1")
SCORES.add("token_accuracy", "adaptrans.evaluation.metrics.tagging:TOKEN_ACCURACY")
SCORES.add("squad", "adaptrans.evaluation.metrics.squad:SQUAD")
SCORES.add("squad_characters", "adaptrans.evaluation.metrics.squad:SQUAD_CHARACTERS")

__all__ = ["SCORES", "Score"]
