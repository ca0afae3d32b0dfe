import copy

import pytest
from pydantic import ValidationError

from adaptrans.errors import AdaptransError, ConfigError, UnknownNameError
from adaptrans.tasks import catalogue
from adaptrans.tasks.schema import Part, Task

BASE = {
    "name": "toy",
    "version": 1,
    "title": "Toy",
    "kind": "classification",
    "roles": ["target"],
    "languages": ["en", "de"],
    "labels": ["yes", "no"],
    "scores": ["accuracy"],
    "fields": {"text": "a", "label": "b"},
    "sources": {"files": {"format": "tsv", "options": {"columns": ["a", "b"], "header": False}}},
    "splits": {"train": {"files": "train-{lang}.tsv"}, "test": {"files": ["test-{lang}.tsv"]}},
    "license": "CC0",
    "citation": "none",
    "homepage": "https://example.org",
}


def changed(**keys):
    mapping = copy.deepcopy(BASE)
    mapping.update(keys)
    return mapping


def refused(mapping):
    with pytest.raises((ConfigError, UnknownNameError)) as info:
        catalogue.resolve(mapping)
    assert "\n" not in str(info.value)
    return str(info.value)


def test_a_task_is_frozen():
    task = Task.model_validate(BASE)
    with pytest.raises(ValidationError):
        task.name = "other"


def test_sources_inherit_defaults_key_by_key():
    task = Task.model_validate(
        changed(
            label_map={"0": "no"},
            splits={
                "train": {"files": "a"},
                "test": {
                    "files": [
                        {"path": "x.csv", "format": "csv", "options": {"columns": None, "header": True}},
                        {"path": ["y", "z"], "fields": {"label": "c", "id": "d"}, "label_map": {1: "yes"}},
                    ]
                },
            },
        )
    )
    first, second = task.file_sources("test")
    assert (first.format, first.options) == ("csv", {"header": True})
    assert first.fields == {"text": "a", "label": "b"}
    assert first.label_map == {"0": "no"}
    assert second.path == ("y", "z")
    assert second.fields == {"text": "a", "label": "c", "id": "d"}
    assert second.label_map == {"1": "yes"}
    assert task.file_sources("train")[0].format == "tsv"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"langauges": ["en"]}, 'unknown key "langauges"; did you mean "languages"?'),
        ({"splits": {"train": {"file": "x"}}}, 'unknown key "file"; did you mean "files"?'),
        ({"splits": {"train": {"files": {"path": "x", "formt": "tsv"}}}}, 'did you mean "format"?'),
        ({"splits": {"train": {"hub": {"files": "x", "reop": "a/b"}}}}, 'did you mean "repo"?'),
        ({"sources": {"file": {}}}, 'did you mean "files"?'),
        ({"origins": {}}, 'unknown key "origins"'),
        ({"version": 0}, "version"),
        ({"labels_from": {"split": "train"}}, "labels_from is for tasks of kind tagging"),
        ({"labels_from": {"at_leats": 2}}, 'did you mean "at_least"?'),
        ({"version": "one"}, "version"),
        ({"kind": "clasification"}, 'did you mean "classification"?'),
        ({"roles": ["targets"]}, "roles"),
        ({"languages": []}, "languages"),
        ({"languages": ["en", "en"]}, "listed twice"),
        ({"languages": ["en", False]}, "languages.1"),
        ({"labels": []}, "needs labels"),
        ({"kind": "span_qa", "fields": {}}, "has no labels"),
        ({"name": "Toy task"}, 'may hold letters, digits, "_", and "-" between them; call it'),
        ({"name": "toy-"}, 'between them; call it for instance "toy"'),
        ({"name": "Toy"}, 'may hold no capitals; call it for instance "toy"'),
        ({"name": "mix"}, '"mix" is a word of setups; call it for instance "my-mix"'),
        ({"fields": {"txt": "a"}}, 'did you mean "text"?'),
        ({"label_map": {"x": "maybe"}}, "not among labels"),
        ({"splits": {}}, "splits"),
        ({"splits": {"train": {}}}, "exactly one of"),
        ({"splits": {"train": {"files": "x", "from": "xnli.dev"}}}, "exactly one of"),
        ({"splits": {"train": {"files": {"format": "tsv"}}}}, "needs a path"),
        ({"splits": {"train": {"hub": "x"}}}, "needs a repo"),
        ({"sources": {}}, "needs a format"),
        ({"splits": {"train": {"files": "x", "languages": ["fr"]}}}, "language fr"),
        ({"splits": {"dev": {"holdout": {"of": "train", "share": 0.1}}}}, 'holdout of "train"'),
        ({"splits": {"train": {"files": "x"}, "dev": {"holdout": {"of": "train", "share": 1.5}}}}, "share"),
        ({"splits": {"train": {"from": "mnli"}}}, "not of the form task.split"),
        ({"splits": {"train": {"from": "xnli.dev"}}}, "neutral, contradiction, not yes, no"),
        ({"splits": {"train": {"from": "squad.dev"}}}, "kind span_qa, not classification"),
        ({"splits": {"train": {"from": "xnli.deev"}}}, 'did you mean "dev"?'),
    ],
)  # fmt: skip
def test_what_is_refused_and_how(keys, message):
    assert message in refused(changed(**keys))


def test_shares_may_not_take_everything():
    splits = {"train": {"files": "x"}}
    splits |= {name: {"holdout": {"of": "train", "share": 0.5}} for name in ("dev", "test")}
    assert "leave nothing" in refused(changed(splits=splits))


def test_missing_key_is_named():
    mapping = copy.deepcopy(BASE)
    del mapping["license"]
    assert 'the key "license" is missing' in refused(mapping)


def test_parts():
    assert Part.parse("xnli.dev[en]") == Part("xnli", "dev", "en")
    assert Part.parse("anli.dev").language is None
    for text in ("xnli", "xnli.dev[", "xnli.dev[en]x", ".dev", "a b.dev"):
        with pytest.raises(ValueError, match="form"):
            Part.parse(text)


def test_unknown_split_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match='did you mean "test"'):
        Task.model_validate(BASE).split("tset")


def test_a_composed_task_without_its_origins_says_how_to_build_it():
    mapping = changed(
        labels=["entailment", "neutral", "contradiction"], splits={"train": {"from": "snli.train"}}
    )
    with pytest.raises(AdaptransError, match=r"catalogue\.resolve"):
        Task.model_validate(mapping).languages_of("train")
    assert catalogue.resolve(mapping).languages_of("train") == ("en",)


def test_labels_may_be_numbers_and_truth_values():
    task = catalogue.resolve(changed(labels=[0, 1], label_map={"no": 0, "yes": 1}))
    assert task.labels == ("0", "1")
    assert catalogue.resolve(changed(labels=[False, True])).labels == ("false", "true")
    dropped = changed(splits={"test": {"files": {"path": "x", "drop_labels": [-1, "-"]}}})
    assert catalogue.resolve(dropped).splits["test"].files[0].drop_labels == ("-1", "-")
    dropped["splits"]["test"]["files"]["drop_labels"] = "-"
    assert catalogue.resolve(dropped).splits["test"].files[0].drop_labels == ("-",)


@pytest.mark.parametrize("label", ["", " yes", "a\tb", "a\nb"])
def test_labels_that_no_file_of_labels_can_hold_are_refused(label):
    assert "has white space around it, a tab or a line break" in refused(changed(labels=["no", label]))
