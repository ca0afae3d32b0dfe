"""SQuAD 2.0: answers as in SQuAD 1.1, and questions that have none. No torch.

A prediction is a text, empty for no answer, or a mapping `{text, no_answer}`
of a text and by how much no answer scores higher than it; no answer is then
given where `no_answer` is above a threshold, 0 unless one is tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from adaptrans.evaluation.metrics import squad
from adaptrans.evaluation.metrics.score import Score, check_counts, ratio

Prediction: TypeAlias = str | Mapping[str, Any] | None


class Threshold(NamedTuple):
    """The threshold above which no answer is given, and the F1 x 100 it reaches where it was tuned."""

    value: float
    f1: float


def right_answers(golds: Sequence[str]) -> list[str]:
    """The reference answers that are left once normalized; the empty text alone if there are none.

    Example:
        >>> right_answers(["The.", "1973"]), right_answers([""])
        (['1973'], [''])
    """
    return [answer for answer in golds if squad.normalize_squad(answer)] or [""]


def f1(gold: str, prediction: str) -> float:
    """As in SQuAD 1.1, but two empty texts agree.

    Example:
        >>> f1("", "the"), f1("", "cat"), f1("black cat", "cat")
        (1.0, 0.0, 0.6666666666666666)
    """
    if not squad.normalize_squad(gold) or not squad.normalize_squad(prediction):
        return squad.exact_match(gold, prediction)
    return squad.f1(gold, prediction)


def answered(prediction: Prediction, threshold: float = 0.0) -> str:
    """The answer of a prediction, empty for none.

    Example:
        >>> answered({"text": "1973", "no_answer": 0.5}), answered({"text": "1973", "no_answer": 0.5}, 1.0)
        ('', '1973')
    """
    if prediction is None or isinstance(prediction, str):
        return prediction or ""
    return "" if prediction["no_answer"] > threshold else str(prediction["text"])


def statistics(
    golds: Sequence[Sequence[str]], predictions: Sequence[Prediction], threshold: float = 0.0
) -> np.ndarray:
    """F1 and exact match of each question, and whether it has an answer, shape (questions, 6).

    Columns: F1, exact match, 1, then the same for questions with an answer alone.

    Raises:
        AdaptransError: If the numbers differ.

    Source: evaluate-v2.0.py of SQuAD. It leaves out questions without a prediction; here they count as
    answered with none.
    """
    check_counts(golds, predictions)
    counts = np.zeros((len(golds), 6), dtype=np.float64)
    for row, (answers, prediction) in enumerate(zip(golds, predictions, strict=True)):
        right, given = right_answers(answers), answered(prediction, threshold)
        counts[row, 0] = max(f1(answer, given) for answer in right)
        counts[row, 1] = max(squad.exact_match(answer, given) for answer in right)
        counts[row, 2] = 1
        if right != [""]:
            counts[row, 3:] = counts[row, 0], counts[row, 1], 1
    return counts


def reduce(sums: np.ndarray) -> np.ndarray:
    """F1, exact match, both on questions with an answer, accuracy on those without, x 100.

    Args:
        sums: Shape (..., 6).
    """
    total, answerable = sums[..., 2], sums[..., 5]
    return np.stack(
        [
            ratio(100 * sums[..., 0], total),
            ratio(100 * sums[..., 1], total),
            ratio(100 * sums[..., 3], answerable),
            ratio(100 * sums[..., 4], answerable),
            ratio(100 * (sums[..., 0] - sums[..., 3]), total - answerable),
        ],
        axis=-1,
    )


def best_threshold(golds: Sequence[Sequence[str]], predictions: Sequence[Prediction]) -> Threshold:
    """The threshold on `no_answer` with the highest F1 on these questions.

    Tune it on dev data and apply it with `shifted`: tuned on the data it is
    scored on it flatters. Of equal ones the lowest is taken; where answering
    nothing is best, it lies below every prediction, at 0 if that does.

    Source: find_best_thresh of evaluate-v2.0.py of SQuAD, which takes 0 for below everything because it
    is given probabilities. As there, any text counts as wrong for a question without an answer, also one of
    which normalization leaves nothing, such as "the", though F1 itself counts it as none.

    Example:
        >>> best_threshold([["1973"], [""]], [{"text": "1973", "no_answer": 1.0},
        ...                                   {"text": "oil", "no_answer": 2.0}])
        Threshold(value=1.0, f1=100.0)
    """
    check_counts(golds, predictions)
    texts = [answered(prediction, float("inf")) for prediction in predictions]
    odds = [0.0 if p is None or isinstance(p, str) else float(p["no_answer"]) for p in predictions]
    rights = [right_answers(answers) for answers in golds]
    current = best = float(sum(right == [""] for right in rights))
    least = min(odds, default=1.0)
    value = 0.0 if least > 0 else least - 1
    for row in sorted(range(len(golds)), key=odds.__getitem__):
        if rights[row] != [""]:
            current += max(f1(answer, texts[row]) for answer in rights[row])
        elif texts[row]:
            current -= 1
        if current > best:
            best, value = current, odds[row]
    return Threshold(value, 100 * best / max(len(golds), 1))


def shifted(prediction: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """A prediction whose `no_answer` counts from a tuned threshold, so that 0 decides.

    Example:
        >>> shifted({"text": "1973", "no_answer": 1.5}, 2.0)
        {'text': '1973', 'no_answer': -0.5}
    """
    return {"text": prediction["text"], "no_answer": prediction["no_answer"] - threshold}


def best_statistics(golds: Sequence[Sequence[str]], predictions: Sequence[Prediction]) -> np.ndarray:
    """As `statistics`, at the threshold that is best on these questions."""
    return statistics(golds, predictions, best_threshold(golds, predictions).value)


PARTS = ("f1", "exact_match", "has_answer_f1", "has_answer_exact_match", "no_answer_accuracy")

SQUAD2 = Score(
    name="squad2",
    parts=PARTS,
    higher_is_better=True,
    statistics=statistics,
    reduce=reduce,
    source="rajpurkar/SQuAD-explorer, evaluate-v2.0.py",
)

SQUAD2_BEST = Score(
    name="squad2_best",
    parts=PARTS,
    higher_is_better=True,
    statistics=best_statistics,
    reduce=reduce,
    source="as squad2, at the threshold with the best F1 on the scored data itself (best_f1)",
    whole=True,
)
