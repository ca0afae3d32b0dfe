import pytest

from adaptrans.errors import DataError, MissingDataError
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import read_examples, with_labels

TRAIN = "the|DT|NP/N cat|NN|N sleeps|VBZ|S\\NP\n" * 10 + "zzz|FW|X\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ccg").mkdir()
    (tmp_path / "ccg/wsj02-21.stagged").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "ccg/wsj00.stagged").write_text("cat|NN|N zzz|FW|X\n", encoding="utf-8")
    return tmp_path


def test_labels_are_those_of_the_data_that_are_not_rare(folder):
    task = with_labels(catalogue.get("ccg"), folder)
    assert task.labels == ("N", "NP/N", "S\\NP")
    assert with_labels(task, folder) is task


def test_other_tasks_stay_as_they_are(tmp_path):
    task = catalogue.get("udpos")
    assert with_labels(task, tmp_path) is task


def test_rare_labels_are_read_but_not_learnt(folder, tokenizer):
    from adaptrans.task_types.base import TASK_TYPES
    from adaptrans.task_types.inputs import IGNORED

    task = with_labels(catalogue.get("ccg"), folder)
    examples = read_examples(task, "dev", "en", folder)
    assert examples[0].tags == ("N", "X")
    (feature,) = TASK_TYPES["tagging"].encode(examples, tokenizer, task, 64, True)
    firsts = [feature["token_labels"][start] for start in feature["starts"]]
    assert firsts == [task.labels.index("N"), IGNORED]


def test_changed_data_have_changed_labels(folder):
    before = with_labels(catalogue.get("ccg"), folder)
    (folder / "ccg/wsj02-21.stagged").write_text(TRAIN + "a|X|Y\n" * 10, encoding="utf-8")
    assert set(with_labels(catalogue.get("ccg"), folder).labels) - set(before.labels) == {"Y"}


def test_without_data_there_are_no_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingDataError, match=r"no data for ccg\.train"):
        with_labels(catalogue.get("ccg"), tmp_path)


def test_too_few_labels(folder):
    (folder / "ccg/wsj02-21.stagged").write_text("a|X|N\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"ccg\.train has 0 labels that occur 10 times"):
        with_labels(catalogue.get("ccg"), folder)


def test_a_file_of_derivations_gives_the_same_examples(tmp_path, folder):
    auto = tmp_path / "other/ccgbank_1_1/data/AUTO/00"
    auto.mkdir(parents=True)
    leaves = "(<L N NN NN cat N>) (<L X FW FW zzz X>)"
    (auto / "wsj_0001.auto").write_text(f"ID=wsj_0001.1\n(<T S 0 2> {leaves} )\n", encoding="utf-8")
    task = catalogue.get("ccg")
    assert read_examples(task, "dev", "en", tmp_path / "other") == read_examples(task, "dev", "en", folder)
