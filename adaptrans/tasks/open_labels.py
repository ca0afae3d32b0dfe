"""Labels that a task finds in its data: tag sets of hundreds, as CCG's categories. Torch-free."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from adaptrans.errors import DataError
from adaptrans.tasks import sources
from adaptrans.tasks.schema import Task


def with_labels(task: Task, data: Path | None) -> Task:
    """The task with the labels that its data have, in alphabetical order; other tasks unchanged.

    Labels that are rarer than the task says are not learnt: where they are
    gold, the answer is wrong.

    Raises:
        MissingDataError: If the split that holds the labels is nowhere.
        DataError: If fewer than two labels are left.
    """
    rule = task.labels_from
    if rule is None or task.labels:
        return task
    published = task.languages_of(rule.split)
    at_hand = sources.available_languages(task, rule.split, data)
    languages = tuple(at_hand or published[:1])
    counts = _counted(task, rule.split, data, languages)
    labels = tuple(sorted(label for label, count in counts.items() if count >= rule.at_least))
    if len(labels) < 2:
        raise DataError(
            f"{task.name}.{rule.split} has {len(labels)} labels that occur {rule.at_least} times or more",
            data or Path(),
            remedy="lower at_least under labels_from",
        )
    return task.model_copy(update={"labels": labels})


_COUNTS: dict[tuple[str, ...], Counter[str]] = {}


def _counted(task: Task, split: str, data: Path | None, languages: tuple[str, ...]) -> Counter[str]:
    """How often each label stands in a split, counted once per content of the data."""
    key = tuple(sources.fingerprint(task, split, language, data) for language in languages)
    if key not in _COUNTS:
        counts: Counter[str] = Counter()
        for language in languages:
            for example in sources.read_examples(task, split, language, data):
                counts.update(getattr(example, "tags", None) or ())
        _COUNTS[key] = counts
    return _COUNTS[key]
