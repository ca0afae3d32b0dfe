"""Bundled names, and experiment files that extend others."""

import pytest

from adaptrans.errors import AdaptransError, ConfigError
from adaptrans.experiments.config import bundled, experiment_file, load_experiment, merged

BASE = """
name: base
setups: [full, adapter]
targets: [xnli, udpos]
training:
  defaults: {epochs: 2, batch_size: 8}
  full: {learning_rate: 0.001}
"""


def write(folder, text, name="own.yaml"):
    (folder / "base.yaml").write_text(BASE)
    (folder / name).write_text(text)
    return folder / name


def test_a_file_says_what_differs_from_another_one(tmp_path):
    text = "extends: base.yaml\nname: own\ntargets: [panx]\ntraining: {defaults: {epochs: 5}, full: null}\n"
    found = load_experiment(write(tmp_path, text), ["training.defaults.batch_size=4"])
    assert (found.name, found.setups, found.targets) == ("own", ("full", "adapter"), ("panx",))
    assert found.training.defaults == {"epochs": 5, "batch_size": 4}
    assert found.training.full == {}


def test_a_bundled_one_is_extended_by_its_name(tmp_path):
    found = load_experiment(write(tmp_path, "extends: paper/stilts-large\nname: own\nseeds: [4]\n"))
    assert found.backbone == "FacebookAI/xlm-roberta-large"
    assert found.all_seeds == (4,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: own\nextends: own.yaml\n", "own.yaml extends itself"),
        ("name: own\nextends: bas.yaml\n", "own.yaml:2: there is no experiment file bas.yaml"),
        (
            "name: own\nextends: paper/stilt-large\n",
            'own.yaml:2: unknown experiment "paper/stilt-large"; did',
        ),
        ("extends: base.yaml\nname: own\nseed: x\n", "own.yaml:3: seed"),
        ("extends: base.yaml\nname: own\ntraning: {}\n", 'own.yaml:3: unknown key "traning"'),
    ],
)
def test_a_wrong_one_gets_one_line(tmp_path, text, words):
    with pytest.raises(AdaptransError) as caught:
        load_experiment(write(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_line_extends_nothing(tmp_path):
    with pytest.raises(ConfigError, match="the command line does not"):
        load_experiment(write(tmp_path, BASE), ["extends=quickstart"])


def test_names_lead_to_files(tmp_path):
    assert experiment_file("paper/stilts-base") == bundled()["paper/stilts-base"]
    assert experiment_file(str(write(tmp_path, BASE))).name == "own.yaml"
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    with pytest.raises(AdaptransError, match='did you mean "paper/stilts-base"'):
        experiment_file("paper/stilts-bas")


def test_the_command_lines_backbone_wins_over_one_and_over_several(tmp_path):
    several = load_experiment(write(tmp_path, BASE), ["backbones=[a, b]", "backbone=c"])
    assert several.first_backbone == "a"
    assert several.on(None) is several
    assert (several.on("mini").first_backbone, several.on("mini").backbones) == ("mini", ())
