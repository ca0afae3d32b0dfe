"""Plain adapters of the library in a store: found again, used by setups, named in notes."""

import json
import shutil

import pytest
import torch

from adaptrans.errors import AdaptransError, ArtifactError, ConfigError
from adaptrans.hub.import_adapterhub import adopt
from adaptrans.hub.pull import resolve
from adaptrans.modeling.backbone import identify
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import language_runs
from adaptrans.runs.store import Store
from adaptrans.runs.workspace import Workspace


@pytest.fixture(scope="module")
def base(tiny_backbone):
    return identify(tiny_backbone)


@pytest.fixture(scope="module")
def saved(base, tmp_path_factory):
    """`saved(config, name)`: the folder that the plain library saved."""
    from adapters import XLMRobertaAdapterModel

    def make(config, name, pickles=False):
        torch.manual_seed(3)
        model = XLMRobertaAdapterModel.from_pretrained(base.path)
        model.add_adapter(name, config=config)
        folder = tmp_path_factory.mktemp("plain") / name
        model.save_adapter(str(folder), name, with_head=False, use_safetensors=not pickles)
        return folder

    return make


def test_a_folder_becomes_one_run_that_setups_name(base, saved, tmp_path):
    store, folder = Store(tmp_path), saved("seq_bn", "sst-2")
    run = adopt(folder, store, base)
    assert adopt(folder, store, base) == run
    assert (run.phase, run.config()["task"], run.result()["method"]) == ("adopted", "sst-2", "seq_bn")
    assert run.result()["notes"] == ["sst-2 was trained elsewhere, on what is not known here"]
    assert resolve(str(folder), store, base) == run
    assert store.find(run.key) == run
    named = adopt(folder, store, base, name="sentiment")
    assert named.key != run.key
    assert named.label.startswith("sentiment.")


def test_a_language_adapter_is_found_by_setups_with_a_language(base, saved, tmp_path):
    store = Store(tmp_path)
    run = adopt(saved("seq_bn_inv[reduction_factor=2]", "swa"), store, base, language="swa")
    assert language_runs(Workspace(base, None, store)) == {"sw": run}
    assert run.result()["method"] == "seq_bn_inv[reduction_factor=2]"
    with pytest.raises(ConfigError, match="has the name of its language"):
        adopt(saved("seq_bn", "swa"), store, base, language="sw", name="swahili")
    with pytest.raises(AdaptransError, match="xx"):
        adopt(saved("seq_bn", "swa"), store, base, language="xx")


def test_a_reft_whose_file_does_not_tell_which_is_noted_or_said(base, saved, tmp_path):
    store, folder = Store(tmp_path), saved("direft", "sst-2")
    run = adopt(folder, store, base)
    assert run.result()["method"] == "noreft"
    assert "its file does not tell which; taken as noreft" in run.result()["notes"][-1]
    said = adopt(folder, store, base, method="direft")
    assert said.key != run.key
    assert (said.result()["method"], len(said.result()["notes"])) == ("direft", 1)
    assert adopt(folder, store, base, method="noreft") == run
    for other, method in ((folder, "lora"), (saved("loreft", "x"), "noreft"), (saved("lora", "y"), "direft")):
        with pytest.raises(ConfigError, match="leave --method out"):
            adopt(other, store, base, method=method)


def test_what_does_not_fit_leaves_no_finished_run(base, saved, backbone_maker, tmp_path):
    folder = saved("seq_bn", "sst-2")
    deep = identify(backbone_maker(tmp_path / "deep", depth=5))
    with pytest.raises(ArtifactError, match="has 5 layers"):
        resolve(str(folder), Store(tmp_path / "store"), deep)
    assert Store(tmp_path / "store").runs() == []


def test_pickles_are_not_read_for_a_setup(base, saved, tmp_path):
    folder, store = saved("seq_bn", "sst-2", pickles=True), Store(tmp_path)
    with pytest.raises(ArtifactError, match="--allow-bin"):
        resolve(str(folder), store, base)
    run = adopt(folder, store, base, pickles=True)
    assert adopt(folder, store, base, pickles=True) == run


def test_a_changed_folder_is_another_run(base, saved, tmp_path):
    folder, store = saved("seq_bn", "sst-2"), Store(tmp_path)
    first = adopt(folder, store, base)
    shutil.copyfile(
        saved("seq_bn[reduction_factor=4]", "sst-2") / "adapter.safetensors", folder / "adapter.safetensors"
    )
    with pytest.raises(ArtifactError, match="has shape"):
        adopt(folder, store, base)
    assert store.runs() == [first]


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_folder_that_names_an_attention_is_refused(base, saved, tmp_path, key):
    folder = saved("seq_bn", "sst-2")
    values = json.loads((folder / "adapter_config.json").read_text())
    values["config"][key] = "eager"
    (folder / "adapter_config.json").write_text(json.dumps(values))
    for take in (
        lambda: adopt(folder, Store(tmp_path), base),
        lambda: resolve(str(folder), Store(tmp_path), base),
    ):
        with pytest.raises(ArtifactError, match=f"has the key '{key}'.*delete the key"):
            take()
    assert Store(tmp_path).runs() == []


@pytest.mark.parametrize(
    ("own", "called"),
    [("adapter", "adopted-adapter"), ("mix", "adopted-mix"), ("2024", "2024")],
)
def test_what_adopt_says_can_be_said_in_a_setup(base, saved, tmp_path, own, called):
    folder = saved("seq_bn", own)
    run = adopt(folder, Store(tmp_path), base)
    assert run.config()["task"] == called
    for text in ("{} > target", "continue({})", "fuse({}, squad)", "average(2*{}, 1*squad) > target"):
        (found, *_) = parse(text.format(f"{called}#{run.key}")).references()
        assert (found.name, found.run) == (called, run.key)


@pytest.mark.parametrize("name", ["full", "lang", "nine", "a b", "-a", "a-"])
def test_a_given_name_that_no_setup_can_say_is_refused(base, saved, tmp_path, name):
    with pytest.raises(ConfigError, match=r"the name '.*' (is a word of setups|may hold).*; call it '"):
        adopt(saved("seq_bn", "sst-2"), Store(tmp_path), base, name=name)
    assert Store(tmp_path).runs() == []
