"""Question answering scores: SQuAD 1.1, its variant by characters, MLQA, SQuAD 2.0. No torch.

`squad` is the scorer that XTREME applies to XQuAD and TyDiQA-GoldP: the English normalization is applied in
every language, as in the reference. For Chinese, Japanese and Thai an answer is then one or few tokens and
F1 is close to exact match; `squad_characters` is the clean variant, with one token per character of such
scripts. `mlqa` has rules of its own in each of its seven languages.

In SQuAD 2.0 some questions have no answer. A prediction is a text, empty for no answer, or a mapping
`{text, no_answer}` of a text and by how much no answer scores higher than it; no answer is then given where
`no_answer` is above a threshold, 0 unless one is tuned.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics.score import Score, Statistics, Threshold, check_counts, ratio
from adaptrans.task_types.letters import characters
from adaptrans.utils.registry import Registry

Normalize = Callable[[str], str]
Tokens = Callable[[str], list[str]]
Prediction: TypeAlias = str | Mapping[str, Any] | None

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:an?|the)\b")


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


def exact_match(gold: str, prediction: str, normalize: Normalize = normalize_squad) -> float:
    """1 if both texts are equal once normalized, else 0; two empty texts are equal.

    Example:
        >>> exact_match("a", ""), exact_match("the cat", "Cat!")
        (1.0, 1.0)
    """
    return float(normalize(gold) == normalize(prediction))


def f1(
    gold: str, prediction: str, tokens: Tokens = str.split, normalize: Normalize = normalize_squad
) -> float:
    """Harmonic mean of token precision and recall, between 0 and 1.

    It is 0 without a common token, also when both sides are empty.

    Args:
        gold: A right answer.
        prediction: The answer to score.
        tokens: How a normalized text is cut; by default at whitespace.
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
    tokens: Tokens = str.split,
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


def reduce(sums: np.ndarray) -> np.ndarray:
    """Mean of F1 and exact match, F1, exact match, x 100, from sums of shape (..., 3)."""
    f1_value = ratio(100 * sums[..., 0], sums[..., 2])
    exact = ratio(100 * sums[..., 1], sums[..., 2])
    return np.stack([(exact + f1_value) / 2, f1_value, exact], axis=-1)


SQUAD = Score(
    name="squad",
    parts=("score", "f1", "exact_match"),
    statistics=statistics,
    reduce=reduce,
    source="google-research/xtreme, third_party/evaluate_squad.py (SQuAD v1.1)",
)

SQUAD_CHARACTERS = Score(
    name="squad_characters",
    parts=SQUAD.parts,
    statistics=partial(statistics, tokens=characters),
    reduce=reduce,
    source="as squad, with one token per character of scripts written without spaces",
)


Articles = Callable[[str], str]
"""Replaces the articles of a lower-case text without punctuation by spaces."""

# The range that the reference takes for Chinese characters.
_HAN = re.compile("[\u4e00-\u9fa5]")


@cache
def _punctuation() -> dict[int, None]:
    """All of Unicode's categories P*, by the tables of the running Python, and ASCII's own punctuation."""
    named = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("P"))
    return dict.fromkeys([*map(ord, string.punctuation), *named])


def _without(words: str) -> Articles:
    return partial(re.compile(rf"\b(?:{'|'.join(words.split())})\b").sub, " ")


MLQA_ARTICLES: Registry[Articles] = Registry("language of the MLQA score")
"""How articles go, by language. Other languages have no rules."""
MLQA_ARTICLES.add("en", _without("a an the"))
MLQA_ARTICLES.add("es", _without("un una unos unas el la los las"))
MLQA_ARTICLES.add("de", _without("ein eine einen einem eines einer der die das den dem des"))
MLQA_ARTICLES.add("vi", _without("của là cái chiếc những"))
# Anywhere in a word, for that is what the reference's pattern comes to.
MLQA_ARTICLES.add("ar", partial(re.compile("ال").sub, " "))
MLQA_ARTICLES.add("hi", str)
MLQA_ARTICLES.add("zh", str)


def normalize_mlqa(text: str, language: str) -> str:
    """Answer text in the form in which MLQA compares answers.

    In this order: lower-case, delete punctuation, replace articles by a space, cut into tokens
    (in Chinese every character), join them by one space.

    Raises:
        UnknownNameError: If MLQA has no such language.

    Source: google-research/xtreme, third_party/evaluate_mlqa.py.

    Example:
        >>> normalize_mlqa("Das Haus des Mannes", "de"), normalize_mlqa("北京 2008，abc", "zh")
        ('haus mannes', '北 京 2008abc')
    """
    bare = MLQA_ARTICLES[language](text.lower().translate(_punctuation()))
    if language == "zh":
        bare = _HAN.sub(r" \g<0> ", bare)
    return " ".join(bare.split())


def mlqa_in_language(language: str) -> Statistics:
    """The counts of MLQA in a language; see `statistics`.

    Args:
        language: Language of the context; of a pair such as `de-es` (German contexts, Spanish
            questions) the first.

    Raises:
        UnknownNameError: If MLQA has no such language.
    """
    context = language.partition("-")[0]
    MLQA_ARTICLES[context]
    return partial(statistics, normalize=partial(normalize_mlqa, language=context))


MLQA = Score(
    name="mlqa",
    parts=SQUAD.parts,
    statistics=mlqa_in_language("en"),
    reduce=reduce,
    source="google-research/xtreme, third_party/evaluate_mlqa.py; by the language of the context",
    in_language=mlqa_in_language,
)


def right_answers(golds: Sequence[str]) -> list[str]:
    """The reference answers that are left once normalized; the empty text alone if there are none.

    Example:
        >>> right_answers(["The.", "1973"]), right_answers([""])
        (['1973'], [''])
    """
    return [answer for answer in golds if normalize_squad(answer)] or [""]


def f1_or_none(gold: str, prediction: str) -> float:
    """As in SQuAD 1.1, but two empty texts agree.

    Example:
        >>> f1_or_none("", "the"), f1_or_none("", "cat"), f1_or_none("black cat", "cat")
        (1.0, 0.0, 0.6666666666666666)
    """
    if not normalize_squad(gold) or not normalize_squad(prediction):
        return exact_match(gold, prediction)
    return f1(gold, prediction)


def answered(prediction: Prediction, threshold: float = 0.0) -> str:
    """The answer of a prediction, empty for none.

    Example:
        >>> answered({"text": "1973", "no_answer": 0.5}), answered({"text": "1973", "no_answer": 0.5}, 1.0)
        ('', '1973')
    """
    if prediction is None or isinstance(prediction, str):
        return prediction or ""
    return "" if prediction["no_answer"] > threshold else str(prediction["text"])


def squad2_statistics(
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
        counts[row, 0] = max(f1_or_none(answer, given) for answer in right)
        counts[row, 1] = max(exact_match(answer, given) for answer in right)
        counts[row, 2] = 1
        if right != [""]:
            counts[row, 3:] = counts[row, 0], counts[row, 1], 1
    return counts


def squad2_reduce(sums: np.ndarray) -> np.ndarray:
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


def best_no_answer_threshold(golds: Sequence[Sequence[str]], predictions: Sequence[Prediction]) -> Threshold:
    """The threshold on `no_answer` with the highest F1 on these questions.

    Tune it on dev data and apply it with `shifted`: tuned on the data it is
    scored on it flatters. Of equal ones the lowest is taken; where answering
    nothing is best, it lies below every prediction, at 0 if that does.

    Source: find_best_thresh of evaluate-v2.0.py of SQuAD, which takes 0 for below everything because it
    is given probabilities. As there, any text counts as wrong for a question without an answer, also one of
    which normalization leaves nothing, such as "the", though F1 itself counts it as none. (The threshold of
    bitext mining, `adaptrans.evaluation.metrics.retrieval.best_margin_threshold`, is another rule: it is the
    best F1 of sets of pairs, midway between two margins.)

    Example:
        >>> best_no_answer_threshold([["1973"], [""]], [{"text": "1973", "no_answer": 1.0},
        ...                                             {"text": "oil", "no_answer": 2.0}])
        Threshold(value=1.0, f1=100.0)
    """
    check_counts(golds, predictions)
    odds = [0.0 if p is None or isinstance(p, str) else float(p["no_answer"]) for p in predictions]
    order = sorted(range(len(golds)), key=odds.__getitem__)

    def gained(row: int) -> float:
        """What answering a question adds to the sum of F1."""
        right, text = right_answers(golds[row]), answered(predictions[row], float("inf"))
        if right == [""]:
            return -1.0 if text else 0.0
        return max(f1_or_none(answer, text) for answer in right)

    nothing = sum(right_answers(answers) == [""] for answers in golds)
    totals = np.cumsum([float(nothing), *map(gained, order)])
    best = int(np.argmax(totals))
    below = min(odds, default=1.0)
    value = odds[order[best - 1]] if best else 0.0 if below > 0 else below - 1
    return Threshold(value, 100 * float(totals[best]) / max(len(golds), 1))


def shifted(prediction: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """A prediction whose `no_answer` counts from a tuned threshold, so that 0 decides.

    Example:
        >>> shifted({"text": "1973", "no_answer": 1.5}, 2.0)
        {'text': '1973', 'no_answer': -0.5}
    """
    return {"text": prediction["text"], "no_answer": prediction["no_answer"] - threshold}


def squad2_best_statistics(golds: Sequence[Sequence[str]], predictions: Sequence[Prediction]) -> np.ndarray:
    """As `squad2_statistics`, at the threshold that is best on these questions."""
    return squad2_statistics(golds, predictions, best_no_answer_threshold(golds, predictions).value)


SQUAD2 = Score(
    name="squad2",
    parts=("f1", "exact_match", "has_answer_f1", "has_answer_exact_match", "no_answer_accuracy"),
    statistics=squad2_statistics,
    reduce=squad2_reduce,
    source="rajpurkar/SQuAD-explorer, evaluate-v2.0.py",
)

SQUAD2_BEST = Score(
    name="squad2_best",
    parts=SQUAD2.parts,
    statistics=squad2_best_statistics,
    reduce=squad2_reduce,
    source="as squad2, at the threshold with the best F1 on the scored data itself (best_f1)",
    whole=True,
)
