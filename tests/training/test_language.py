"""Language adapters: trained on plain text, saved without a head, used and swapped below a setup."""

import json
from dataclasses import replace

import pytest
import torch
from support.smalldata import SENTENCES

from adaptrans.errors import ArtifactError, MissingDataError, SetupError, UnknownNameError
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.evaluation.inference import open_session
from adaptrans.evaluation.results import load_results, retrieval_outcome
from adaptrans.hub.import_adapterhub import adopt
from adaptrans.modeling import adapters
from adaptrans.modeling.heads import MaskedLMHead
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import copy_tensors
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.training_args import training_config
from adaptrans.training.train import split

OPTIONS = {"epochs": 2, "batch_size": 4, "precision": "fp32", "max_length": 32, "log_every": 1}
TASK = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64}


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """A folder with text in three languages."""
    folder = tmp_path_factory.mktemp("texts")
    for language, text in SENTENCES.items():
        (folder / f"{language}.txt").write_text("\n".join([text] * 20) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def adapter(planner, texts):
    """`adapter("sw", **options)`: the spec of a language adapter in the planner's store."""

    def make(language, where=planner.workspace, **options):
        config = training_config({**OPTIONS, **options})
        return LanguageSpec(where, language, texts, config, "seq_bn_inv[reduction_factor=4]")

    return make


@pytest.fixture
def ready(planner, adapter):
    """A planner whose store has language adapters of en and sw."""
    for language in ("en", "sw"):
        adapter(language, learning_rate=0.03).execute()
    config = training_config(TASK)
    return replace(planner, config_for=lambda name, whole: config)


def trained(planner, setup, task="xnli"):
    spec, before = planner.target(parse(setup), planner.workspace.task(task))
    for item in (*before, spec):
        item.execute()
    return spec


def test_the_head_is_that_of_the_pretrained_model(base):
    from transformers import XLMRobertaForMaskedLM

    assembled = SetupModel.for_language(base, "sw", "seq_bn_inv[reduction_factor=4]", seed=1)
    adapters.activate(assembled.model, [], None)
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    hidden = torch.tensor([[False, True, False, True, False]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "hidden": hidden}
    with torch.inference_mode():
        theirs = XLMRobertaForMaskedLM.from_pretrained(base.path).eval()(ids).logits[hidden]
        assert torch.allclose(MaskedLMHead(base)(assembled, batch), theirs, atol=1e-4)


def test_the_invertible_part_is_undone_before_the_embeddings(base):
    from adapters import XLMRobertaAdapterModel

    assembled = SetupModel.for_language(base, "sw", "seq_bn_inv[reduction_factor=4]", seed=1)
    ours = MaskedLMHead(base)
    model = XLMRobertaAdapterModel.from_pretrained(base.path)
    model.add_adapter("sw", config="seq_bn_inv[reduction_factor=4]")
    model.add_masked_lm_head("sw")
    stored = adapters.adapter_tensors(assembled.model, "sw")
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for value in stored.values():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
        copy_tensors(adapters.adapter_tensors(model, "sw"), stored, "test")
        head = dict(model.heads["sw"].named_parameters())
        for theirs, own in zip(
            ("0.weight", "0.bias", "2.weight", "2.bias", "3.bias"), ours.buffers(), strict=True
        ):
            head[theirs].copy_(own)
    model.set_active_adapters("sw")
    model.active_head = "sw"
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    hidden = torch.ones_like(ids).bool()
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "hidden": hidden}
    with torch.inference_mode():
        assert torch.allclose(ours(assembled, batch), model.eval()(ids).logits[hidden], atol=1e-4)


def test_training_lowers_the_loss_and_saves_no_head(adapter, planner):
    run = adapter("sw", epochs=30, learning_rate=0.02).execute()
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    scores = [line["dev_score"] for line in lines if "dev_score" in line]
    assert max(scores) > scores[0] + 0.3
    files = {path.relative_to(run.artifact).as_posix() for path in run.artifact.rglob("*") if path.is_file()}
    assert files == {
        "artifact.json",
        "adapters/sw/adapter.safetensors",
        "adapters/sw/adapter_config.json",
    }
    assert read_manifest(run.artifact).head is None
    assert adapter("sw", epochs=30, learning_rate=0.02).execute() == run
    with pytest.raises(ArtifactError, match="is a language adapter and answers nothing alone"):
        SetupModel.load(run.artifact, planner.workspace.backbone)


def test_a_killed_language_run_goes_on_to_the_last_bit(adapter, elsewhere, kill, same_weights):
    expected = adapter("sw", checkpoint_seconds=0).execute()
    spec = adapter("sw", where=elsewhere, checkpoint_seconds=0)
    kill(lambda: spec.execute(), 3)
    assert same_weights(expected, spec.execute()) == 1


@pytest.mark.parametrize("setup", ["{lang} > nli > target", "{lang} > fuse(nli, qa) > target"])
def test_language_adapters_are_swapped_for_each_test_language(ready, setup):
    spec = trained(ready, setup)
    assert list(spec.inputs["parents"])[-1] == "{en}"
    for parent in spec.parents.values():
        if parent.phase == "intermediate":
            assert parent.config()["setup"] == "{lang} > target"
    found, runs = {}, {}
    for policy in ("swap", "keep-source", "none"):
        text = f"{setup} @ {policy}"
        evaluation, before = ready.evaluate(parse(text), ready.workspace.task("xnli"))
        assert [item for item in before if not item.run.is_done] == []
        evaluate(evaluation)
        runs[policy] = evaluation.run
        found[policy] = {code: result.notes for code, result in load_results(evaluation.run).items()}
    assert len({run.key for run in runs.values()}) == 3
    assert found["swap"] == {
        "de": ("language adapter {en}, as there is none of de",),
        "en": ("language adapter {en}",),
        "sw": ("language adapter {sw}",),
    }
    assert set(found["keep-source"].values()) == {("language adapter {en}",)}
    assert set(found["none"].values()) == {("without a language adapter",)}


def test_what_answers_equals_the_plain_library(ready):
    from adapters import Stack, XLMRobertaAdapterModel

    spec = trained(ready, "{lang} > nli > target")
    evaluation, _ = ready.evaluate(parse("{lang} > nli > target"), ready.workspace.task("xnli"))
    session = open_session(evaluation)
    runs = {"nli": spec.parents["nli"], **ready.language_runs, "xnli": spec.run}
    model = XLMRobertaAdapterModel.from_pretrained(ready.workspace.backbone.path)
    for name, run in runs.items():
        model.load_adapter(str(run.artifact / "adapters" / name), with_head=False, use_safetensors=True)
    model.load_head(str(spec.run.artifact / "heads" / "xnli"), use_safetensors=True)
    model.eval()
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    answers = []
    for language, stack in (("en", ("en",)), ("sw", ("sw",)), ("de", ("en",))):
        session.switch_language(language)
        model.set_active_adapters(Stack(*stack, "nli", "xnli"))
        model.active_head = "xnli"
        with torch.inference_mode():
            ours = session.assembled(batch)
            assert torch.equal(ours, model(**batch).logits), language
        answers.append(ours)
    assert torch.equal(answers[0], answers[2])
    assert not torch.allclose(answers[0], answers[1], atol=1e-6)
    assert not any(name.startswith("roberta.invertible") for name in session.assembled.trained_state())


@pytest.mark.parametrize("setup", ["{lang} > target", "{lang} > nli > target"])
def test_each_side_of_a_pair_has_its_own_language_adapter(ready, setup):
    from adapters import Stack, XLMRobertaAdapterModel

    tatoeba = ready.workspace.task("tatoeba")
    evaluation, before = ready.evaluate(parse(setup), tatoeba)
    for spec in before:
        spec.execute()
    evaluation, before = ready.evaluate(parse(setup), tatoeba)
    assert [spec for spec in before if not spec.run.is_done] == []
    assert evaluation.parents["{en}"] == ready.language_runs["en"]
    assert set(evaluation.inputs["language_adapters"]) >= {"en"}
    found = evaluate(evaluation)
    for code, result in found.items():
        said = "{sw}" if code == "sw" else f"{{en}}, as there is none of {code}"
        assert result.notes == (f"language adapter {said}",)
    session = open_session(evaluation)
    model = XLMRobertaAdapterModel.from_pretrained(ready.workspace.backbone.path).eval()
    for name, run in {**evaluation.parents, **ready.language_runs}.items():
        place = run.artifact / "adapters" / name.strip("{}")
        model.load_adapter(str(place), with_head=False, use_safetensors=True)
    model.active_head = None
    code = next(iter(found))
    examples = ready.workspace.examples(tatoeba, "test", code, None, [])
    outcome = session.answer(code, "key", examples, lambda done: None)
    rows = session.encoded(examples, f"{code}:key", ready.workspace.store.cache).to_list()
    vectors = []
    for row in rows:
        model.set_active_adapters(Stack("en", *(["nli"] if "nli" in setup else [])))
        if code == "sw" and row["side"] == 0:
            model.set_active_adapters(Stack("sw", *(["nli"] if "nli" in setup else [])))
        with torch.inference_mode():
            states = model(torch.tensor([row["input_ids"]]), output_hidden_states=True).hidden_states
        vectors.append(torch.stack([state[0].mean(0) for state in states]))
    expected = retrieval_outcome(torch.stack(vectors, dim=1).numpy(), evaluation.layer)
    assert (outcome.neighbors == expected.neighbors).all()
    others = [ready.evaluate(parse(f"{setup} @ {policy}"), tatoeba)[0] for policy in ("none", "keep-source")]
    assert len({evaluation.run.key, *(other.run.key for other in others)}) == 3
    assert evaluate(others[0])[code].notes == ("without a language adapter",)


def test_adapters_made_elsewhere_stand_where_they_were_trained(ready, tmp_path):
    from adapters import XLMRobertaAdapterModel

    where = ready.workspace
    model = XLMRobertaAdapterModel.from_pretrained(where.backbone.path)
    model.add_adapter("sst", config="seq_bn")
    model.save_adapter(str(tmp_path / "sst"), "sst", with_head=False, use_safetensors=True)
    alone = adopt(tmp_path / "sst", where.store, where.backbone)
    above = adopt(tmp_path / "sst", where.store, where.backbone, above_language=True)
    for run, setup, fits in (
        (alone, "sst#{} > target", True),
        (above, "{{lang}} > sst#{} > target", True),
        (alone, "{{lang}} > sst#{} > target", False),
        (above, "sst#{} > target", False),
    ):
        spec, before = ready.target(parse(setup.format(run.key)), where.task("xnli"))
        assert before == []
        if fits:
            assert "sst was trained elsewhere" in spec.execute().result()["notes"][0]
            continue
        with pytest.raises(SetupError, match=r"was trained (above|without) a language adapter"):
            spec.execute()


@pytest.mark.parametrize(("left", "told"), [("first:2", True), ("first 1", False), ("last", False)])
def test_adapters_above_the_compared_layer_are_told_to_have_no_effect(planner, left, told):
    # Two of the four layers are below the one that is compared.
    chosen = replace(planner, method=f"seq_bn[leave_out={left!r}]")
    tatoeba = chosen.workspace.task("tatoeba")
    _, before = chosen.evaluate(parse("nli > target"), tatoeba)
    for spec in before:
        spec.execute()
    evaluation, _ = chosen.evaluate(parse("nli > target"), tatoeba)
    bare, _ = chosen.evaluate(parse("adapter"), tatoeba)
    assert evaluation.layer == 2
    found, base = evaluate(evaluation), evaluate(bare)
    note = "the adapters leave out the encoder layers below 2: layer 2 is the bare backbone's"
    for code, result in found.items():
        assert (note in result.notes) == told
        assert base[code].notes == ()
        if told:
            assert result.values == base[code].values


def test_what_cannot_be_is_one_line(ready, texts, adapter, tmp_path):
    xnli = ready.workspace.task("xnli")
    with pytest.raises(UnknownNameError, match='unknown language "xx"'):
        adapter("xx")
    with pytest.raises(MissingDataError, match=r"has no text in tr; put it into tr.txt or tr/\*.txt"):
        _ = adapter("tr").files
    (tmp_path / "short.txt").write_text("a\n")
    short = LanguageSpec(ready.workspace, "tr", tmp_path / "short.txt", training_config(OPTIONS))
    with pytest.raises(MissingDataError, match="too short"):
        short.execute()
    alone = trained(ready, "nli > target").parents["nli"]
    key = f"nli#{alone.key}"
    spec, _ = ready.target(parse(f"{{lang}} > {key} > target"), xnli)
    with pytest.raises(SetupError, match="was trained without a language adapter"):
        spec.execute()
    adapter("en", learning_rate=0.01).execute()
    with pytest.raises(ArtifactError, match=r"several language adapters of en: .*; move the folder of"):
        replace(ready).target(parse("{lang} > target"), xnli)


def test_a_missing_source_adapter_says_how_to_train_it(planner):
    with pytest.raises(ArtifactError, match=r"no language adapter of en; train it: adaptrans language en"):
        planner.target(parse("{lang} > target"), planner.workspace.task("xnli"))


def test_blocks_are_split_without_overlap():
    found = [[number] for number in range(1000)]
    training, dev = split(found)
    assert len(training) + len(dev) == 1000
    assert len(dev) == 50
    assert not {tuple(item) for item in training} & {tuple(item) for item in dev}
