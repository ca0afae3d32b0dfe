import pytest

from adaptrans.errors import ConfigError
from adaptrans.task_types.rows import RowError, compile_fields, path_getter

ROW = {"a": " x ", "n": 3, "q": {"stem": "s", "choices": [{"text": "l"}, {"text": "r"}]}}


def test_paths_templates_and_lists():
    mapped = compile_fields(
        {
            "plain": "a",
            "deep": "q.stem",
            "every": "q.choices.*.text",
            "first": "q.choices.0.text",
            "whole": "q.choices.*",
            "filled": "{a} and {q.stem} {n} {{}}",
            "listed": ["a", "q.stem"],
            "absent": "label",
        }
    )(ROW)
    assert mapped == {
        "plain": " x ",
        "deep": "s",
        "every": ["l", "r"],
        "first": "l",
        "whole": [{"text": "l"}, {"text": "r"}],
        "filled": "x and s 3 {}",
        "listed": [" x ", "s"],
        "absent": None,
    }


@pytest.mark.parametrize("path", ["a.b", "q.none.text", "q.choices.5.text", "q.stem.*"])
def test_a_path_that_leads_nowhere_names_itself(path):
    with pytest.raises(RowError, match=path.split(".")[1].replace("*", ".")):
        path_getter(path)(ROW)


@pytest.mark.parametrize("template", ["{a!r}", "{n:>10}", "{}"])
def test_templates_hold_names_only(template):
    with pytest.raises(ConfigError, match="only"):
        compile_fields({"text": template})


def test_a_template_never_reaches_attributes():
    mapped = compile_fields({"text": "{a.__class__}"})
    with pytest.raises(RowError):
        mapped(ROW)


def test_a_path_may_be_absent_where_all_that_follow_are():
    mapped = compile_fields({"choices": ["a", "b", "c?", "d?"]})
    assert mapped({"a": "1", "b": "2", "c": "3", "d": "4"})["choices"] == ["1", "2", "3", "4"]
    assert mapped({"a": "1", "b": "2", "c": "3"})["choices"] == ["1", "2", "3"]
    assert mapped({"a": "1", "b": "2", "c": "", "d": None})["choices"] == ["1", "2"]
    assert mapped({"a": "1"})["choices"] == ["1", None]
    with pytest.raises(RowError, match='"c" is empty, but what follows'):
        mapped({"a": "1", "b": "2", "d": "4"})
