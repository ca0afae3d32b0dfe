"""Setups as plain transformers models, loaded where adaptrans is not."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptrans.errors import SetupError
from adaptrans.exporting.transformers import merged_encoder, obstacle, save_plain
from adaptrans.modeling import adapters

KINDS = ["classification", "tagging", "span_qa", "multiple_choice", "passage_ranking", "mlm"]
EXACT = ["full", "full(whole)"]
MERGED = {
    "adapter": "lora",
    "continue(one)": "lora",
    "one > target": "lora",
    "one > two > target": "lora",
    "one + two - three > target": "lora",
    "average(2*one, 1*two) > target": "lora",
}
METHODS = [
    "lora[r=4,alpha=16,attn_matrices=['q','k','v']]",
    "lora[intermediate_lora=True,output_lora=True]",
    "dora",
    "vera",
    "ia3",
]
LOAD = """
import sys
from pathlib import Path
import torch, transformers
from safetensors.torch import load_file, save_file
found = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    batch = load_file(folder / "inputs")
    architecture = transformers.AutoConfig.from_pretrained(folder / "plain").architectures[0]
    model = getattr(transformers, architecture).from_pretrained(folder / "plain").eval()
    with torch.inference_mode():
        output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    for i, value in enumerate(output.to_tuple()):
        found[f"{folder.name}.{i}"] = value.contiguous()
assert not {"adaptrans", "adapters"} & sys.modules.keys()
save_file(found, sys.argv[2])
"""


@pytest.fixture(scope="module")
def lora_parents(build, tools, parents, tmp_path_factory):
    """Artifacts of three intermediate tasks, trained with lora, beside the whole model."""
    folder, found = tmp_path_factory.mktemp("lora"), {"whole": parents["whole"]}
    for seed, name in enumerate(("one", "two", "three")):
        own = build("adapter", tools.spec("classification", name), method="lora", seed=seed)
        tools.shaken(own, seed).save(folder / name)
        found[name] = folder / name
    return found


def cases(build, tools, parents, folder):
    """Every setup with every kind of head, and every method that merges."""
    for kind in KINDS:
        for text in [*EXACT, *MERGED]:
            yield text, kind, build(text, tools.spec(kind), parents, method=MERGED.get(text, "seq_bn"))
    head = tools.spec("tagging")
    for method in METHODS:
        yield method, "tagging", build("adapter", head, method=method)
        if "intermediate" not in method:
            below = folder / method.partition("[")[0]
            build("adapter", tools.spec("tagging", "below"), method=method, seed=3).save(below)
            yield f"x > {method}", "tagging", build("below > target", head, {"below": below}, method=method)


def test_logits_are_equal_with_nothing_but_transformers(build, tools, lora_parents, tmp_path):
    expected, exact = {}, set()
    for number, (text, kind, assembled) in enumerate(cases(build, tools, lora_parents, tmp_path / "below")):
        folder, batch = tmp_path / "all" / f"{number:03}", tools.batch_of(kind)
        (folder / "plain").mkdir(parents=True)
        save_plain(assembled, folder / "plain")
        save_file(batch, folder / "inputs")
        found = tools.answers(assembled, batch)
        if kind == "passage_ranking":
            found = [found[0]]
        for i, value in enumerate(found):
            expected[f"{folder.name}.{i}"] = (text, kind, value)
        exact |= {folder.name} if text in EXACT else set()
    command = [sys.executable, "-c", LOAD, str(tmp_path / "all"), str(tmp_path / "found")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert answer.returncode == 0, answer.stderr[-2000:]
    found = load_file(tmp_path / "found")
    assert found.keys() == expected.keys()
    for name, (text, kind, value) in expected.items():
        theirs = found[name][:, 0] if kind == "passage_ranking" else found[name]
        theirs = theirs[tools.batch_of(kind)["hidden"]] if kind == "mlm" else theirs
        if name.partition(".")[0] in exact:
            assert torch.equal(theirs, value), (text, kind)
        else:
            assert torch.allclose(theirs, value, atol=1e-4, rtol=1e-4), (text, kind)


def test_the_merge_of_lora_is_the_library_s(build, tools):
    assembled = build("adapter", tools.spec("classification"), method="lora")
    merged = merged_encoder(assembled)
    before = {key: value.clone() for key, value in adapters.encoder_tensors(assembled.model).items()}
    assembled.model.merge_adapter("xnli")
    theirs = adapters.encoder_tensors(assembled.model)
    moved = [key for key, value in theirs.items() if not torch.equal(value, before[key])]
    assert len(moved) == 2 * 4, "query and value of every layer"
    assert all(torch.allclose(merged[key], value, atol=1e-6) for key, value in theirs.items())


@pytest.mark.parametrize("method", ["ia3", "dora"])
def test_the_library_s_own_merge_leaves_the_bias(build, tools, method):
    # Why it is not called: the layer scales its bias too, and the merged one does not.
    assembled = build("adapter", tools.spec("classification"), method=method)
    with torch.no_grad():
        for layer in assembled.model.base_model.encoder.layer:
            layer.attention.self.value.bias.fill_(1.0)
            layer.attention.self.key.bias.fill_(1.0)
    batch = tools.batch_of("classification")
    before = tools.answers(assembled, batch)[0]
    assembled.model.merge_adapter("xnli")
    assert not torch.allclose(tools.answers(assembled, batch)[0], before, atol=1e-4), "the trap is gone"


@pytest.mark.parametrize(
    ("text", "method", "reason"),
    [
        ("adapter", "seq_bn", "the adapter 'xnli' has layers of its own"),
        ("adapter", "prefix_tuning", "the adapter 'xnli' has layers of its own"),
        ("adapter", "mam", "the adapter 'xnli' has layers of its own"),
        ("adapter", "lora[use_gating=True]", "the adapter 'xnli' is gated by its input"),
        ("mnli > target", "lora", "the adapter 'mnli' has layers of its own"),
        ("fuse(mnli, squad)", "seq_bn", "a fusion weighs its adapters anew for every token"),
    ],
)
def test_what_is_no_plain_model_says_why(build, tools, parents, lora_parents, tmp_path, text, method, reason):
    own = {**parents, "one": lora_parents["one"]}
    assembled = build(text, tools.spec("classification"), own, method=method)
    assert obstacle(assembled) == reason
    with pytest.raises(SetupError, match=r"is no plain transformers model.*--format adapters"):
        save_plain(assembled, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_labels_are_those_of_the_task(build, tools, tmp_path):
    from transformers import XLMRobertaConfig

    save_plain(build("full", tools.spec("classification")), tmp_path)
    config = XLMRobertaConfig.from_pretrained(tmp_path)
    assert config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert config.label2id["neutral"] == 1
    assert config.architectures == ["XLMRobertaForSequenceClassification"]
    assert not hasattr(config, "adapters")


def test_layers_that_are_not_linear_any_more_are_not_merged(build, tools, lora_parents):
    # Built past the check of setups, which refuses such a stack: an adapter that scales above one that adds.
    assembled = build("adapter", tools.spec("classification"), method="ia3")
    adapters.load_adapter(assembled.model, "one", lora_parents["one"] / "adapters" / "one")
    assembled.model.eval()
    adapters.activate(assembled.model, ["one", "xnli"], "xnli")
    assembled.layers = ("one", "xnli")
    assert obstacle(assembled) == "stacked adapters of different methods multiply each other's outputs"


def test_a_fresh_low_rank_adapter_above_another_starts_as_the_bare_backbone(base, build, tools, lora_parents):
    # What docs/reference/setups.md says of such stacks: their product is added, and a fresh one is zero.
    batch = tools.batch_of("tagging")
    fresh = build("one > target", tools.spec("tagging"), lora_parents, method="lora", shake=False)
    bare = build("adapter", tools.spec("tagging"), method="lora", shake=False)
    assert torch.allclose(tools.answers(fresh, batch)[0], tools.answers(bare, batch)[0], atol=1e-6)


def test_an_export_is_a_backbone_with_what_was_learnt_in_its_weights(
    base, build, tools, lora_parents, tmp_path
):
    from adaptrans.modeling.backbone import identify

    learnt = build("one > target", None, lora_parents, method="lora")
    save_plain(
        build("continue(one)", tools.spec("tagging"), lora_parents, method="lora", shake=False), tmp_path
    )
    merged = build("adapter", None, backbone=identify(tmp_path))
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        states = [item.hidden_states(**inputs)[-1] for item in (learnt, merged, build("adapter", None))]
    assert torch.allclose(states[0], states[1], atol=1e-4)
    assert not torch.allclose(states[0], states[2], atol=1e-2)
