"""Adapters of the plain library: converted to the same function, or refused with the reason."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from adapters import ADAPTER_CONFIG_MAP, AdapterConfig
from safetensors.torch import load_file, save_file

from adaptrans.errors import ArtifactError
from adaptrans.exporting.adapters import save_folder
from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling.import_adapter import (
    check_base,
    convert,
    is_foreign,
    is_untold,
    method_of,
    read_foreign,
)
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel

# What the library calls it, and what it is here.
CONFIGS = {
    "seq_bn": "seq_bn",
    "seq_bn[reduction_factor=4]": "seq_bn[reduction_factor=4]",
    "seq_bn[leave_out=[0,3],non_linearity='gelu']": "seq_bn[leave_out=[0, 3],non_linearity='gelu']",
    "double_seq_bn": "double_seq_bn",
    "seq_bn_inv[reduction_factor=2]": "seq_bn_inv[reduction_factor=2]",
    "par_bn": "par_bn",
    "compacter[reduction_factor=4]": "compacter[reduction_factor=4]",
    "lora": "lora",
    "lora[r=4,alpha=16]": "lora[alpha=16,r=4]",
    "dora": "dora",
    "vera": "vera",
    "ia3": "ia3",
    "prefix_tuning": "prefix_tuning",
    "prefix_tuning_flat": "prefix_tuning[flat=True]",
    "mam": "mam",
    "unipelt": "unipelt",
}


@pytest.fixture(scope="module")
def made(base, tmp_path_factory):
    """`made(config, name=, kind=)`: a model of the plain library, and the folder that it saved."""
    from adapters import XLMRobertaAdapterModel

    def make(config="seq_bn", name="sst-2", bin_=False):
        model = XLMRobertaAdapterModel.from_pretrained(base.path)
        model.add_adapter(name, config=config)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if f".{name}." in key:
                    parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        folder = tmp_path_factory.mktemp("foreign")
        if config.partition("_")[0] not in ("prefix", "mam", "unipelt"):
            model.save_adapter(str(folder), name, with_head=False, use_safetensors=not bin_)
        else:  # whose shared tensors the library cannot write as safetensors
            model.save_adapter(str(folder), name, with_head=False)
        model.set_active_adapters(name)
        model.active_head = None
        return model.eval(), folder

    return make


@pytest.mark.parametrize("config", CONFIGS)
def test_every_method_becomes_the_same_function(base, build, made, tools, tmp_path, config):
    model, folder = made(config)
    assert is_foreign(folder)
    method = convert(read_foreign(folder, pickles=True), base, tmp_path / "a", name="sst")
    assert str(method) == CONFIGS[config]
    assert read_manifest(tmp_path / "a").method == CONFIGS[config]
    ours = build("sst > target", None, {"sst": tmp_path / "a"}, method="seq_bn")
    batch = tools.batch_of("tagging")
    # In the library padding changes what a gate answers, here it does not, and rounding is another.
    gated = config == "unipelt"
    inputs = {name: batch[name][: 2 if gated else 3] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        theirs = model(**inputs, output_hidden_states=True).hidden_states
        found = ours.hidden_states(**inputs)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-5 * gated) for a, b in zip(found, theirs, strict=True))


def test_pickles_only_when_asked_for_and_only_tensors(base, made, tmp_path):
    _, folder = made(bin_=True)
    with pytest.raises(ArtifactError, match=r"only in pytorch_adapter\.bin, a pickle; .*--allow-bin"):
        read_foreign(folder)
    convert(read_foreign(folder, pickles=True), base, tmp_path / "a", name="sst")
    assert not list((tmp_path / "a").rglob("*.bin"))
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return marker.write_text, ("",)

    with (folder / "pytorch_adapter.bin").open("wb") as file:
        pickle.dump({"x": Attack()}, file)
    with pytest.raises(ArtifactError, match="holds something else than tensors"):
        convert(read_foreign(folder, pickles=True), base, tmp_path / "b", name="sst")
    assert not marker.exists()
    assert not (tmp_path / "b").exists()


def test_names_of_older_versions_are_read(base, made, tmp_path):
    _, folder = made("seq_bn_inv[reduction_factor=2]", name="sw")
    stored = load_file(folder / "adapter.safetensors")
    old = {
        key.replace("invertible_adapters", "invertible_lang_adapters")
        .replace("output.adapters", "output.layer_text_lang_adapters")
        .removeprefix("roberta."): value
        for key, value in stored.items()
    }
    assert old.keys() != stored.keys()
    save_file(old, folder / "adapter.safetensors")
    values = json.loads((folder / "adapter_config.json").read_text())
    for key in ("init_weights_seed", "dropout", "stochastic_depth"):
        values["config"].pop(key, None)
    (folder / "adapter_config.json").write_text(json.dumps(values))
    assert (
        str(convert(read_foreign(folder), base, tmp_path / "a", name="sw"))
        == CONFIGS["seq_bn_inv[reduction_factor=2]"]
    )
    written = load_file(tmp_path / "a" / "adapters" / "sw" / "adapter.safetensors")
    assert written.keys() == stored.keys()


def test_an_old_task_adapter_that_only_claims_an_invertible_part(base, made, tmp_path):
    _, folder = made("seq_bn_inv")
    stored = load_file(folder / "adapter.safetensors")
    kept = {key: value for key, value in stored.items() if "invertible" not in key}
    save_file(kept, folder / "adapter.safetensors")
    assert str(convert(read_foreign(folder), base, tmp_path / "a", name="sst")) == "seq_bn"


def test_lora_that_an_older_version_scaled_by_one(base, made, tmp_path):
    _, folder = made("lora[r=4,alpha=16]")
    values = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**values, "version": "adapters.1.0.1"}))
    assert str(convert(read_foreign(folder), base, tmp_path / "a", name="sst")) == "lora[alpha=4,r=4]"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"depth": 5}, r"weights for the layers 0 to 3 and leaves out none; .* has 5 layers"),
        ({"depth": 3}, r"weights for the layers 0 to 3 and leaves out none; .* has 3 layers"),
        ({"width": 48}, "made for a backbone of width 32, .* has 48"),
    ],
)
def test_another_base_is_refused(made, backbone_maker, tmp_path, size, message):
    from adaptrans.modeling.backbone import identify

    _, folder = made()
    other = identify(backbone_maker(tmp_path / "other", **size), tmp_path)
    with pytest.raises(ArtifactError, match=message):
        convert(read_foreign(folder), other, tmp_path / "a", name="sst")
    assert not (tmp_path / "a").exists()


def test_what_we_exported_knows_its_base_to_the_last_bit(base, build, tools, backbone_maker, tmp_path):
    from adaptrans.modeling.backbone import identify

    (tmp_path / "x").mkdir()
    save_folder(build("adapter", tools.spec("classification")), tmp_path / "x", {})
    found = read_foreign(tmp_path / "x" / "xnli")
    assert check_base(found, base) is None
    other = identify(backbone_maker(tmp_path / "other", seed=9), tmp_path)
    with pytest.raises(ArtifactError, match="made for a backbone of fingerprint"):
        check_base(found, other)


def test_another_name_of_the_base_is_told(base, made):
    _, folder = made()
    found = read_foreign(folder)
    assert check_base(found, base) is None
    values = {**found.values, "model_name": "xlm-roberta-base"}
    told = check_base(replace(found, values=values), base)
    assert told == f"sst-2 says it was made for xlm-roberta-base; the backbone is {base.path.name}"


def spoil(folder, change):
    stored = load_file(folder / "adapter.safetensors")
    first = min(stored)
    change(stored, first)
    save_file(stored, folder / "adapter.safetensors")


def rewrite(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), "has no adapter_config.json"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "adapter_config.json").write_text("[]"), "no configuration of the adapters library"),
        (lambda f: rewrite(f, config=3), "no configuration of the adapters library"),
        (lambda f: rewrite(f, config={"architecture": "os.system"}), "makes no adapter|no method of this"),
        (lambda f: rewrite(f, model_type="bert"), "of architecture bert"),
        (lambda f: rewrite(f, name="other"), "no part of the adapter 'other'"),
        (lambda f: (f / "adapter.safetensors").unlink(), "has no adapter.safetensors"),
        (lambda f: (f / "adapter.safetensors").write_bytes(b"\x80\x02"), "cannot be read"),
        (lambda f: spoil(f, lambda t, k: t.pop(k)), "lacks 1 tensors"),
        (lambda f: spoil(f, lambda t, k: t.update({k: torch.zeros(7)})), r"has shape \[7\]"),
        (lambda f: spoil(f, lambda t, k: t[k].fill_(float("nan"))), "contains NaN or infinity"),
        (lambda f: spoil(f, lambda t, k: t.update({"heads.x.weight": t[k] + 1})), "no part of the adapter"),
    ],
)
def test_damage_is_one_line_and_nothing_is_written(base, made, tmp_path, damage, message):
    _, folder = made()
    damage(folder)
    with pytest.raises(ArtifactError, match=message) as caught:
        convert(read_foreign(folder), base, tmp_path / "a", name="sst")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("config", "said"), [("noreft[r=4]", None), ("direft[r=4]", "direft")])
def test_a_file_that_does_not_tell_its_method_becomes_what_is_said(
    base, build, made, tools, tmp_path, config, said
):
    model, folder = made(config)
    found = read_foreign(folder)
    assert is_untold(found)
    assert str(convert(found, base, tmp_path / "a", name="sst", method=said)) == config
    ours = build("sst > target", None, {"sst": tmp_path / "a"}, method="seq_bn")
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        theirs = model(**inputs, output_hidden_states=True).hidden_states
        found = ours.hidden_states(**inputs)
    assert all(torch.equal(a, b) for a, b in zip(found, theirs, strict=True))


def test_an_adapter_that_we_exported_tells_its_method(base, build, tools, tmp_path):
    (tmp_path / "x").mkdir()
    save_folder(build("adapter", tools.spec("tagging"), method="direft"), tmp_path / "x", {})
    found = read_foreign(tmp_path / "x" / "panx")
    assert not is_untold(found)
    assert str(convert(found, base, tmp_path / "a", name="sst")) == "direft"


def test_nothing_else_of_a_configuration_is_lost_on_disk():
    # What a file of the library does not hold and its adapters read: of one method, one flag.
    lost = {}
    for name in adapter_methods.names():
        config = ADAPTER_CONFIG_MAP[name]
        if name in ("mam", "unipelt"):
            continue
        again = AdapterConfig.load(config.to_dict())
        public = [key for key in dir(config) if key[0] != "_" and not callable(getattr(config, key))]
        different = [key for key in public if getattr(again, key) != getattr(config, key)]
        if different:
            lost[name] = different
    assert lost == {adapter_methods.SUBTRACTS_NOTHING: ["subtract_projection"]}


def test_going_on_from_an_adapter_keeps_what_its_file_does_not_tell(build, tools, tmp_path):
    head = tools.spec("tagging")
    build("adapter", head, method="direft").save(tmp_path / "one")
    assembled = build("continue(one)", head, {"one": tmp_path / "one"}, method="direft")
    assembled.save(tmp_path / "two")
    assert tools.same(assembled, SetupModel.load(tmp_path / "two"), tools.batch_of("tagging"))


@pytest.mark.parametrize("name", adapter_methods.names())
def test_every_method_is_found_from_its_configuration(name):
    found = method_of(adapters.default_config(name))
    assert not found.options
    assert adapters.default_config(found.name) == adapters.default_config(name)
