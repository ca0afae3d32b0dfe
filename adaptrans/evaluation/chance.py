"""What a task's score is without reading the text: the level that a result has to clear. No torch.

| kind | chance |
|---|---|
| classification | 1 / number of labels, or the share of the most frequent one where they are uneven |
| multiple choice | 1 / number of choices, or the share of the most frequent place where they are uneven |
| tagging | the better of one tag for every word and the test set's own tags dealt out at random |
| questions | the mean score of passages as long as the answer, from places spread over the context |
| questions that may have no answer | the better of that and of no answer for all |
| retrieval | 1 / number of candidates |

The level is computed on the gold labels of the test set itself. It is uneven if its most frequent answer is
more frequent than even luck makes one in forty sets of its size.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.squad import characters
from adaptrans.registry import Registry
from adaptrans.tasks.schema import Task

Rule = Callable[[Task, Sequence[Any], Sequence[Any]], float]
"""(task, examples, golds) to the level x 100."""

PLACES = 8
"""Passages tried per question; more move the level by less than its interval."""

SEED = 0

RULES: Registry[Rule] = Registry("chance rule")


def chance(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float | None:
    """The chance level of a test set x 100; None without gold.

    Args:
        task: The task; its first score counts.
        examples: The examples of one language.
        golds: Their gold values.
    """
    if not golds or any(gold is None or gold == [] for gold in golds):
        return None
    return RULES[task.kind](task, examples, golds)


@RULES.register("classification")
def _one_label(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:  # noqa: ARG001
    return 100 * _guess(1 / len(task.labels), golds)


@RULES.register("multiple_choice")
def _one_place(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:  # noqa: ARG001
    drawn = sum(1 / len(example.choices) for example in examples) / len(examples)
    return 100 * _guess(drawn, golds)


@RULES.register("tagging")
def _one_tag(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:  # noqa: ARG001
    rule = SCORES[task.scores[0]]
    every = [tag for gold in golds for tag in gold]
    dealt = iter(np.random.default_rng(SEED).permutation(every).tolist())
    answers = [[[tag] * len(gold) for gold in golds] for tag in sorted(set(every))]
    answers.append([[next(dealt) for _ in gold] for gold in golds])
    return max(rule.compute(golds, answer)[rule.primary] for answer in answers)


@RULES.register("span_qa")
def _some_passage(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:
    rule = SCORES[task.scores[0]]
    tried = [
        (gold, passage)
        for example, gold in zip(examples, golds, strict=True)
        for passage in passages(example.context, gold[0])
    ]
    return rule.compute([gold for gold, _ in tried], [passage for _, passage in tried])[rule.primary]


@RULES.register("passage_ranking")
def _none_of_the_first(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:  # noqa: ARG001
    # A gold among the first 20 of thousands of candidates is rare at random.
    return 0.0


@RULES.register("bitext_mining")
def _one_of_the_other_corpus(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:  # noqa: ARG001
    return 100 / max(1, sum(len(example.pool) for example in examples))


@RULES.register("span_qa_null")
def _no_answer_or_some_passage(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:
    rule = SCORES[task.scores[0]]
    nothing = rule.compute(golds, [""] * len(golds))[rule.primary]
    return max(nothing, _some_passage(task, examples, golds))


@RULES.register("bitext_retrieval")
def _one_candidate(task: Task, examples: Sequence[Any], golds: Sequence[Any]) -> float:  # noqa: ARG001
    return 100 / len(examples)


def passages(context: str, answer: str, places: int = PLACES) -> list[str]:
    """Passages of a context with as many words as an answer, evenly spread.

    In scripts written without spaces each character counts as a word.

    Example:
        >>> passages("The cat sat on the mat.", "a dog", places=3)
        ['The cat', 'sat on', 'the mat.']
        >>> passages("图书馆在哪里", "北京", places=2)
        ['图书', '哪里']
    """
    unit = r"\S" if len(characters(context)) > 2 * len(context.split()) else r"\S+"
    found = [match.span() for match in re.finditer(unit, context)]
    wanted = min(max(1, len(re.findall(unit, answer))), len(found))
    last = len(found) - wanted
    starts = sorted({round(last * place / max(1, places - 1)) for place in range(places)})
    return [context[found[start][0] : found[start + wanted - 1][1]] for start in starts]


def _guess(even: float, golds: Sequence[Any]) -> float:
    """Share of right answers of the better of drawing evenly and always giving the most frequent answer."""
    largest = Counter(golds).most_common(1)[0][1] / len(golds)
    luck = 1.96 * (even * (1 - even) / len(golds)) ** 0.5
    return largest if largest > even + luck else even
