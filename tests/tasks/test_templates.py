import pytest

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.tasks import catalogue
from adaptrans.tasks.templates import example_rows, name_of, task_file, templates, write_new
from adaptrans.tasks.validation import check_tasks


@pytest.mark.parametrize("kind", sorted(templates()))
def test_a_template_and_its_rows_pass_the_check(tmp_path, kind):
    tasks, data = tmp_path / "tasks", tmp_path / "data"
    write_new({tasks / "mine.yaml": task_file(kind, "mine", "tasks")})
    write_new({data / name: rows for name, rows in example_rows(kind, "mine").items()})
    task = catalogue.get("mine", [tasks])
    assert task.kind == kind
    results = check_tasks([task], data)
    assert all(result.examples for result in results)
    assert "sw" in {result.language for result in results}
    assert not any(result.notes for result in results)
    assert all("#" in line or len(line) <= 112 for line in task_file(kind, "mine").splitlines())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "b.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"b\.yaml is already there"):
        write_new({tmp_path / "a.yaml": "a", tmp_path / "b.yaml": "b"})
    assert not (tmp_path / "a.yaml").exists()
    assert (tmp_path / "b.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["My task.yaml", "task.txt", "Task.yaml", "-x.yaml"])
def test_names_that_no_task_may_have(tmp_path, name):
    with pytest.raises(ConfigError, match="no name of a task file"):
        name_of(tmp_path / name)


def test_an_unknown_kind_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match='did you mean "tagging"'):
        task_file("taging", "mine")
