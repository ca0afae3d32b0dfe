"""The scores through the interface of the `evaluate` library, built in place and offline.

Importing this module imports `evaluate` and `datasets`; nothing else in the package needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.score import Score
from adaptrans.utils.registry import Registry

TEXT = datasets.Value("string")
NUMBER = datasets.Value("int64")
TEXTS = datasets.Sequence(TEXT)


SIGNATURES = {
    ("accuracy",): [(TEXT, TEXT), (NUMBER, NUMBER)],
    ("chunk_f1", "entity_f1", "token_accuracy", "bucc_f1", "map_at_20", "mrr_at_20"): [(TEXTS, TEXTS)],
    ("squad", "squad_characters", "mlqa"): [(TEXTS, TEXT)],
    ("squad2", "squad2_best"): [
        (TEXTS, TEXT),
        (TEXTS, {"text": TEXT, "no_answer": datasets.Value("float64")}),
    ],
    ("masked_pieces",): [(TEXT, datasets.Sequence(NUMBER))],
}
"""What one reference and one prediction look like; the first that fits a batch is taken."""

FEATURES: Registry[list[datasets.Features]] = Registry("score")
for _names, _pairs in SIGNATURES.items():
    for _name in _names:
        FEATURES.add(_name, [datasets.Features({"references": a, "predictions": b}) for a, b in _pairs])


class ScoreMetric(evaluate.Metric):
    """One of the package's scores as an `evaluate.Metric`.

    Args:
        score: The scoring rule.
        features: What a reference and a prediction look like.
        language: Language of the examples, for scores whose rules differ between languages.
        options: Passed to `evaluate.Metric`.
    """

    def __init__(
        self, score: Score, features: list[datasets.Features], language: str | None = None, **options: Any
    ) -> None:
        self.score = score
        self.language = language
        self._score_features = features
        super().__init__(config_name=score.name, **options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=f"{self.score.name}: {', '.join(self.score.parts)}, x 100. {self.score.source}.",
            citation="",
            inputs_description="\n\nA prediction for each reference; see adaptrans.evaluation.metrics.",
            features=self._score_features,
        )

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        return self.score.compute(references, predictions, self.language)


def metric(name: str, language: str | None = None, **options: Any) -> evaluate.Metric:
    """A score as an `evaluate.Metric`, made in place: nothing is downloaded.

    Args:
        name: Name of a score in `SCORES`.
        language: Language of the examples, for scores whose rules differ between languages (`mlqa`).
        options: Passed to `evaluate.Metric`; examples are kept in memory unless
            `keep_in_memory=False`.

    Raises:
        UnknownNameError: If there is no such score.

    Example:
        >>> metric("accuracy").compute(references=["a", "b"], predictions=["a", "a"])
        {'accuracy': 50.0}
    """
    return ScoreMetric(SCORES[name], FEATURES[name], language, **{"keep_in_memory": True, **options})
