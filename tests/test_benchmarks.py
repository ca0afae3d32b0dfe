"""The benchmarks that ship: their languages by number, their files, their refusals."""

import pytest

from adaptrans import benchmarks
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.tasks import catalogue

# Source: google-research/xtreme evaluate.py, numbers of languages as stated with the rules.
XTREME = {
    "pawsx": 7, "xnli": 15, "panx": 40, "udpos": 33, "bucc2018": 4, "tatoeba": 36, "xquad": 11, "mlqa": 7,
    "tydiqa": 9,
}  # fmt: skip
XTREME_R = {
    "xnli": 15, "panx": 48, "udpos": 38, "tatoeba": 41, "xquad": 12, "mlqa": 7, "tydiqa": 9, "xcopa": 11,
    "mewslix": 11, "lareqa": 11,
}  # fmt: skip


@pytest.mark.parametrize(("name", "numbers"), [("xtreme", XTREME), ("xtreme-r", XTREME_R)])
def test_tasks_and_numbers_of_languages(name, numbers):
    assert {task: len(rule.languages) for task, rule in benchmarks.get(name).tasks.items()} == numbers


def test_xtreme_r_adds_languages_to_those_of_xtreme():
    first, second = benchmarks.get("xtreme"), benchmarks.get("xtreme-r")
    for task in set(first.tasks) & set(second.tasks):
        assert set(first.tasks[task].languages) <= set(second.tasks[task].languages)


def test_every_task_of_xtreme_is_in_a_group_and_xcopa_is_in_two():
    first, second = benchmarks.get("xtreme"), benchmarks.get("xtreme-r")
    assert {task for group in first.groups.values() for task in group} == set(first.tasks)
    grouped = [task for group in second.groups.values() for task in group]
    assert grouped.count("xcopa") == 2
    assert set(second.tasks) - set(grouped) == {"lareqa"}


def test_own_definitions_are_marked():
    found = benchmarks.get("xtreme-r")
    assert found.tasks["lareqa"].ours
    assert found.ours
    assert not benchmarks.get("xtreme").ours
    assert not any(task.ours for task in benchmarks.get("xtreme").tasks.values())


@pytest.mark.parametrize("name", ["xtreme", "xtreme-r"])
def test_tasks_fit_the_catalogue(name):
    found = benchmarks.get(name)
    for task, rule in zip(found.targets, found.tasks.values(), strict=True):
        ours = catalogue.get(task)
        assert (ours.kind, ours.scores[0]) == (rule.kind, rule.score)
        assert set(ours.languages) == set(rule.languages)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match='did you mean "xtreme-r"'):
        benchmarks.get("xtreme_r")


def test_a_bad_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    text = (benchmarks.HERE / "xtreme.yaml").read_text().replace("name: xtreme", "name: mine")
    path.write_text(text)
    assert benchmarks.load(path).name == "mine"
    for old, new, message in (
        ("qa: [xquad", "qa: [xqad", 'group qa: unknown task "xqad"; did you mean "xquad"'),
        ("score: mlqa", "scores: mlqa", r'mine.yaml:\d+: unknown key "scores"; did you mean "score"'),
        ("[de, fr, ru, zh]", "[de, fr, de]", "task bucc2018: language de is listed twice"),
        ("name: mine", "name: other", 'holds the benchmark "other"'),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=message):
            benchmarks.load(path)
