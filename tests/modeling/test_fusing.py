"""Fusions: equal to the plain library's, trained alone, saved whole, and what they attend to."""

import pytest
import torch

from adaptrans.errors import ArtifactError, SetupError
from adaptrans.modeling import adapters, composition
from adaptrans.modeling.adapters import Fused
from adaptrans.modeling.composition import Attention
from adaptrans.modeling.model import SetupModel

FORMS = ["fuse(mnli, squad)", "fuse(mnli, squad) > target", "qqp > fuse(mnli, squad) > target"]


@pytest.mark.parametrize("kind", ["classification", "tagging", "span_qa", "multiple_choice"])
@pytest.mark.parametrize("text", FORMS)
def test_logits_equal_those_of_the_plain_library(base, build, parents, tools, tmp_path, text, kind):
    head, batch = tools.spec(kind), tools.batch_of(kind)
    assembled = build(text, head, parents)
    assembled.save(tmp_path / "a")
    model = tools.by_hand(base, tmp_path / "a", text, parents, head.name)
    with torch.inference_mode():
        output = model(batch["input_ids"], attention_mask=batch["attention_mask"])
    theirs = (output.start_logits, output.end_logits) if kind == "span_qa" else (output.logits,)
    ours = tools.answers(assembled, batch)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    loaded = SetupModel.load(tmp_path / "a", base)
    assert all(torch.equal(a, b) for a, b in zip(ours, tools.answers(loaded, batch), strict=True))
    assert (loaded.trained, loaded.fusions) == (assembled.trained, assembled.fusions)
    assert not (tmp_path / "a" / "backbone").exists()


@pytest.mark.parametrize("text", FORMS)
def test_fusion_target_and_head_are_trained_and_nothing_else(build, parents, tools, text):
    assembled = build(text, tools.spec("classification"), parents, shake=False)
    model, batch = assembled.model.train(), tools.batch_of("classification")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(3):
        torch.nn.functional.cross_entropy(assembled(batch), batch["labels"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == set(assembled.trained)
    fused = [name for name in moved if ".adapter_fusion_layer.xnli." in name]
    # Per layer: query and key with bias, value without.
    assert len(fused) == 4 * 5
    assert bool([name for name in moved if ".adapters.xnli." in name]) == text.endswith("target")


def test_keys_and_values_are_computed_on_memory_in_one_piece(build, parents, tools):
    # On the library's transposed view a bfloat16 product takes 200 times as long on a CPU.
    assembled = build("fuse(mnli, squad)", tools.spec("classification"), parents)
    seen = []

    def look(_module, inputs, _output):
        seen.append(inputs[0].is_contiguous())

    for name, module in assembled.model.named_modules():
        if ".adapter_fusion_layer." in name and name.endswith((".key", ".value")):
            module.register_forward_hook(look)
    assembled(tools.batch_of("classification"))
    assert seen
    assert all(seen)


def test_every_part_has_an_effect(build, parents, tools):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    texts = [
        "adapter",
        "fuse(mnli, squad)",
        "fuse(mnli, qqp)",
        "fuse(squad, qqp)",
        "fuse(mnli, squad, qqp)",
        "fuse(mnli, squad) > target",
        "fuse(mnli, qqp) > target",
        "qqp > fuse(mnli, squad)",
        "qqp > fuse(mnli, squad) > target",
        "fuse(mnli, squad) > qqp > target",
    ]
    found = [tools.answers(build(text, head, parents), batch)[0] for text in texts]
    for i, one in enumerate(found):
        assert not any(torch.allclose(one, other, atol=1e-5) for other in found[:i]), texts[i]


def test_a_fresh_fusion_starts_as_the_library_starts_it(base, build, parents, tools):
    assembled = build("fuse(mnli, squad)", tools.spec("classification"), parents, shake=False)
    tensors = composition.fusion_tensors(assembled.model, "xnli")
    values = [value for name, value in tensors.items() if composition.is_value(name)]
    off = torch.full((base.width, base.width), 1e-6).fill_diagonal_(1.0)
    assert len(values) == base.depth
    assert all(torch.equal(value, off) for value in values)
    again = build("qqp > fuse(mnli, squad) > target", tools.spec("classification"), parents, shake=False)
    other = build("fuse(mnli, squad)", tools.spec("classification"), parents, shake=False, seed=2)
    own, same, different = (item.trained_state() for item in (assembled, again, other))
    assert all(torch.equal(value, same[name]) for name, value in own.items())
    assert not all(torch.equal(value, different[name]) for name, value in own.items())


def test_regularization_equals_that_of_the_library(build, parents, tools):
    assembled = build("fuse(mnli, squad) > target", tools.spec("classification"), parents)
    ours = composition.regularization(assembled.model, ["xnli"], 0.01)
    assert torch.allclose(ours, assembled.model.base_model.get_fusion_regularization_loss())
    assert torch.allclose(composition.regularization(assembled.model, ["xnli"], 0.02), 2 * ours)
    ours.backward()
    moved = {name for name, p in assembled.model.named_parameters() if p.grad is not None}
    assert moved == {name for name in assembled.trained if composition.is_value(name)}


@pytest.mark.parametrize("kind", ["classification", "multiple_choice"])
def test_attention_equals_what_the_library_reports(build, parents, tools, kind):
    from adapters import ForwardContext

    head, batch = tools.spec(kind), tools.batch_of(kind)
    assembled = build("qqp > fuse(mnli, squad) > target", head, parents)
    watched = Attention(assembled.fusions)
    before = tools.answers(assembled, batch)[0]
    with watched.watching(assembled.model):
        for _ in range(2):
            watched.batch(batch["attention_mask"])
            assert torch.equal(tools.answers(assembled, batch)[0], before), "watching changes the answer"
    inputs = {name: batch[name].reshape(-1, 11) for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        # Asked of the encoder, because the library's multiple choice head drops the attentions.
        output = assembled.model.base_model(**inputs, output_adapter_fusion_attentions=True, return_dict=True)
    assert ForwardContext.get_context() is None
    mask = batch["attention_mask"].reshape(-1, 11).double()
    for row in watched.shares():
        (theirs,) = output.adapter_fusion_attentions[head.name][row["layer"]].values()
        mean = (torch.tensor(theirs).double() * mask.unsqueeze(-1)).sum((0, 1)) / mask.sum()
        assert row["shares"] == pytest.approx(mean.tolist(), rel=1e-5)
        assert sum(row["shares"]) == pytest.approx(1)
        assert (row["fusion"], row["part"]) == (head.name, "output")
    assert [row["layer"] for row in watched.shares()] == [0, 1, 2, 3]
    assert watched.tokens == 2 * int(mask.sum())


def test_attention_is_recorded_in_bf16_too(build, parents, tools):
    # The library's own report fails there: numpy has no such numbers.
    batch = tools.batch_of("tagging")
    assembled = build("fuse(mnli, squad)", tools.spec("tagging"), parents)
    found = []
    for half in (False, True):
        watched = Attention(assembled.fusions)
        with watched.watching(assembled.model), torch.autocast("cpu", torch.bfloat16, enabled=half):
            watched.batch(batch["attention_mask"])
            tools.answers(assembled, batch)
        found.append([share for row in watched.shares() for share in row["shares"]])
    assert found[1] == pytest.approx(found[0], abs=0.05)
    assert found[1] != found[0]


def test_both_places_of_double_adapters_are_fused(build, tools, tmp_path):
    parents = {}
    for seed, name in enumerate(("a", "b")):
        own = build("adapter", tools.spec("classification", name), method="double_seq_bn", seed=seed)
        own.save(tmp_path / name)
        parents[name] = tmp_path / name
    batch = tools.batch_of("classification")
    assembled = build("fuse(a, b) > target", tools.spec("classification"), parents, method="double_seq_bn")
    watched = Attention(assembled.fusions)
    with watched.watching(assembled.model):
        watched.batch(batch["attention_mask"])
        before = tools.answers(assembled, batch)[0]
    assert {(row["layer"], row["part"]) for row in watched.shares()} == {
        (layer, part) for layer in range(4) for part in ("attention", "output")
    }
    assembled.save(tmp_path / "x")
    assert torch.equal(tools.answers(SetupModel.load(tmp_path / "x"), batch)[0], before)


def test_layers_that_the_adapters_leave_out_have_no_fusion(build, tools, tmp_path):
    method, parents = "seq_bn[leave_out='last']", {}
    for name in ("a", "b", "c"):
        chosen = method if name != "c" else "seq_bn"
        build("adapter", tools.spec("classification", name), method=chosen).save(tmp_path / name)
        parents[name] = tmp_path / name
    batch = tools.batch_of("classification")
    assembled = build("fuse(a, b) > target", tools.spec("classification"), parents, method=method)
    tools.answers(assembled, batch)
    places = {name.split(".layer.")[1][0] for name in assembled.trained if "fusion" in name}
    assert places == {"0", "1", "2"}
    with pytest.raises(SetupError, match="'a' and 'c' are of different forms or in different layers"):
        build("fuse(a, c)", tools.spec("classification"), parents)
    with pytest.raises(SetupError, match="'xnli' is in layers that the fused adapters leave out"):
        build("fuse(a, b) > target", tools.spec("classification"), parents, method="seq_bn")


def test_two_fusions_over_the_same_adapters_live_side_by_side(base, build, parents, tools, tmp_path):
    from adapters import Fuse, XLMRobertaAdapterModel

    batch = tools.batch_of("classification")
    names = ("xnli", "xnli_2")
    built = {}
    for seed, name in enumerate(names):
        built[name] = build("fuse(mnli, squad)", tools.spec("classification", name), parents, seed=seed)
        built[name].save(tmp_path / name)
    model = XLMRobertaAdapterModel.from_pretrained(base.path)
    for name in ("mnli", "squad"):
        model.load_adapter(str(parents[name] / "adapters" / name), with_head=False, use_safetensors=True)
    for name in names:
        model.load_adapter_fusion(
            str(tmp_path / name / "fusions" / name), set_active=False, with_head=False, use_safetensors=True
        )
        model.load_head(str(tmp_path / name / "heads" / name), use_safetensors=True)
    model.eval()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    for name in names:
        model.set_active_adapters(Fuse("mnli", "squad", name=name))
        model.active_head = name
        with torch.inference_mode():
            assert torch.equal(model(**inputs).logits, tools.answers(built[name], batch)[0]), name


def test_a_second_fusion_in_a_chain_has_a_name_and_weights_of_its_own(build, parents, tools, tmp_path):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    own = {**parents, "rte": tmp_path / "rte"}
    build("adapter", tools.spec("classification", "rte"), seed=9).save(tmp_path / "rte")
    assembled = build("fuse(mnli, squad) > fuse(qqp, rte)", head, own)
    assert [fused.name for fused in assembled.fusions] == ["xnli", "xnli_2"]
    first, second = (composition.fusion_tensors(assembled.model, name) for name in ("xnli", "xnli_2"))
    assert len(first) == len(second) == 4 * 5
    assembled.save(tmp_path / "x")
    before = tools.answers(assembled, batch)[0]
    assert torch.equal(tools.answers(SetupModel.load(tmp_path / "x"), batch)[0], before)
    adapters.activate(assembled.model, assembled.fusions[:1], "xnli")
    assert not torch.allclose(tools.answers(assembled, batch)[0], before, atol=1e-5)
    adapters.activate(assembled.model, assembled.fusions[1:], "xnli")
    assert not torch.allclose(tools.answers(assembled, batch)[0], before, atol=1e-5)


def test_adapters_trained_on_a_fusion_are_not_taken_out_of_it(base, build, parents, tools, tmp_path):
    own = {**parents}
    for name, text in (("alone", "fuse(mnli, squad)"), ("above", "fuse(mnli, squad) > target")):
        build(text, tools.spec("classification", name), parents).save(tmp_path / name)
        own[name] = tmp_path / name
    head = tools.spec("classification")
    for text in ("above > target", "continue(above)", "fuse(qqp, above)"):
        with pytest.raises(SetupError, match=r"'above' was trained as 'fuse\(mnli, squad\) > target'"):
            build(text, head, own)
    with pytest.raises(ArtifactError, match=r"is a fusion .* and has no adapter of its own"):
        build("alone > target", head, own)
    with pytest.raises(ArtifactError, match="has no encoder of its own"):
        build("full(alone)", head, own)


def test_invertible_and_unlike_adapters_are_not_fused(build, parents, tools, tmp_path):
    head = tools.spec("classification")
    with pytest.raises(SetupError, match=r"only the first one's invertible part .* nearest that runs"):
        build("fuse(mnli, squad)", head, parents, method="seq_bn_inv")
    own = {**parents}
    for name, method in (("inv", "seq_bn_inv"), ("lora", "lora"), ("par", "par_bn")):
        build("adapter", tools.spec("classification", name), method=method).save(tmp_path / name)
        own[name] = tmp_path / name
    with pytest.raises(SetupError, match="'inv' cannot be fused, for of several"):
        build("fuse(inv, mnli)", head, own)
    with pytest.raises(SetupError, match="'lora' cannot be fused"):
        build("fuse(lora, mnli)", head, own)
    with pytest.raises(SetupError, match="'mnli' and 'par' are of different forms"):
        build("fuse(mnli, par)", head, own)
    for text in ("fuse(mnli, squad)", "fuse(mnli, squad) > target"):
        with pytest.raises(
            SetupError, match=r"no training; nearest that runs: 'average\(mnli, squad\) > target'"
        ):
            build(text, None, parents)


def test_a_fusion_is_not_loaded_over_other_adapters(build, parents, tools, tmp_path):
    assembled = build("fuse(mnli, squad)", tools.spec("classification"), parents)
    composition.save_fusion(assembled.model, "xnli", tmp_path / "f")
    other = build("fuse(squad, mnli)", tools.spec("classification"), parents)
    with pytest.raises(ArtifactError, match=r"is over \['mnli', 'squad'\], not over \['squad', 'mnli'\]"):
        composition.load_fusion(other.model, "xnli", tmp_path / "f")
    (tmp_path / "f" / "adapter_fusion_config.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        composition.load_fusion(other.model, "xnli", tmp_path / "f")
    assert Fused("xnli", ("mnli", "squad")) == assembled.fusions[0]
