"""The task files of the suite: valid, and read by the ordinary readers."""

from __future__ import annotations

import pytest

from adaptrans.samples import DATA, TASKS
from adaptrans.tasks import catalogue, loading

NAMES = sorted(path.stem for path in TASKS.glob("*.yaml"))


def test_seven_tasks_are_offered():
    parts = ("copa", "ner", "nli", "paraphrase", "pos", "qa", "retrieval")
    assert [f"sample_{part}" for part in parts] == NAMES
    assert set(NAMES) <= set(catalogue.names([TASKS]))


@pytest.mark.parametrize("name", NAMES)
def test_every_split_is_read_whole(name):
    task = catalogue.get(name, [TASKS])
    assert task.license == "CC0-1.0"
    assert task.parallel
    for split, definition in task.splits.items():
        for language in task.languages_of(split):
            examples = loading.read_examples(task, split, language, DATA)
            assert len(examples) == definition.count(language)
