"""What a task's score is without reading the text: the level that a result has to clear. No torch.

| type | chance |
|---|---|
| classification | 1 / number of labels, or the share of the most frequent one where they are uneven |
| multiple choice | 1 / number of choices, or the share of the most frequent place where they are uneven |
| tagging | the better of one tag for every word and the test set's own tags dealt out at random |
| questions | the mean score of passages as long as the answer, from places spread over the context |
| questions that may have no answer | the better of that and of no answer for all |
| retrieval | 1 / number of candidates |

The level is computed on the reference labels of the test set itself, by the task's type (`TaskType.chance`)
with what is here. It is uneven if its most frequent answer is more frequent than even luck makes one in
forty sets of its size.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from adaptrans.task_types.letters import characters

PLACES = 8
"""Passages tried per question; more move the level by less than its interval."""

SEED = 0


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


def guess(even: float, golds: Iterable[Any]) -> float:
    """Share of right answers of the better of drawing evenly and always giving the most frequent answer."""
    times = Counter(golds)
    number = times.total()
    largest = times.most_common(1)[0][1] / number
    luck = 1.96 * (even * (1 - even) / number) ** 0.5
    return largest if largest > even + luck else even
