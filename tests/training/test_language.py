"""Language adapters: trained on plain text, saved without a head, used and swapped below a setup."""

import json
from dataclasses import replace

import pytest
import torch
from smalldata import SENTENCES

from adaptrans.errors import ArtefactError, MissingDataError, SetupError, UnknownNameError
from adaptrans.evaluation.results import load_results
from adaptrans.evaluation.session import open_session
from adaptrans.evaluation.zero_shot import evaluate
from adaptrans.models import library
from adaptrans.models.adapting import logits, trained_state
from adaptrans.models.artefact import load_artefact
from adaptrans.models.language_adapters import MaskedLMHead, assemble_language
from adaptrans.models.manifest import read_manifest
from adaptrans.models.setup import parse
from adaptrans.runs.config import training_config
from adaptrans.runs.language import LanguageSpec
from adaptrans.training import loop
from adaptrans.training.language import split, train_language
from adaptrans.training.phases import run_training

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
        train_language(adapter(language, learning_rate=0.03))
    config = training_config(TASK)
    return replace(planner, config_for=lambda name, whole: config)


def trained(planner, setup, task="xnli"):
    spec, before = planner.target(parse(setup), planner.workspace.task(task))
    for item in (*before, spec):
        run_training(item)
    return spec


def test_the_head_is_that_of_the_pretrained_model(base):
    from transformers import XLMRobertaForMaskedLM

    assembled = assemble_language(base, "sw", "seq_bn_inv[reduction_factor=4]", seed=1)
    library.activate(assembled.model, [], None)
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    hidden = torch.tensor([[False, True, False, True, False]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "hidden": hidden}
    with torch.inference_mode():
        theirs = XLMRobertaForMaskedLM.from_pretrained(base.path).eval()(ids).logits[hidden]
        bare = replace(assembled, adapter="none")
        assert torch.allclose(MaskedLMHead(base)(bare, batch), theirs, atol=1e-4)


def test_the_invertible_part_is_undone_before_the_embeddings(base):
    from adapters import XLMRobertaAdapterModel

    assembled = assemble_language(base, "sw", "seq_bn_inv[reduction_factor=4]", seed=1)
    ours = MaskedLMHead(base)
    model = XLMRobertaAdapterModel.from_pretrained(base.path)
    model.add_adapter("sw", config="seq_bn_inv[reduction_factor=4]")
    model.add_masked_lm_head("sw")
    stored = library.adapter_tensors(assembled.model, "sw")
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for value in stored.values():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
        library.copy_tensors(library.adapter_tensors(model, "sw"), stored, "test")
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
    run = train_language(adapter("sw", epochs=30, learning_rate=0.02))
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    scores = [line["dev_score"] for line in lines if "dev_score" in line]
    assert max(scores) > scores[0] + 0.3
    files = {path.relative_to(run.artefact).as_posix() for path in run.artefact.rglob("*") if path.is_file()}
    assert files == {
        "artefact.json",
        "adapters/sw/adapter.safetensors",
        "adapters/sw/adapter_config.json",
    }
    assert read_manifest(run.artefact).head is None
    assert train_language(adapter("sw", epochs=30, learning_rate=0.02)) == run
    with pytest.raises(ArtefactError, match="is a language adapter and answers nothing alone"):
        load_artefact(run.artefact, planner.workspace.backbone)


def test_a_killed_language_run_goes_on_to_the_last_bit(adapter, planner, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    expected = train_language(adapter("sw", checkpoint_seconds=0))
    other = replace(planner.workspace, store=replace(planner.workspace.store, root=tmp_path / "other"))
    spec = adapter("sw", where=other, checkpoint_seconds=0)
    original = loop._Training.one_step

    def until(self, task, batch, log, meter):
        if self.place.step == 3:
            raise Killed
        original(self, task, batch, log, meter)

    monkeypatch.setattr(loop._Training, "one_step", until)
    with pytest.raises(Killed):
        train_language(spec)
    monkeypatch.setattr(loop._Training, "one_step", original)
    resumed = train_language(spec)
    (path,) = expected.artefact.rglob("*.safetensors")
    assert path.read_bytes() == (resumed.artefact / path.relative_to(expected.artefact)).read_bytes()


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
        assert before == []
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
        model.load_adapter(str(run.artefact / "adapters" / name), with_head=False, use_safetensors=True)
    model.load_head(str(spec.run.artefact / "heads" / "xnli"), use_safetensors=True)
    model.eval()
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    answers = []
    for language, stack in (("en", ("en",)), ("sw", ("sw",)), ("de", ("en",))):
        session.switch_language(language)
        model.set_active_adapters(Stack(*stack, "nli", "xnli"))
        model.active_head = "xnli"
        with torch.inference_mode():
            ours = logits(session.assembled, batch)
            assert torch.equal(ours, model(**batch).logits), language
        answers.append(ours)
    assert torch.equal(answers[0], answers[2])
    assert not torch.allclose(answers[0], answers[1], atol=1e-6)
    assert not any(name.startswith("roberta.invertible") for name in trained_state(session.assembled))


def test_what_cannot_be_is_one_line(ready, texts, adapter, tmp_path):
    xnli = ready.workspace.task("xnli")
    with pytest.raises(SetupError, match=r"two language adapters at once; nearest that runs: 'nli > target'"):
        ready.evaluate(parse("{lang} > nli > target"), ready.workspace.task("tatoeba"))
    with pytest.raises(UnknownNameError, match='unknown language "xx"'):
        adapter("xx")
    with pytest.raises(MissingDataError, match=r"has no text in tr; put it into tr.txt or tr/\*.txt"):
        _ = adapter("tr").files
    (tmp_path / "short.txt").write_text("a\n")
    short = LanguageSpec(ready.workspace, "tr", tmp_path / "short.txt", training_config(OPTIONS))
    with pytest.raises(MissingDataError, match="too short"):
        train_language(short)
    alone = trained(ready, "nli > target").parents["nli"]
    key = f"nli#{alone.key}"
    spec, _ = ready.target(parse(f"{{lang}} > {key} > target"), xnli)
    with pytest.raises(SetupError, match="was trained without a language adapter"):
        run_training(spec)
    train_language(adapter("en", learning_rate=0.01))
    with pytest.raises(ArtefactError, match=r"several language adapters of en: .*; delete all but one"):
        replace(ready).target(parse("{lang} > target"), xnli)


def test_a_missing_source_adapter_says_how_to_train_it(planner):
    with pytest.raises(ArtefactError, match=r"no language adapter of en; train it: adaptrans language en"):
        planner.target(parse("{lang} > target"), planner.workspace.task("xnli"))


def test_blocks_are_split_without_overlap():
    found = [[number] for number in range(1000)]
    training, dev = split(found)
    assert len(training) + len(dev) == 1000
    assert len(dev) == 50
    assert not {tuple(item) for item in training} & {tuple(item) for item in dev}
