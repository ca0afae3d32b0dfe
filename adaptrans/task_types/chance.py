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
from collections.abc import Callable, Iterable
from itertools import accumulate, islice
from typing import Any

import numpy as np

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.squad import characters
from adaptrans.tasks.schema import Task
from adaptrans.utils.registry import Registry

Rule = Callable[[Task, Iterable[Any], Iterable[Any]], float]
"""(task, examples, golds) to the level x 100; both can be gone through several times."""

CHUNK = 4_096
"""Answers that are counted together."""

PLACES = 8
"""Passages tried per question; more move the level by less than its interval."""

SEED = 0

RULES: Registry[Rule] = Registry("chance rule")


def chance(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float | None:
    """The chance level of a test set x 100; None without gold.

    Args:
        task: The task; its first score counts.
        examples: The examples of one language; no iterator, for they are gone through several times.
        golds: Their gold values, likewise.
    """
    if all(False for _ in golds) or any(gold is None or gold == [] for gold in golds):
        return None
    return RULES[task.kind](task, examples, golds)


@RULES.register("classification")
def _one_label(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:  # noqa: ARG001
    return 100 * _guess(1 / len(task.labels), golds)


@RULES.register("multiple_choice")
def _one_place(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:  # noqa: ARG001
    shares = [1 / len(example.choices) for example in examples]
    return 100 * _guess(sum(shares) / len(shares), golds)


@RULES.register("tagging")
def _one_tag(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:  # noqa: ARG001
    tags = sorted({tag for gold in golds for tag in gold})
    number = {tag: place for place, tag in enumerate(tags)}
    every = np.fromiter((number[tag] for gold in golds for tag in gold), dtype=np.int32)
    dealt = np.random.default_rng(SEED).permutation(every)
    starts = accumulate((len(gold) for gold in golds), initial=0)
    at_random = (
        (gold, [tags[place] for place in dealt[start : start + len(gold)]])
        for gold, start in zip(golds, starts, strict=False)
    )
    levels = [_level(task, ((gold, [tag] * len(gold)) for gold in golds)) for tag in tags]
    return max(*levels, _level(task, at_random))


@RULES.register("span_qa")
def _some_passage(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:
    tried = (
        (gold, passage)
        for example, gold in zip(examples, golds, strict=True)
        for passage in passages(example.context, gold[0])
    )
    return _level(task, tried)


@RULES.register("passage_ranking")
def _none_of_the_first(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:  # noqa: ARG001
    # A gold among the first 20 of thousands of candidates is rare at random.
    return 0.0


@RULES.register("bitext_mining")
def _one_of_the_other_corpus(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:  # noqa: ARG001
    return 100 / max(1, sum(len(example.pool) for example in examples))


@RULES.register("span_qa_null")
def _no_answer_or_some_passage(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:
    return max(_level(task, ((gold, "") for gold in golds)), _some_passage(task, examples, golds))


@RULES.register("bitext_retrieval")
def _one_candidate(task: Task, examples: Iterable[Any], golds: Iterable[Any]) -> float:  # noqa: ARG001
    return 100 / sum(1 for _ in examples)


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


def _level(task: Task, pairs: Iterable[tuple[Any, Any]]) -> float:
    """What the task's first score gives to golds and answers, some of them in memory at a time."""
    rule = SCORES[task.scores[0]]
    rest, counts = iter(pairs), []
    while chunk := list(islice(rest, None if rule.whole else CHUNK)):
        golds, answers = zip(*chunk, strict=True)
        counts.append(rule.counts(golds, answers))
    return rule.values(np.concatenate(counts))[rule.primary]


def _guess(even: float, golds: Iterable[Any]) -> float:
    """Share of right answers of the better of drawing evenly and always giving the most frequent answer."""
    times = Counter(golds)
    number = times.total()
    largest = times.most_common(1)[0][1] / number
    luck = 1.96 * (even * (1 - even) / number) ** 0.5
    return largest if largest > even + luck else even
