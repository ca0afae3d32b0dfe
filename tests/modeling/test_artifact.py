import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptrans.errors import ArtifactError
from adaptrans.exporting.transformers import save_plain
from adaptrans.modeling import adapters
from adaptrans.modeling.backbone import identify
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import read_tensors, write_tensors

SETUPS = ["full", "full(whole)", "adapter", "continue(mnli)", "mnli > target", "mnli > squad > target"]


@pytest.mark.parametrize("text", SETUPS)
def test_an_artifact_holds_what_was_trained_and_nothing_else(build, parents, tools, tmp_path, text):
    assembled = build(text, tools.spec("classification"), parents)
    assembled.save(tmp_path / "a", {"scores": {"dev": 0.5}})
    files = {
        path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*") if path.is_file()
    }
    own = (
        {"backbone/config.json", "backbone/model.safetensors"}
        if text.startswith("full")
        else {"adapters/xnli/adapter_config.json", "adapters/xnli/adapter.safetensors"}
    )
    assert files == own | {
        "artifact.json",
        "heads/xnli/head_config.json",
        "heads/xnli/model_head.safetensors",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "a temporary folder is left"
    values = json.loads((tmp_path / "a" / "artifact.json").read_text())
    assert values["setup"] == text
    assert values["head"]["labels"] == ["entailment", "neutral", "contradiction"]
    assert values["scores"] == {"dev": 0.5}
    assert values["method"] == ("full" if text.startswith("full") else "seq_bn")
    assert "path" not in values["backbone"]


def test_a_loaded_artifact_trains_the_same_parameters(base, build, parents, tools, tmp_path):
    assembled = build("continue(mnli)", tools.spec("tagging"), parents, seed=4)
    assembled.save(tmp_path / "a")
    loaded = SetupModel.load(tmp_path / "a", base)
    for name in ("setup", "method", "target", "head", "adapter", "trained", "composition", "seed"):
        assert getattr(loaded, name) == getattr(assembled, name), name


def test_full_models_are_read_by_transformers(build, tools, tmp_path):
    from transformers import XLMRobertaModel

    assembled = build("full", tools.spec("classification"))
    assembled.save(tmp_path / "a")
    plain = XLMRobertaModel.from_pretrained(tmp_path / "a" / "backbone", add_pooling_layer=False).eval()
    ids = tools.batch_of("classification")["input_ids"]
    with torch.inference_mode():
        assert torch.equal(plain(ids)[0], assembled.model.base_model(ids)[0])


def test_the_config_beside_weights_says_what_they_are(backbone_maker, build, tools, tmp_path):
    """Of a backbone in float16 the artifact holds float32, and readers take what the config says."""
    folder = backbone_maker(tmp_path / "b")
    half = {key: value.half() for key, value in load_file(folder / "model.safetensors").items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    assembled = build("full", tools.spec("classification"), backbone=identify(folder, tmp_path / "hashes"))
    assembled.save(tmp_path / "a")
    (tmp_path / "plain").mkdir()
    save_plain(assembled, tmp_path / "plain")
    for written in (tmp_path / "a" / "backbone", tmp_path / "plain"):
        types = {value.dtype for value in load_file(written / "model.safetensors").values()}
        said = json.loads((written / "config.json").read_text())
        assert (types, said["dtype"]) == ({torch.float32}, "float32")
        assert "torch_dtype" not in said


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"depth": 5}, "backbone of depth 4, {} has 5"),
        ({"width": 48}, "backbone of width 32, {} has 48"),
        ({"vocabulary": 1001}, "backbone of vocabulary 1000, {} has 1001"),
        ({"seed": 9}, "backbone of fingerprint"),
    ],
)
@pytest.mark.parametrize("name", ["mnli", "whole"])
def test_another_base_is_refused_with_the_difference(parents, backbone_maker, tmp_path, size, message, name):
    from adaptrans.modeling.backbone import identify

    other = identify(backbone_maker(tmp_path / "other", **size), tmp_path)
    with pytest.raises(ArtifactError) as caught:
        SetupModel.load(parents[name], other)
    assert message.format(other.name) in str(caught.value)
    assert "use it with" in str(caught.value)


def test_frozen_adapters_are_found_given_or_refused(base, build, parents, tools, tmp_path):
    store = tmp_path / "store"
    for name in ("mnli", "squad"):
        shutil.copytree(parents[name], store / name)
    own = {name: store / name for name in ("mnli", "squad")}
    batch = tools.batch_of("classification")
    assembled = build("mnli > squad > target", tools.spec("classification"), own)
    assembled.save(store / "top")
    before = tools.answers(assembled, batch)
    moved = tmp_path / "moved"
    store.rename(moved)
    assert torch.equal(tools.answers(SetupModel.load(moved / "top", base), batch)[0], before[0])
    (moved / "squad").rename(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="needs 'squad', which is not in"):
        SetupModel.load(moved / "top", base)
    loaded = SetupModel.load(moved / "top", base, {"squad": tmp_path / "elsewhere"})
    assert torch.equal(tools.answers(loaded, batch)[0], before[0])
    with pytest.raises(ArtifactError, match="has other weights"):
        SetupModel.load(moved / "top", base, {"squad": parents["qqp"]})


def test_continued_and_whole_models_need_no_parent(base, build, parents, tools, tmp_path):
    batch = tools.batch_of("classification")
    shutil.copytree(parents["mnli"], tmp_path / "mnli")
    shutil.copytree(parents["whole"], tmp_path / "whole")
    own = {name: tmp_path / name for name in ("mnli", "whole")}
    for number, text in enumerate(("continue(mnli)", "full(whole)")):
        assembled = build(text, tools.spec("classification"), own)
        assembled.save(tmp_path / str(number))
        shutil.rmtree(own["mnli" if "mnli" in text else "whole"])
        assert tools.same(SetupModel.load(tmp_path / str(number), base), assembled, batch)


def test_an_interrupted_save_leaves_the_old_artifact(base, build, tools, tmp_path, monkeypatch):
    batch = tools.batch_of("classification")
    first = build("adapter", tools.spec("classification"))
    first.save(tmp_path / "a")
    second = tools.shaken(build("adapter", tools.spec("classification")), 9)
    with monkeypatch.context() as patched:
        patched.setattr(adapters, "save_head", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert tools.same(SetupModel.load(tmp_path / "a", base), first, batch)
    second.save(tmp_path / "a")
    assert tools.same(SetupModel.load(tmp_path / "a", base), second, batch)


def test_what_cannot_be_saved_is_refused(build, parents, tools, tmp_path):
    assembled = build("adapter", tools.spec("classification"))
    with pytest.raises(ArtifactError, match=r"'setup' of artifact\.json is taken"):
        assembled.save(tmp_path / "a", {"setup": "full"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(ArtifactError, match="exists and is not an artifact"):
        assembled.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(ArtifactError, match="trained nothing"):
        build("mnli > target", None, parents).save(tmp_path / "a")


def rewrite(folder, **values):
    path = folder / "artifact.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def to_pickle(folder):
    weights = folder / "adapters" / "mnli" / "adapter.safetensors"
    torch.save(read_tensors(weights), weights.with_name("pytorch_adapter.bin"))
    weights.unlink()


def drop_tensor(folder):
    path = folder / "adapters" / "mnli" / "adapter.safetensors"
    tensors = read_tensors(path)
    tensors.pop(min(tensors))
    write_tensors(path, tensors)


def truncate(folder):
    path = folder / "heads" / "mnli" / "model_head.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "artifact.json").unlink(), "is not an artifact: it has no artifact.json"),
        (lambda folder: (folder / "artifact.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "artifact.json").write_text("[]"), "has format None, this version reads 1"),
        (lambda folder: rewrite(folder, format=2), "has format 2, this version reads 1"),
        (lambda folder: rewrite(folder, setup="mnli >"), "position 7"),
        (lambda folder: rewrite(folder, seed="one"), "seed is missing or wrong"),
        (lambda folder: rewrite(folder, head={}), "head.name is missing or wrong"),
        (lambda folder: rewrite(folder, backbone={"name": "x"}), "backbone.architecture is missing"),
        (lambda folder: rewrite(folder, adapter="../../x"), "the module name '../../x' is missing or wrong"),
        (lambda folder: rewrite(folder, parents={"a": 1}), "parents.a is missing or wrong"),
        (to_pickle, "adapter.safetensors cannot be read"),
        (drop_tensor, "lacks 1 tensors, the first is roberta.encoder.layer.0"),
        (truncate, "cannot be read"),
    ],
)
def test_a_damaged_artifact_is_one_line(base, parents, tmp_path, damage, message):
    folder = shutil.copytree(parents["mnli"], tmp_path / "mnli")
    damage(folder)
    with pytest.raises(ArtifactError) as caught:
        SetupModel.load(folder, base)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_manifest_is_read_without_a_model(parents):
    manifest = read_manifest(parents["mnli"])
    assert (manifest.target, manifest.method, manifest.adapter) == ("mnli", "seq_bn", "mnli")
    assert str(manifest.setup) == "adapter"
    assert manifest.fusions == ()
    assert manifest.content() != read_manifest(parents["squad"]).content()
    code = "import sys, adaptrans.modeling.manifest; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
