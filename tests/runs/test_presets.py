"""Presets: their values as their sources print them, and who wins."""

import pytest

from adaptrans.errors import AdaptransError
from adaptrans.runs import presets
from adaptrans.runs.training_args import EvaluationConfig, Layer, TrainingConfig, resolve
from adaptrans.tasks import catalogue


def training(preset, task, whole=True, depth=12):
    kind = catalogue.get(task).kind
    layers = presets.get(preset).training_layers(task, kind, whole_model=whole, depth=depth)
    return resolve(TrainingConfig, layers, preset).config


# Epochs, batch, rate, length. Sources: the scripts that each preset names.
JIANT = {
    "xnli": (2, 32, 1e-5, 256),
    "pawsx": (5, 32, 1e-5, 256),
    "udpos": (10, 32, 1e-5, 256),
    "panx": (10, 32, 1e-5, 256),
    "xquad": (2, 16, 1e-5, 384),
    "mlqa": (2, 16, 1e-5, 384),
    "tydiqa": (2, 16, 1e-5, 384),
}


@pytest.mark.parametrize("task", JIANT)
def test_jiant_stilts_is_the_authors_table(task):
    found = training("jiant-stilts", task)
    assert (found.epochs, found.batch_size, found.rate(True), found.max_length) == JIANT[task]
    assert (found.warmup, found.adam_epsilon, found.max_grad_norm) == (0.1, 1e-8, 1.0)
    assert (found.evaluate_every, found.limit_dev) == (1000, 500)


@pytest.mark.parametrize(
    ("task", "depth", "epochs", "rate"),
    [
        ("xnli", 24, 5, 3e-5),
        ("xnli", 12, 5, 2e-5),
        ("pawsx", 24, 5, 2e-5),
        ("panx", 24, 10, 2e-5),
        ("xquad", 12, 3, 3e-5),
        ("tydiqa", 24, 3, 3e-5),
        ("squad2", 24, 3, 3e-5),
        ("siqa", 24, 5, 3e-5),
        ("copa", 12, 5, 2e-5),
    ],
)
def test_xtreme_is_the_benchmarks_scripts(task, depth, epochs, rate):
    found = training("xtreme", task, depth=depth)
    assert (found.epochs, found.batch_size, found.rate(True)) == (epochs, 32, rate)
    qa = catalogue.get(task).kind.startswith("span_qa")
    assert (found.warmup_steps, found.weight_decay) == ((500, 1e-4) if qa else (None, 0.0))
    assert found.max_length == (384 if qa else 128)


def test_madx_and_composable_sft():
    assert presets.get("madx").method == "seq_bn[reduction_factor=16]"
    found = training("madx", "copa", whole=False)
    assert (found.rate(False), found.epochs, found.batch_size) == (1e-4, 8, 32)
    for task, values in (("xnli", (5, 2e-5, 32)), ("panx", (3, 5e-5, 8)), ("xquad", (2, 3e-5, 12))):
        found = training("composable-sft", task)
        assert (found.epochs, found.rate(True), found.batch_size) == values


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_says_where_it_stands(name):
    found = presets.get(name)
    assert found.source
    assert found.ours
    for whole in (True, False):
        for kind in ("classification", "tagging", "span_qa", "multiple_choice"):
            layers = found.training_layers("any", kind, whole_model=whole)
            assert resolve(TrainingConfig, layers, name).config
            assert resolve(EvaluationConfig, found.evaluation_layers("any", kind), name).config
    # What is said of whole models leaves adapters alone.
    assert training("xtreme", "xquad", whole=False).learning_rate is None


def test_what_is_given_by_hand_wins_and_is_named():
    layers = presets.get("xtreme").training_layers("xquad", "span_qa", whole_model=True)
    by_hand = [Layer("file: training.defaults", {"epochs": 1}), Layer("command line", {"warmup_steps": 7})]
    found = resolve(TrainingConfig, [*layers, *by_hand], "xquad")
    assert (found.config.epochs, found.config.warmup_steps, found.config.batch_size) == (1, 7, 32)
    assert found.origin("epochs") == "file: training.defaults"
    assert found.origin("warmup_steps") == "command line"
    assert found.origin("learning_rate") == "preset xtreme, full, span_qa"
    assert found.origin("lr_scheduler") == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training: {defaults: {epoch: 3}}", 'did you mean "epochs"'),
        ("training: {kinds: {tags: {epochs: 3}}}", "unknown kind"),
        ("trainings: {}", 'own.yaml:4: unknown key "trainings"; did you mean "training"'),
        ("method: seq_bm", "seq_bn"),
    ],
)
def test_a_wrong_preset_gets_one_line(tmp_path, text, words):
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\ntitle: t\nsource: s\n{text}\n")
    with pytest.raises(AdaptransError) as caught:
        presets.load(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(AdaptransError, match='unknown preset "xtrem"; did you mean "xtreme"'):
        presets.get("xtrem")
