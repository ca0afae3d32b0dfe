"""Merged adapters: the weights the library would compute, on targets and for retrieval."""

import pytest
import torch

from adaptrans.errors import SetupError
from adaptrans.modeling import adapters
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse


def merged_by_library(base, parents, names, weights, strategy="linear"):
    """The library's own merge, as a plain model whose adapter is called `merged`."""
    from adapters import XLMRobertaAdapterModel

    model = XLMRobertaAdapterModel.from_pretrained(base.path)
    for name in names:
        model.load_adapter(str(parents[name] / "adapters" / name), with_head=False, use_safetensors=True)
    model.average_adapter(
        "merged", names, weights=weights, combine_strategy=strategy, normalize_weights=False
    )
    return model.eval()


@pytest.mark.parametrize(
    ("text", "names", "weights"),
    [
        ("average(mnli, squad) > target", ["mnli", "squad"], [0.5, 0.5]),
        ("average(mnli, squad, qqp) > target", ["mnli", "squad", "qqp"], [1 / 3, 1 / 3, 1 / 3]),
        ("average(3*mnli, 1*squad) > target", ["mnli", "squad"], [0.75, 0.25]),
        ("mnli + squad - qqp > target", ["mnli", "squad", "qqp"], [1.0, 1.0, -1.0]),
        ("mnli - qqp > target", ["mnli", "qqp"], [1.0, -1.0]),
    ],
)
def test_merged_weights_equal_those_of_the_library(base, build, parents, tools, text, names, weights):
    assembled = build(text, tools.spec("classification"), parents)
    assert assembled.composition == "Stack[merged, xnli]"
    model = merged_by_library(base, parents, names, weights)
    ours, theirs = (adapters.adapter_tensors(item, "merged") for item in (assembled.model, model))
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(value, theirs[key], atol=1e-6) for key, value in ours.items())
    assert not any(".merged." in name for name in assembled.trained)
    model.set_active_adapters("merged")
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        expected = model(**inputs, output_hidden_states=True).hidden_states
        found = build(text, None, parents).hidden_states(**inputs)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("method", ["lora", "ia3", "seq_bn_inv", "compacter[reduction_factor=4]", "par_bn"])
def test_other_methods_merge_as_in_the_library(base, build, tools, tmp_path, method):
    parents = {}
    for seed, name in enumerate(("a", "b")):
        own = build("adapter", tools.spec("classification", name), method=method, seed=seed)
        tools.shaken(own, seed).save(tmp_path / name)
        parents[name] = tmp_path / name
    for text, weights, strategy in (
        ("average(a, b) > target", [0.5, 0.5], "linear"),
        ("a - b > target", [1.0, -1.0], "lora_linear_only_negate_b" if method == "lora" else "linear"),
    ):
        found = build(text, None, parents, method=method)
        expected = merged_by_library(base, parents, ["a", "b"], weights, strategy)
        ours, theirs = (adapters.adapter_tensors(item, "merged") for item in (found.model, expected))
        # The library forgets the invertible parts.
        assert {key for key in ours if "invertible" not in key} == theirs.keys()
        assert all(torch.allclose(ours[key], value, atol=1e-6) for key, value in theirs.items()), text


def test_invertible_parts_are_merged_too(build, tools, tmp_path):
    parents = {}
    for seed, name in enumerate(("a", "b")):
        own = build("adapter", tools.spec("classification", name), method="seq_bn_inv", seed=seed)
        own.save(tmp_path / name)
        parents[name] = tmp_path / name
    found, a, b = (
        adapters.adapter_tensors(build(text, None, parents, method="seq_bn_inv").model, name)
        for text, name in (
            ("average(a, b) > target", "merged"),
            ("a > target", "a"),
            ("b > target", "b"),
        )
    )
    parts = [key for key in found if "invertible" in key]
    assert len(parts) == 8
    for key in parts:
        mean = (a[key.replace("merged", "a")] + b[key.replace("merged", "b")]) / 2
        assert torch.allclose(found[key], mean, atol=1e-6)


@pytest.mark.parametrize("text", ["average(2*mnli, 1*squad) > target", "qqp > mnli - squad > target"])
def test_a_setup_with_a_merge_comes_back_and_needs_its_parents(base, build, parents, tools, tmp_path, text):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    assembled = build(text, head, parents)
    assembled.save(tmp_path / "x")
    assert tools.same(SetupModel.load(tmp_path / "x", base), assembled, batch)
    recorded = read_manifest(tmp_path / "x").parents
    needed = [name for name in recorded if recorded[name]["content"]]
    assert needed == sorted(str(source) for source in parents if str(source) in text)
    assert [path.name for path in (tmp_path / "x" / "adapters").iterdir()] == ["xnli"]


def test_every_adapter_and_weight_of_a_merge_counts(build, parents, tools):
    batch = tools.batch_of("classification")
    texts = [
        "mnli > target",
        "average(mnli, squad) > target",
        "average(2*mnli, 1*squad) > target",
        "mnli + squad > target",
        "mnli - squad > target",
        "mnli + squad - qqp > target",
        "qqp > average(mnli, squad) > target",
    ]
    found = [tools.answers(build(text, tools.spec("classification"), parents), batch)[0] for text in texts]
    for i, one in enumerate(found):
        assert not any(torch.allclose(one, other, atol=1e-5) for other in found[:i]), texts[i]


def test_a_merge_of_one_kind_with_itself_changes_nothing(build, parents, tools, tmp_path):
    import shutil

    own = {**parents, "twin": shutil.copytree(parents["mnli"], tmp_path / "twin")}
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    merged = tools.answers(build("average(0.3*mnli, 0.7*twin) > target", head, own), batch)[0]
    assert torch.allclose(merged, tools.answers(build("mnli > target", head, own), batch)[0], atol=1e-6)


def test_unlike_adapters_and_other_methods_are_not_merged(build, parents, tools, tmp_path):
    head, own = tools.spec("classification"), {**parents}
    for name, method in (("small", "seq_bn[reduction_factor=8]"), ("prefix", "prefix_tuning")):
        build("adapter", tools.spec("classification", name), method=method).save(tmp_path / name)
        own[name] = tmp_path / name
    with pytest.raises(SetupError, match="differ in reduction_factor and cannot be merged"):
        build("average(mnli, small) > target", head, own)
    with pytest.raises(SetupError, match="'prefix' cannot be merged, for only bottlenecks, lora and ia3"):
        build("mnli + prefix > target", head, own)
    with pytest.raises(SetupError, match=r"merged, not mam; nearest that runs: 'continue\(mnli\)'"):
        build("average(mnli, squad) > target", head, parents, method="mam")


def test_terms_are_what_was_written():
    layer = parse("average(0.2*a, 0.6*b) > target").layers[0]
    assert [weight for _, weight in layer.terms()] == pytest.approx([0.25, 0.75])
