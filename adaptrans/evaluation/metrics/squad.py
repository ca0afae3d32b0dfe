"""Question answering scores: the SQuAD scorer that XTREME applies to XQuAD and TyDiQA-GoldP. No torch.

The English normalization is applied in every language, as in the reference. For Chinese,
Japanese and Thai an answer is then one or few tokens and F1 is close to exact match;
`squad_characters` is the clean variant, with one token per character of such scripts.
"""

from __future__ import annotations

import re
import string
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics.score import Score, check_counts, ratio
from adaptrans.task_types.letters import characters

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:an?|the)\b")

Tokens = Callable[[str], list[str]]
Normalize = Callable[[str], str]


def normalize_squad(text: str) -> str:
    """Answer text in the form in which answers are compared.

    In this order: lower-case, delete ASCII punctuation, replace the words a, an, the by a
    space, collapse whitespace.

    Source: google-research/xtreme, third_party/evaluate_squad.py.

    Example:
        >>> normalize_squad("The U.S. dollars"), normalize_squad("北京，2008年")
        ('us dollars', '北京，2008年')
    """
    bare = text.lower().translate(_DELETE_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", bare).split())


def words(text: str) -> list[str]:
    """Tokens of a normalized text: what stands between whitespace."""
    return text.split()


def exact_match(gold: str, prediction: str, normalize: Normalize = normalize_squad) -> float:
    """1 if both texts are equal once normalized, else 0; two empty texts are equal.

    Example:
        >>> exact_match("a", ""), exact_match("the cat", "Cat!")
        (1.0, 1.0)
    """
    return float(normalize(gold) == normalize(prediction))


def f1(gold: str, prediction: str, tokens: Tokens = words, normalize: Normalize = normalize_squad) -> float:
    """Harmonic mean of token precision and recall, between 0 and 1.

    It is 0 without a common token, also when both sides are empty.

    Args:
        gold: A right answer.
        prediction: The answer to score.
        tokens: How a normalized text is cut.
        normalize: What is done to both texts before.

    Example:
        >>> f1("black cats", "two black cats"), f1("", "")
        (0.8, 0.0)
    """
    expected, found = tokens(normalize(gold)), tokens(normalize(prediction))
    overlap = sum((Counter(expected) & Counter(found)).values())
    if overlap == 0:
        return 0.0
    precision, recall = overlap / len(found), overlap / len(expected)
    return 2 * precision * recall / (precision + recall)


def statistics(
    golds: Sequence[Sequence[str]],
    predictions: Sequence[str | None],
    tokens: Tokens = words,
    normalize: Normalize = normalize_squad,
) -> np.ndarray:
    """Best F1, best exact match and 1 for each question, shape (questions, 3).

    Args:
        golds: The right answers of each question; the best counts, for F1 and exact match apart.
        predictions: One answer for each question; None is an unanswered one, which scores 0.
        tokens: How a normalized text is cut.
        normalize: What is done to both texts before.

    Raises:
        AdaptransError: If the numbers differ, or a question has no right answer.

    Warns:
        UserWarning: With the number of unanswered questions, if there are any.
    """
    check_counts(golds, predictions)
    counts = np.zeros((len(golds), 3), dtype=np.float64)
    counts[:, 2] = 1
    for row, (answers, prediction) in enumerate(zip(golds, predictions, strict=True)):
        if isinstance(answers, str) or not answers:
            raise AdaptransError(
                f"question {row} needs one right answer or more, found {answers!r}",
                remedy="give a tuple of answer texts for each question",
            )
        if prediction is not None:
            counts[row, 0] = max(f1(answer, prediction, tokens, normalize) for answer in answers)
            counts[row, 1] = max(exact_match(answer, prediction, normalize) for answer in answers)
    unanswered = sum(prediction is None for prediction in predictions)
    if unanswered:
        warnings.warn(f"{unanswered} of {len(golds)} questions are unanswered and score 0", stacklevel=2)
    return counts


def character_statistics(golds: Sequence[Sequence[str]], predictions: Sequence[str | None]) -> np.ndarray:
    """As `statistics`, with one token per character of scripts written without spaces."""
    return statistics(golds, predictions, characters)


def reduce(sums: np.ndarray) -> np.ndarray:
    """Mean of F1 and exact match, F1, exact match, x 100, from sums of shape (..., 3)."""
    f1_value = ratio(100 * sums[..., 0], sums[..., 2])
    exact = ratio(100 * sums[..., 1], sums[..., 2])
    return np.stack([(exact + f1_value) / 2, f1_value, exact], axis=-1)


PARTS = ("score", "f1", "exact_match")

SQUAD = Score(
    name="squad",
    parts=PARTS,
    higher_is_better=True,
    statistics=statistics,
    reduce=reduce,
    source="google-research/xtreme, third_party/evaluate_squad.py (SQuAD v1.1)",
)

SQUAD_CHARACTERS = Score(
    name="squad_characters",
    parts=PARTS,
    higher_is_better=True,
    statistics=character_statistics,
    reduce=reduce,
    source="as squad, with one token per character of scripts written without spaces",
)
