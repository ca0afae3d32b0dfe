from pathlib import Path

import pytest

from adaptrans import samples
from adaptrans.errors import AdaptransError
from adaptrans.experiments.config import load_experiment
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check
from adaptrans.tasks import catalogue

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
EXPERIMENTS = [path for path in CONFIGS if "setups:" in path.read_text(encoding="utf-8")]

GOOD = """
name: small
setups: [full, adapter]
targets: [xnli]
training:
  defaults: {epochs: 2}
  adapter: {learning_rate: 0.001}
  tasks: {xnli: {epochs: 5}}
"""


def load(tmp_path, text):
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return load_experiment(path)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_shipped_experiment_loads_with_its_tasks_and_setups(path):
    experiment = load_experiment(path)
    folders = (samples.TASKS,)
    inline = experiment.inline_tasks(folders)
    for setup in map(parse, experiment.setups):
        check(setup, experiment.method)
        for name in [*experiment.targets, *(reference.name for reference in setup.references())]:
            assert name in inline or catalogue.get(name, folders)
    assert path.read_text(encoding="utf-8").startswith("# adaptrans ")


def options(found, task, whole_model, given):
    return found.training_of(task, "classification", whole_model, 12, given).config


def test_layers_of_training_options(tmp_path):
    found = load(tmp_path, GOOD)
    assert options(found, "xnli", False, {}).epochs == 5
    assert options(found, "udpos", False, {}).epochs == 2
    assert options(found, "udpos", False, {"epochs": 1}).epochs == 1
    assert options(found, "xnli", False, {}).learning_rate == 0.001
    assert options(found, "xnli", True, {}).rate(whole_model=True) == 2e-5


def test_a_task_has_options_of_its_own_for_each_method(tmp_path):
    own = "tasks: {xnli: {epochs: 5, adapter: {learning_rate: 0.5}, full: {learning_rate: 0.25}}}"
    found = load(tmp_path, GOOD.replace("tasks: {xnli: {epochs: 5}}", own))
    assert options(found, "xnli", False, {}).learning_rate == 0.5
    assert options(found, "xnli", True, {}).learning_rate == 0.25
    assert options(found, "xnli", True, {}).epochs == 5
    with pytest.raises(AdaptransError, match=r"xnli\.full holds no options"):
        load(tmp_path, GOOD.replace("{epochs: 5}", "{full: 3}"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("setups:", "setup:"), 'experiment.yaml:3: unknown key "setup"; did you mean "setups"'),
        (("targets: [xnli]", ""), 'the key "targets" is missing'),
        (("  defaults:", "  default:"), 'experiment.yaml:6: unknown key "default"; did you mean "defaults"'),
        (("name: small", "name: [small"), "not valid YAML"),
        (("setups: [full, adapter]", "setups: [adapter]"), 'baseline "full" is not among setups'),
        (("name: small", "name: small\nseed: many"), "experiment.yaml:3: seed"),
        (("{xnli: {epochs", "{xnlii: {epochs"), "unknown task in"),
        (("{xnli: {epochs", "{xnli: {epoch"), 'did you mean "epochs"'),
        (("name: small", "name: small\nonly: {adapter: [xnlii]}"), 'did you mean "xnli"'),
        (("name: small", "name: small\nonly: {full(xnli): [xnli]}"), "unknown setup under only"),
        (("name: small", "name: small\ncontrol: zero"), "experiment.yaml:3: control"),
        (("name: small", "name: small\nevaluation: {layer: best}"), "belong together"),
        (("name: small", "name: small\nevaluation: {pooling: max}"), "experiment.yaml:3: evaluation.pooling"),
        (("name: small", "name: small\nevaluation: {tasks: {xnli: {limits: 3}}}"), 'did you mean "limit"'),
    ],
)
def test_a_wrong_file_gets_one_line_with_its_place(tmp_path, change, words):
    with pytest.raises(AdaptransError) as caught:
        load(tmp_path, GOOD.replace(*change))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AdaptransError, match="there is no experiment file"):
        load_experiment(tmp_path / "none.yaml")
