"""Wildcards, benchmark names, and values of the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans import benchmarks
from adaptrans.errors import AdaptransError, ConfigError
from adaptrans.experiments.config import Experiment, expanded, filled, load_experiment, overridden, parsed
from adaptrans.modeling.setup.parser import parse

FILE = """
name: small
setups: [full, "{intermediate} > target"]
intermediates: [mnli, squad]
targets: [xnli]
training:
  full: {epochs: 2}
"""


def load(tmp_path, *overrides, text=FILE):
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return load_experiment(path, overrides)


def test_a_wildcard_stands_for_each_intermediate(tmp_path):
    assert load(tmp_path).setups == ("full", "mnli > target", "squad > target")
    nine = load(tmp_path, "intermediates=nine").setups
    assert len(nine) == 10
    assert all(parse(setup) for setup in nine)


@pytest.mark.parametrize(
    ("setup", "found"),
    [
        ("full({intermediate})", ["full(a)", "full(b)"]),
        ("full({intermediates})", ["full(a + b)"]),
        ("fuse({intermediates}) > target", ["fuse(a, b) > target"]),
        ("average({intermediates}) > target", ["average(a, b) > target"]),
        ("{lang} > {intermediate} > target", ["{lang} > a > target", "{lang} > b > target"]),
        ("{lang} > target", ["{lang} > target"]),
    ],
)
def test_every_wildcard_makes_setups_that_parse(setup, found):
    assert filled(setup, ["a", "b"]) == found
    assert [str(parse(text)) for text in found] == found


def test_only_takes_wildcards_too():
    found = expanded(
        {
            "setups": ["full", "{intermediate} > target"],
            "intermediates": ["a", "b"],
            "targets": ["xtreme"],
            "only": {"{intermediate} > target": ["xnli"]},
        }
    )
    assert found["only"] == {"a > target": ["xnli"], "b > target": ["xnli"]}
    assert found["targets"] == list(benchmarks.get("xtreme").targets)


def test_a_benchmark_and_a_task_of_it_are_each_once():
    found = expanded({"targets": ["xnli", "xtreme", "xcopa"]})["targets"]
    assert found[0] == "xnli"
    assert len(found) == len(set(found)) == 10
    own = expanded({"targets": "xtreme", "tasks": {"xtreme": {"extends": "xnli"}}})["targets"]
    assert own == ["xtreme"]


def test_a_wildcard_without_intermediates_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has a wildcard and there are no intermediates; add"):
        load(tmp_path, "intermediates=[]")


def test_values_of_the_command_line_win(tmp_path):
    found = load(tmp_path, "training.full.epochs=5", "seeds=[1,2]", "targets=[xnli, udpos]", "preset=xtreme")
    assert found.all_seeds == (1, 2)
    assert found.targets == ("xnli", "udpos")
    options = found.training_of("xnli", "classification", True, 12, {})
    assert (options.config.epochs, options.config.batch_size) == (5, 32)
    assert found.training_of("xnli", "classification", True, 12, {"epochs": 1}).config.epochs == 1
    assert found.given[("training", "full", "epochs")] == "training.full.epochs=5"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("shotz=[1]", '"shotz=[1]": unknown key "shotz"; did you mean "shots"'),
        ("seed=many", '"seed=many": seed'),
        ("seeds", "is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("seeds=[1", "has no readable value"),
        ("name.first=x", "name holds a value, not keys"),
        ("preset=xtrem", 'did you mean "xtreme"'),
        ("select=test", "select"),
        ("shots=0", "shots"),
        ("training.shots.epoch=3", 'did you mean "epochs"'),
    ],
)
def test_a_wrong_override_gets_one_line_that_names_it(tmp_path, override, words):
    with pytest.raises(AdaptransError) as caught:
        load(tmp_path, override)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_no_override_gives_a_traceback(text):
    try:
        path, _ = parsed(text)
    except ConfigError:
        return
    assert path
    assert overridden({}, [text])[0]


def test_the_method_of_a_preset_holds_unless_the_file_says_one():
    shared = {"name": "x", "setups": ["full"], "targets": ["xnli"]}
    assert Experiment(**shared, preset="madx").adapter_method == "seq_bn[reduction_factor=16]"
    assert Experiment(**shared, preset="madx", method="lora").adapter_method == "lora"
    assert Experiment(**shared).adapter_method == "seq_bn"
