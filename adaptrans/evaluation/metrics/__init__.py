"""Scores by name, each as additive counts per example and a reduction. No torch.

Example:
    >>> "chunk_f1" in SCORES, "token_accuracy" in SCORES
    (True, True)
    >>> SCORES["chunk_f1"].compute([["NOUN", "SYM", "SYM"]], [["NOUN", "SYM", "X"]])["precision"]
    66.66666666666666
"""

from __future__ import annotations

from adaptrans.evaluation.metrics.score import Score
from adaptrans.utils.registry import Registry

SCORES: Registry[Score] = Registry("score")
SCORES.add("accuracy", "adaptrans.evaluation.metrics.accuracy:SCORE")
SCORES.add("chunk_f1", "adaptrans.evaluation.metrics.tagging:CHUNK_F1")
SCORES.add("entity_f1", "adaptrans.evaluation.metrics.tagging:ENTITY_F1")
SCORES.add("token_accuracy", "adaptrans.evaluation.metrics.tagging:TOKEN_ACCURACY")
SCORES.add("squad", "adaptrans.evaluation.metrics.squad:SQUAD")
SCORES.add("squad_characters", "adaptrans.evaluation.metrics.squad:SQUAD_CHARACTERS")
SCORES.add("squad2", "adaptrans.evaluation.metrics.squad2:SQUAD2")
SCORES.add("squad2_best", "adaptrans.evaluation.metrics.squad2:SQUAD2_BEST")
SCORES.add("mlqa", "adaptrans.evaluation.metrics.mlqa:SCORE")
SCORES.add("bucc_f1", "adaptrans.evaluation.metrics.retrieval:SCORE")
SCORES.add("map_at_20", "adaptrans.evaluation.metrics.retrieval:MAP_AT_20")
SCORES.add("masked_pieces", "adaptrans.evaluation.metrics.accuracy:MASKED_SUBWORDS")
SCORES.add("mrr_at_20", "adaptrans.evaluation.metrics.retrieval:MRR_AT_20")

__all__ = ["SCORES", "Score"]
