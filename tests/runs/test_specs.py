"""Keys of runs: what changes them and what does not."""

from dataclasses import replace

import pytest

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.evaluation import default_layer
from adaptrans.runs.training_args import EvaluationConfig, training_config


def target_key(planner, setup="adapter", task="xnli"):
    return planner.target(parse(setup), planner.workspace.task(task))[0].run.key


def with_options(planner, **options):
    base = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64}
    return replace(planner, config_for=lambda name, whole: training_config({**base, **options}))


def test_keys_do_not_depend_on_place_or_pace(planner, tmp_path):
    key = target_key(planner)
    elsewhere = replace(
        planner.workspace, store=replace(planner.workspace.store, root=tmp_path / "x"), device="auto"
    )
    assert target_key(replace(planner, workspace=elsewhere)) == key
    assert target_key(with_options(planner, checkpoint_seconds=1, log_every=1)) == key


@pytest.mark.parametrize(
    "options",
    [{"epochs": 2}, {"batch_size": 4}, {"learning_rate": 1e-3}, {"precision": "bf16"}, {"limit_train": 5}],
)
def test_every_option_that_matters_changes_the_key(planner, options):
    assert target_key(with_options(planner, **options)) != target_key(planner)


def test_seed_setup_method_task_and_parents_change_the_key(planner):
    keys = [
        target_key(planner),
        target_key(replace(planner, seed=2)),
        target_key(replace(planner, method="lora")),
        target_key(planner, task="udpos"),
        target_key(planner, setup="full"),
        target_key(planner, setup="nli > target"),
        target_key(planner, setup="continue(nli)"),
        target_key(replace(planner, method="double_seq_bn"), setup="nli > target"),
    ]
    assert len(set(keys)) == len(keys)


def test_data_backbone_and_tokenizer_change_the_key(planner, backbone_maker, tmp_path):
    import shutil

    from adaptrans.modeling.backbone import identify

    key = target_key(planner)
    data = shutil.copytree(planner.workspace.data, tmp_path / "data")
    same = replace(planner.workspace, data=data)
    assert target_key(replace(planner, workspace=same)) == key
    (data / "anli/anli_v1.0/R1/dev.jsonl").write_text(
        (data / "anli/anli_v1.0/R1/dev.jsonl").read_text().replace("the", "a", 1)
    )
    assert target_key(replace(planner, workspace=replace(planner.workspace, data=data))) != key
    other = identify(backbone_maker(tmp_path / "other", seed=8))
    assert target_key(replace(planner, workspace=replace(planner.workspace, backbone=other))) != key


def test_retrieval_shares_what_answers_the_same(planner):
    task = planner.workspace.task("tatoeba")
    runs = {
        text: planner.evaluate(parse(text), task)[0].run.key
        for text in ("full", "adapter", "nli > target", "continue(nli)", "full(nli)")
    }
    assert runs["full"] == runs["adapter"]
    assert runs["nli > target"] == runs["continue(nli)"]
    assert len(set(runs.values())) == 3
    deeper = replace(planner, evaluation_for=lambda task: EvaluationConfig(layer=1))
    assert deeper.evaluate(parse("full"), task)[0].run.key != runs["full"]


def test_layers_outside_the_model_and_unknown_languages_are_refused(planner):
    task = planner.workspace.task("tatoeba")
    deep = replace(planner, evaluation_for=lambda task: EvaluationConfig(layer=9)).evaluate(
        parse("full"), task
    )[0]
    with pytest.raises(ConfigError, match="layer 9 of a model with 4 layers; choose 0 to 4"):
        assert deep.run
    spec, _ = planner.evaluate(parse("full"), task)
    with pytest.raises(UnknownNameError, match='unknown language of tatoeba "swa"'):
        assert replace(spec, languages=("swa",)).wanted_languages


def test_default_layer_follows_the_reference_proportion():
    assert [default_layer(depth) for depth in (24, 12, 6, 4)] == [14, 7, 4, 2]


def test_what_a_task_says_of_scores_and_labels_changes_the_key(planner):
    from adaptrans.tasks import catalogue

    other = catalogue.resolve({"extends": "udpos", "scores": ["token_accuracy", "chunk_f1"]}, name="udpos")
    changed = replace(planner, workspace=replace(planner.workspace, tasks={"udpos": other}))
    assert target_key(changed, task="udpos") != target_key(planner, task="udpos")


def test_one_method_has_one_key_however_it_is_written(planner):
    keys = {
        target_key(replace(planner, method=text))
        for text in ("seq_bn[reduction_factor=8]", "seq_bn[ reduction_factor = 8 ]")
    }
    assert len(keys) == 1


def test_english_is_never_replaced_by_what_happens_to_be_there(planner, tmp_path, monkeypatch):
    import shutil

    from adaptrans.errors import MissingDataError

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = shutil.copytree(planner.workspace.data, tmp_path / "data")
    (data / "udpos/train-en.tsv").rename(data / "udpos/train-de.tsv")
    here = replace(planner, workspace=replace(planner.workspace, data=data))
    with pytest.raises(MissingDataError, match=r'no data for udpos\.train in "en"'):
        target_key(here, task="udpos")


def test_a_limit_takes_the_same_items_in_every_language_in_their_order(planner):
    task = planner.workspace.task("xnli")
    whole = planner.workspace.examples(task, "test", "en", None, [])
    found = {
        language: planner.workspace.examples(task, "test", language, 6, []) for language in ("en", "de", "sw")
    }
    places = [whole.index(example) for example in found["en"]]
    assert places == sorted(set(places))
    assert len(places) == 6
    numbers = [[example.id.rpartition("-")[2] for example in part] for part in found.values()]
    assert numbers[0] == numbers[1] == numbers[2]


def test_how_a_limit_chooses_is_in_the_keys_of_runs_with_one_alone(planner, monkeypatch):
    from adaptrans.tasks import loading

    task = planner.workspace.task("tatoeba")

    def keys(**limits):
        train = {name: number for name, number in limits.items() if name != "limit"}
        fewer = replace(planner, evaluation_for=lambda task: EvaluationConfig(limit=limits.get("limit")))
        return target_key(with_options(planner, **train)), fewer.evaluate(parse("full"), task)[0].run.key

    limited = keys(limit_train=5, limit=5), keys(limit_dev=5, limit=5)
    free = keys()
    monkeypatch.setattr(loading, "SUBSET_DRAW", "another")
    again = keys(limit_train=5, limit=5), keys(limit_dev=5, limit=5)
    assert keys() == free
    assert all(new != old for a, b in zip(again, limited, strict=True) for new, old in zip(a, b, strict=True))
