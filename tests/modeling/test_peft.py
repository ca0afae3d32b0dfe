"""LoRA of the PEFT library: the same outputs here, or refused with the way out."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptrans.errors import ArtifactError
from adaptrans.hub.import_adapterhub import adopt
from adaptrans.modeling.import_adapter import convert, read_foreign
from adaptrans.runs.store import Store

peft = pytest.importorskip("peft", reason="needs peft: pip install 'adaptrans[dev]'")

# What PEFT is told, and what it is here.
CASES = {
    "query, value": ({}, "lora[dropout=0.1,r=4]"),
    "key": (
        {"target_modules": ["key", "query", "value"], "lora_alpha": 16, "lora_dropout": 0.0},
        "lora[alpha=16,attn_matrices=['q', 'k', 'v'],r=4]",
    ),
    "some layers": ({"layers_to_transform": [1, 3]}, "lora[dropout=0.1,leave_out=[0, 2],r=4]"),
    "feed-forward": (
        {"target_modules": r".*\.layer\.\d+\.(intermediate|output)\.dense"},
        "lora[dropout=0.1,intermediate_lora=True,output_lora=True,r=4,selfattn_lora=False]",
    ),
    "rank-stabilized": ({"use_rslora": True}, "lora[alpha=16.0,dropout=0.1,r=4]"),
}


@pytest.fixture
def made(base, tmp_path):
    """`made(**options)`: a model of PEFT with weights moved, and the folder that it saved."""
    from transformers import XLMRobertaForSequenceClassification, XLMRobertaModel

    def make(head=False, **options):
        kind = XLMRobertaForSequenceClassification if head else XLMRobertaModel
        given = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": ["query", "value"]}
        task = {"task_type": "SEQ_CLS"} if head else {}
        model = peft.get_peft_model(
            kind.from_pretrained(base.path), peft.LoraConfig(**{**given, **task, **options})
        )
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "lora_" in key:
                    parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(tmp_path / "saved.lora")
        return model.eval(), tmp_path / "saved.lora"

    return make


def states(base, build, tools, folder, tmp_path):
    """Outputs of all layers here, and the batch."""
    method = convert(read_foreign(folder), base, tmp_path / "a", name="sst")
    ours = build("sst > target", None, {"sst": tmp_path / "a"}, method="seq_bn")
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        return str(method), ours.hidden_states(**inputs), inputs


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_equal_to_the_last_bit(base, build, made, tools, tmp_path, case):
    options, wanted = CASES[case]
    model, folder = made(**options)
    method, found, inputs = states(base, build, tools, folder, tmp_path)
    assert method == wanted
    with torch.inference_mode():
        theirs = model(**inputs, output_hidden_states=True).hidden_states
        with model.disable_adapter():
            bare = model(**inputs, output_hidden_states=True).hidden_states
    assert not torch.allclose(theirs[-1], bare[-1], atol=1e-2), "the adapter does nothing"
    assert all(torch.equal(a, b) for a, b in zip(found, theirs, strict=True))


def test_a_head_is_left_out_with_a_note(base, build, made, tools, tmp_path):
    model, folder = made(head=True)
    assert any("classifier" in key for key in load_file(folder / "adapter_model.safetensors"))
    _, found, inputs = states(base, build, tools, folder, tmp_path)
    with torch.inference_mode():
        theirs = model(**inputs, output_hidden_states=True).hidden_states
    assert all(torch.equal(a, b) for a, b in zip(found, theirs, strict=True))
    run = adopt(folder, Store(tmp_path / "store"), base, name="sst")
    assert any("of the PEFT adapter is left out" in note for note in run.result()["notes"])
    assert run.result()["method"] == "lora[dropout=0.1,r=4]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"bias": "lora_only"}, "bias='lora_only'"),
        ({"rank_pattern": {"layer.0.attention.self.query": 2}}, "rank_pattern"),
        ({"alpha_pattern": {"layer.0.attention.self.query": 2}}, "alpha_pattern"),
        ({"modules_to_save": ["word_embeddings"]}, "trained embeddings.word_embeddings"),
        ({"target_modules": ["dense"]}, "a LoRA in attention.output.dense"),
        ({"target_modules": r".*layer\.0\..*query|.*layer\.[123]\..*value"}, "not adapted alike"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
    ],
)
def test_what_cannot_be_expressed_names_the_way_out(base, made, tmp_path, options, message):
    _, folder = made(**options)
    with pytest.raises(ArtifactError, match=message) as caught:
        convert(read_foreign(folder), base, tmp_path / "a", name="sst")
    assert "merge_and_unload()" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_the_way_out_leads_there(base, made, tools, tmp_path):
    from adaptrans.modeling.backbone import identify

    model, _ = made(use_dora=True)
    merged = model.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    for path in base.path.glob("*token*"):
        shutil.copyfile(path, tmp_path / "merged" / path.name)
    assert identify(tmp_path / "merged", tmp_path).fingerprint != base.fingerprint


def test_other_kinds_and_damage_are_one_line(base, made, backbone_maker, tmp_path):
    from adaptrans.modeling.backbone import identify

    _, folder = made()
    path, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    values, stored = json.loads(path.read_text()), load_file(weights)
    for change, message in (
        ({"peft_type": "IA3"}, r"is a IA3 of PEFT, only LORA .*merge_and_unload"),
        ({"r": None}, "has no r"),
        ({"r": 5}, r"has shape \[4, 32\]"),
    ):
        path.write_text(json.dumps({**values, **change}))
        with pytest.raises(ArtifactError, match=message):
            convert(read_foreign(folder), base, tmp_path / "a", name="sst")
    path.write_text(json.dumps(values))
    deep = identify(backbone_maker(tmp_path / "deep", depth=5), tmp_path)
    with pytest.raises(ArtifactError, match=r"weights for the layers 0 to 3 .* has 5 layers"):
        convert(read_foreign(folder), deep, tmp_path / "a", name="sst")
    save_file({key: value * float("nan") for key, value in stored.items()}, weights)
    with pytest.raises(ArtifactError, match="contains NaN or infinity"):
        convert(read_foreign(folder), base, tmp_path / "a", name="sst")
    weights.rename(folder / "adapter_model.bin")
    with pytest.raises(ArtifactError, match="safe_serialization=True"):
        read_foreign(folder)
