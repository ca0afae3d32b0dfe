"""Old names of options go on working, each with one line of warning."""

import warnings

import pytest
import yaml

from adaptrans.errors import ConfigError
from adaptrans.experiments.config import load_experiment
from adaptrans.runs.training_args import EvaluationConfig, Layer, TrainingConfig, resolve, training_config
from adaptrans.tasks import catalogue
from adaptrans.tasks.schema import FileSource, Split, Task
from adaptrans.utils.renames import (
    COMMAND_LINE,
    OPTIONS,
    TASK_KEYS,
    RenamedWarning,
    current,
    current_arguments,
)

VALUES = {
    "quantise": "8bit",
    "clip": 0.5,
    "decay": "none",
    "checkpointing": True,
    "trunk_cache": "bf16",
    "trunk_gib": 3.0,
}
EXPERIMENT = {
    "name": "old",
    "setups": ["full"],
    "targets": ["xnli"],
    "training": {"defaults": {"clip": 0.5}, "full": {"max_grad_norm": 0.25}},
    "evaluation": {"quantise": "8bit", "tasks": {"xnli": {"quantise": "4bit"}}},
}


def test_every_new_name_is_an_option_and_no_old_one_is():
    assert set(VALUES) == set(OPTIONS)
    known = {*TrainingConfig.model_fields, *EvaluationConfig.model_fields}
    assert set(OPTIONS.values()) <= known
    assert not set(OPTIONS) & known
    keys = {*FileSource.model_fields, *Split.model_fields, *Task.model_fields}
    assert set(TASK_KEYS.values()) <= keys
    assert not set(TASK_KEYS) & keys


@pytest.mark.parametrize("old", OPTIONS)
def test_an_old_option_sets_the_new_one_with_one_warning(old):
    with pytest.warns(RenamedWarning, match=f"^{old} is called {OPTIONS[old]} now$") as caught:
        found = resolve(TrainingConfig, [Layer("file", {old: VALUES[old]})], "training")
    assert len(caught) == 1
    assert getattr(found.config, OPTIONS[old]) == VALUES[old]
    assert found.origin(OPTIONS[old]) == "file"


def test_layers_win_by_their_order_and_not_by_the_name_they_use():
    layers = [Layer("file", {"max_grad_norm": 2.0}), Layer("command line", {"clip": 3.0})]
    with pytest.warns(RenamedWarning):
        assert resolve(TrainingConfig, layers, "training").config.max_grad_norm == 3.0
    with pytest.warns(RenamedWarning):
        assert resolve(TrainingConfig, layers[::-1], "training").config.max_grad_norm == 2.0


def test_an_old_and_a_new_name_in_one_place_are_refused():
    with pytest.raises(ConfigError, match="clip and max_grad_norm, its name now, are both given; keep max"):
        training_config({"clip": 1.0, "max_grad_norm": 2.0})


def test_names_of_today_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert current({"quantize": "8bit"}, OPTIONS) == {"quantize": "8bit"}
        assert current_arguments(["hub", "push", "--license=mit"]) == ["hub", "push", "--license=mit"]


def test_old_keys_in_an_experiment_and_in_its_overrides(tmp_path):
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump(EXPERIMENT))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = load_experiment(file, ["training.defaults.decay=none"])
        training = found.training_of("xnli", "classification", True, 12, {}).config
        adapter = found.training_of("xnli", "classification", False, 12, {}).config
        evaluation = found.evaluation_of("xnli", "classification", {}).config
    assert {item.category for item in caught} == {RenamedWarning}
    assert (training.max_grad_norm, adapter.max_grad_norm, adapter.lr_scheduler) == (0.25, 0.5, "none")
    assert found.evaluation.quantize == "8bit"
    assert evaluation.quantize == "4bit"


def test_old_keys_of_task_files():
    with pytest.warns(RenamedWarning, match="labelled is called labeled now"):
        split = Split.model_validate({"files": {"path": "a.tsv", "labelled_only": True}, "labelled": False})
    assert split.labeled is False
    assert split.files[0].labeled_only is True


def test_old_keys_of_whole_tasks_and_of_those_that_change_one():
    fields = {"id": "id", "text": "text", "golds": "golds", "pool": "pool"}
    file = {"path": "a.de", "beside": "a.en", "gold": "a.gold", "format": "bucc"}
    mapping = {
        "name": "mine", "version": 1, "title": "t", "type": "bitext_mining", "roles": ["target"],
        "languages": ["de"], "fields": fields, "splits": {"test": {"files": file}},
        "licence": "CC0", "citation": "c", "homepage": "h",
    }  # fmt: skip
    with pytest.warns(RenamedWarning) as caught:
        task = catalogue.resolve(mapping)
    assert {str(item.message) for item in caught} == {
        "licence is called license now", "gold is called references now", "golds is called references now"
    }  # fmt: skip
    assert (task.license, task.fields["references"]) == ("CC0", "references")
    assert task.splits["test"].files[0].references == "a.gold"
    with pytest.warns(RenamedWarning, match="licence is called license now"):
        assert catalogue.resolve({"extends": "xnli", "licence": "mine"}).license == "mine"


def test_old_options_of_commands():
    with pytest.warns(RenamedWarning) as caught:
        found = current_arguments(["target", "xnli", "--quantise=8bit", "--licence", "mit", "--set", "a=b=c"])
    assert found == ["target", "xnli", "--quantize=8bit", "--license", "mit", "--set", "a=b=c"]
    assert [str(item.message) for item in caught] == [
        f"{old} is called {COMMAND_LINE[old]} now" for old in ("--quantise", "--licence")
    ]
