import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adaptrans.errors import AdaptransError, ArtifactError, ConfigError, SetupError
from adaptrans.modeling import adapters
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import read_tensors
from adaptrans.modeling.setup.parser import parse

KINDS = ["classification", "tagging", "span_qa", "multiple_choice"]
SETUPS = ["full", "full(whole)", "adapter", "continue(mnli)", "mnli > target", "mnli > squad > target"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", SETUPS)
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
    shapes = {
        "classification": [(3, 3)],
        "tagging": [(3, 11, 4)],
        "span_qa": [(3, 11), (3, 11)],
        "multiple_choice": [(3, 2)],
    }
    assert [tuple(value.shape) for value in ours] == shapes[kind]


@pytest.mark.parametrize(
    ("text", "stack"),
    [
        ("full", []),
        ("adapter", []),
        ("mnli > target", ["mnli"]),
        ("continue(mnli)", ["mnli"]),
        ("mnli > squad > target", ["mnli", "squad"]),
    ],
)
def test_retrieval_vectors_equal_those_of_the_plain_library(base, build, parents, tools, text, stack):
    from adapters import Stack, XLMRobertaAdapterModel

    assembled = build(text, None, parents)
    assert (assembled.trained, assembled.head, assembled.model.active_head) == ((), None, None)
    assert not any(parameter.requires_grad for parameter in assembled.model.parameters())
    model = XLMRobertaAdapterModel.from_pretrained(base.path).eval()
    for name in stack:
        model.load_adapter(str(parents[name] / "adapters" / name), with_head=False, use_safetensors=True)
    if stack:
        model.set_active_adapters(Stack(*stack))
    model.active_head = None
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        theirs = model(**inputs, output_hidden_states=True).hidden_states
        ours = assembled.hidden_states(**inputs)
    assert len(ours) == base.depth + 1
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_retrieval_uses_the_whole_model_of_its_parent(base, build, parents, tools):
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        states = {
            text: build(text, None, parents).hidden_states(**inputs) for text in ("full", "full(whole)")
        }
        tuned = library_model(base, parents["whole"]).hidden_states(**inputs)
    assert torch.equal(states["full(whole)"][-1], tuned[-1])
    assert not torch.equal(states["full"][0], states["full(whole)"][0])


def library_model(base, folder):
    from adaptrans.modeling.model import SetupModel

    return SetupModel.load(folder, base)


def test_every_adapter_of_a_stack_has_an_effect(build, parents, tools):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    texts = ["adapter", "mnli > target", "squad > target", "mnli > squad > target", "squad > mnli > target"]
    found = [tools.answers(build(text, head, parents), batch)[0] for text in texts]
    for i, one in enumerate(found):
        assert not any(torch.allclose(one, other, atol=1e-5) for other in found[:i]), texts[i]


@pytest.mark.parametrize("text", SETUPS)
def test_only_what_is_trained_moves(build, parents, tools, text):
    assembled = build(text, tools.spec("classification"), parents, shake=False)
    model, batch = assembled.model.train(), tools.batch_of("classification")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(assembled(batch), batch["labels"])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    aliases = {"roberta.prompt_tuning.base_model_embeddings.weight"} if text.startswith("full") else set()
    assert moved - aliases == set(assembled.trained)
    if text.startswith("full"):
        assert len([name for name in assembled.trained if name.startswith("roberta.")]) == 5 + 16 * 4
    else:
        assert all(".adapters.xnli." in name or name.startswith("heads.xnli.") for name in assembled.trained)
        assert not any("mnli" in name.replace("xnli", "") for name in assembled.trained)


def test_full_takes_the_encoder_of_its_parent_and_not_the_head(base, build, parents, tools):
    other = build("full", tools.spec("classification"), parents, shake=False)
    tuned = build("full(whole)", tools.spec("classification"), parents, shake=False)
    parent = library_model(base, parents["whole"])
    encoder = adapters.encoder_tensors(tuned.model)
    assert all(
        torch.equal(value, encoder[key]) for key, value in adapters.encoder_tensors(parent.model).items()
    )
    assert list(tuned.model.heads) == ["xnli"]
    fresh = adapters.head_tensors(tuned.model, "xnli")
    assert all(
        torch.equal(fresh[key], value) for key, value in adapters.head_tensors(other.model, "xnli").items()
    )


def test_continue_starts_from_the_weights_of_its_parent(base, build, parents, tools):
    assembled = build("continue(mnli)", tools.spec("classification"), parents, shake=False)
    parent = library_model(base, parents["mnli"])
    own = adapters.adapter_tensors(assembled.model, "xnli")
    theirs = adapters.adapter_tensors(parent.model, "mnli")
    assert len(own) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(own.values(), theirs.values(), strict=True))
    assert list(assembled.model.heads) == ["xnli"]
    assert assembled.composition == "xnli"


def test_fresh_weights_depend_on_the_seed_alone(build, parents, tools):
    head = tools.spec("classification")
    torch.manual_seed(1)
    first = build("adapter", head, parents, shake=False)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    stacked = build("mnli > target", head, parents, shake=False)
    other = build("adapter", head, parents, seed=2, shake=False)
    a, b, c = (assembled.trained_state() for assembled in (first, stacked, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "assembling moved the generator of the program"


def test_fresh_weights_are_equal_in_another_process(base, build, tools, tmp_path):
    code = f"""
from pathlib import Path
from safetensors.torch import save_file
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.backbone import identify
from adaptrans.modeling.setup.parser import parse
head = HeadSpec("xnli", "classification", ("entailment", "neutral", "contradiction"))
base = identify({str(base.path)!r}, Path({str(tmp_path)!r}))
built = SetupModel.from_setup(
    base, parse("adapter"), target="xnli", head=head, method="lora", parents={{}}, seed=1
)
save_file(built.trained_state(), {str(tmp_path / "state")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    theirs = read_tensors(tmp_path / "state")
    ours = build("adapter", tools.spec("classification"), method="lora", shake=False).trained_state()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_trained_state_comes_back_exactly_or_not_at_all(build, parents, tools):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    assembled = build("mnli > target", head, parents)
    state, before = assembled.trained_state(), tools.answers(assembled, batch)[0]
    tools.shaken(assembled, 5)
    assert not torch.equal(tools.answers(assembled, batch)[0], before), "the state is no copy"
    name = next(iter(state))
    for wrong in (
        {key: value for key, value in state.items() if key != name},
        {**state, "roberta.pooler.dense.bias": torch.zeros(32)},
        {**state, name: torch.zeros(1)},
    ):
        current = tools.answers(assembled, batch)[0]
        with pytest.raises(ArtifactError, match="the trained state"):
            assembled.load_trained_state(wrong)
        assert torch.equal(tools.answers(assembled, batch)[0], current)
    assembled.load_trained_state(state)
    assert torch.equal(tools.answers(assembled, batch)[0], before)


def test_no_other_head_stays_active(base):
    # The library leaves the head of the last task on when all adapters are switched off.
    model = adapters.bare_model(base)
    adapters.add_head(model, "xnli", HeadSpec("xnli", "classification", ("a", "b")).library_config(), 1)
    model.set_active_adapters(None)
    assert model.active_head == "xnli", "the trap is gone; the explicit switch may go too"
    assert adapters.activate(model, [], None) == "none"
    assert model.active_head is None
    assert model(torch.tensor([[0, 5, 2]])).last_hidden_state.shape == (1, 3, 32)


def test_training_a_stack_would_unfreeze_all_of_it(build, parents, tools):
    # Why the target is set for training alone: the library takes a stack to be trained as a whole.
    from adapters import Stack

    assembled = build("mnli > target", tools.spec("classification"), parents)
    frozen = [name for name, p in assembled.model.named_parameters() if ".mnli." in name]
    assert frozen
    assert not any(dict(assembled.model.named_parameters())[name].requires_grad for name in frozen)
    model = copy.deepcopy(assembled.model)
    model.train_adapter(Stack("mnli", "xnli"))
    assert any(dict(model.named_parameters())[name].requires_grad for name in frozen), "the trap is gone"


@pytest.mark.parametrize(
    "method",
    [
        "seq_bn",
        "seq_bn[reduction_factor=4,leave_out=[0,1]]",
        "double_seq_bn",
        "par_bn",
        "scaled_par_bn",
        "seq_bn_inv",
        "compacter[reduction_factor=4]",
        "lora",
        "dora",
        "vera",
        "ia3",
        "prefix_tuning",
        "mam",
        "unipelt",
        "loreft",
        "prompt_tuning",
    ],
)
def test_methods_answer_and_come_back(base, build, tools, tmp_path, method):
    from adaptrans.modeling.model import SetupModel

    head, batch = tools.spec("classification"), tools.batch_of("classification")
    assembled = build("adapter", head, method=method)
    before = tools.answers(assembled, batch)[0]
    bare = tools.shaken(build("full", head, shake=False))
    load = {name: value for name, value in assembled.trained_state().items() if name.startswith("heads.")}
    bare.load_trained_state({**build("full", head, shake=False).trained_state(), **load})
    assert not torch.allclose(tools.answers(bare, batch)[0], before, atol=1e-6), "the adapter has no effect"
    assembled.save(tmp_path / "a")
    loaded = SetupModel.load(tmp_path / "a", base)
    assert torch.equal(tools.answers(loaded, batch)[0], before)
    assert loaded.trained == assembled.trained


STACKING = {
    **{
        name: name
        for name in ("seq_bn", "double_seq_bn", "lora", "dora", "vera", "ia3", "prefix_tuning", "unipelt")
    },
    "compacter": "compacter[reduction_factor=4]",
}


@pytest.fixture(scope="session")
def lower(build, tools, tmp_path_factory):
    """One adapter of each method, trained on mnli."""
    folder = tmp_path_factory.mktemp("lower")
    for name, method in {
        **STACKING,
        "par_bn": "par_bn",
        "mam": "mam",
        "prompt_tuning": "prompt_tuning",
    }.items():
        build("adapter", tools.spec("classification", "mnli"), method=method).save(folder / name)
    return folder


@pytest.mark.parametrize("above", STACKING)
@pytest.mark.parametrize("below", STACKING)
def test_in_a_stack_both_methods_have_an_effect(build, tools, lower, below, above):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    if (below == "ia3") != (above == "ia3") and {below, above} & {"lora", "dora", "vera", "unipelt"}:
        with pytest.raises(SetupError, match="would multiply each other: one adds and one scales"):
            build("mnli > target", head, {"mnli": lower / below}, method=STACKING[above])
        return
    stacked = build("mnli > target", head, {"mnli": lower / below}, method=STACKING[above])
    found = tools.answers(stacked, batch)[0]
    for part in (["mnli"], ["xnli"]):
        adapters.activate(stacked.model, part, "xnli")
        assert not torch.allclose(tools.answers(stacked, batch)[0], found, atol=1e-6), f"only {part} counts"


def test_low_rank_adapters_do_not_stack_where_a_layer_changes_the_width(build, tools, tmp_path):
    # The library fails there in its first forward pass.
    method = "lora[output_lora=True]"
    build("adapter", tools.spec("tagging", "a"), method=method).save(tmp_path / "a")
    with pytest.raises(SetupError, match="'a' and 'panx' are both in a layer of 64 x 32"):
        build("a > target", tools.spec("tagging"), {"a": tmp_path / "a"}, method=method)


@pytest.mark.parametrize(("below", "above"), [("par_bn", "par_bn"), ("seq_bn", "par_bn"), ("seq_bn", "mam")])
def test_parallel_adapters_hide_those_below_them(build, tools, lower, below, above):
    # Why the table says "silent": built past the check, the stack answers as its last adapter alone.
    alone = build("adapter", tools.spec("classification"), method=above)
    before = tools.answers(alone, tools.batch_of("classification"))[0]
    adapters.load_adapter(alone.model, "mnli", lower / below / "adapters" / "mnli")
    alone.model.eval()
    adapters.activate(alone.model, ["mnli", "xnli"], "xnli")
    assert torch.equal(tools.answers(alone, tools.batch_of("classification"))[0], before), "the trap is gone"


@pytest.mark.parametrize("below", ["par_bn", "mam", "prompt_tuning"])
def test_stored_adapters_that_do_not_stack_are_refused(build, tools, lower, below):
    parents = {"mnli": lower / below}
    with pytest.raises(SetupError, match=rf"'mnli' cannot be stacked.*compose {below}.*'continue\(mnli\)'"):
        build("mnli > target", tools.spec("classification"), parents)
    assert build("continue(mnli)", tools.spec("classification"), parents, method=below).composition == "xnli"
    assert build("mnli > target", None, parents, method=below).composition == "mnli"


def test_adapters_named_as_their_target_do_not_collide(build, parents, tools):
    head = tools.spec("classification", "mnli")
    assembled = build("mnli > target", head, parents)
    assert assembled.composition == "Stack[mnli_2, mnli]"
    assert all(".mnli." in name for name in assembled.trained)
    names = ["items", "tydiqa.gold", "0"]
    for name in names:
        built = build("adapter", tools.spec("classification", name))
        assert tools.answers(built, tools.batch_of("classification"))[0].shape == (3, 3)


def test_choices_may_differ_from_those_trained_on(build, tools):
    assembled = build("adapter", tools.spec("multiple_choice"))
    batch = tools.batch_of("multiple_choice")
    two = tools.answers(assembled, batch)[0]
    three = {key: torch.cat([value, value[:, :1]], 1) for key, value in batch.items() if value.dim() == 3}
    found = tools.answers(assembled, three)[0]
    assert found.shape == (3, 3)
    assert torch.allclose(found[:, :2], two, atol=1e-6)
    assert assembled.model.heads["xcopa"].config["num_choices"] == 2


@pytest.mark.parametrize(
    ("text", "method", "message"),
    [
        ("qqp > nowhere > target", "seq_bn", "no artifact is given for 'nowhere'"),
        (
            "full(mnli)",
            "full",
            "is an adapter (adapter) and has no encoder of its own; write 'mnli > target'",
        ),
        ("whole > target", "seq_bn", "is a whole model (full) and has no adapter; write 'full(whole)'"),
        ("continue(mnli)", "lora", "'mnli' was trained with seq_bn, not lora; use the method seq_bn"),
        ("adapter", "seq_bn[reduction_factor=0]", "makes no adapter for this model"),
        ("adapter", "compacter", "makes no adapter for this model"),
        ("adapter", "seq_bn[mh_adapter=False,output_adapter=False]", "makes an adapter without weights"),
        ("adapter", "seq_bn[leave_out=[0,1,2,3]]", "makes an adapter without weights"),
        ("adapter", "lora[selfattn_lora=False]", "makes an adapter without weights"),
        ("adapter", "lora[attn_matrices=[]]", "makes an adapter without weights"),
        ("adapter", "loreft[output_reft=False]", "makes an adapter without weights"),
        ("adapter", "loreft[layers=[0,9]]", "names no layers of an encoder with 4"),
        ("mnli > target", "seq_bn_inv", "has no effect above another adapter"),
        ("fuse(mnli, squad)", "lora", "does not implement Fuse of lora; nearest that runs: 'average("),
        ("{lang} > mnli > target", "seq_bn", "no artifact is given for '{lang}'"),
        ("mnli > target", "prompt_tuning", "only one adapter would have an effect"),
    ],
)
def test_what_cannot_be_built_is_one_line(build, parents, tools, text, method, message):
    with pytest.raises(SetupError if "whole" not in text and "full" not in text else ArtifactError) as caught:
        build(text, tools.spec("classification"), parents, method=method)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["tagging", "span_qa"])
def test_methods_that_add_tokens_have_no_answer_per_token(build, tools, kind):
    with pytest.raises(SetupError, match="puts tokens of its own"):
        build("adapter", tools.spec(kind), method="prompt_tuning")


def test_an_adapter_is_not_used_without_those_below_it(build, parents, tools, tmp_path):
    on_mnli = build("mnli > target", tools.spec("classification", "qqp"), parents)
    on_mnli.save(tmp_path / "qqp")
    own = {**parents, "qqp": tmp_path / "qqp"}
    head = tools.spec("classification")
    for text in ("qqp > target", "squad > qqp > target", "continue(qqp)"):
        with pytest.raises(
            SetupError, match=r"was trained as 'mnli > target'.*nearest: 'mnli > qqp > target'"
        ):
            build(text, head, own)
    assert build("mnli > qqp > target", head, own).composition == "Stack[mnli, qqp, xnli]"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"depth": 3}, "backbone of depth 4, {} has 3"),
        ({"width": 16}, "backbone of width 32, {} has 16"),
        ({"vocabulary": 900}, "backbone of vocabulary 1000, {} has 900"),
        ({"seed": 8}, "backbone of fingerprint"),
    ],
)
def test_parents_of_another_base_are_refused(build, parents, tools, backbone_maker, tmp_path, size, message):
    from adaptrans.modeling.backbone import identify

    other = identify(backbone_maker(tmp_path / "other", **size), tmp_path)
    with pytest.raises(ArtifactError) as caught:
        build("mnli > target", tools.spec("classification"), parents, backbone=other)
    assert message.format(other.name) in str(caught.value)


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (HeadSpec("xnli", "classification", ("a",)), ConfigError),
        (HeadSpec("xnli", "classification", ("a", "a")), ConfigError),
        (HeadSpec("xnli", "clasification", ("a", "b")), AdaptransError),
        (HeadSpec("other", "classification", ("a", "b")), SetupError),
        (None, SetupError),
    ],
)
def test_impossible_heads_are_refused(base, head, error):
    with pytest.raises(error) as caught:
        SetupModel.from_setup(
            base, parse("adapter"), target="xnli", head=head, method="seq_bn", parents={}, seed=1
        )
    assert "\n" not in str(caught.value)


def test_a_model_without_head_has_no_logits(build, parents, tools):
    with pytest.raises(ConfigError, match="has no head"):
        build("mnli > target", None, parents)(tools.batch_of("tagging"))


def test_gradient_checkpointing_gives_the_same_gradients(build, parents, tools):
    assembled = build("mnli > target", tools.spec("classification"), parents)
    batch, model = tools.batch_of("classification"), assembled.model
    model.train()
    gradients = []
    for on in (False, True):
        if on:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        torch.manual_seed(0)
        assembled(batch).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-5) for name in gradients[0])


def test_one_module_imports_the_library():
    package = Path(adapters.__file__).parents[1]
    lines = {
        path.name
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("import adapters", "from adapters"))
    }
    assert lines == {"adapters.py"}


def test_a_language_adapter_comes_and_goes_below_the_others(base, build, tools, tmp_path):
    for seed, code in enumerate(("en", "sw"), start=3):
        own = SetupModel.for_language(base, code, "seq_bn", seed)
        tools.shaken(own, seed).save(tmp_path / code)
    batch = tools.batch_of("classification")
    model = build("{lang} > target", tools.spec("classification"), {"{en}": tmp_path / "en"})
    layers, (english,) = model.layers, tools.answers(model, batch)
    model.use_language(None)
    assert model.layers == layers[1:]
    (without,) = tools.answers(model, batch)
    model.use_language(None)
    assert model.layers == layers[1:]
    model.use_language(tmp_path / "sw")
    assert model.layers == ("language_sw", *layers[1:])
    (other,) = tools.answers(model, batch)
    model.use_language(tmp_path / "en")
    assert torch.equal(tools.answers(model, batch)[0], english)
    assert not torch.equal(without, english)
    assert not torch.equal(other, english)


def test_heads_of_one_model_share_its_weights(build, tools):
    first, second = tools.spec("classification"), tools.spec("tagging")
    model = build("adapter", first, more_heads=[second])
    other = model.with_head("panx")
    assert other.head == second
    assert (model.head, model.target) == (first, "xnli")
    assert other.model is model.model
    assert [id(value) for value in other.parameters()] == [id(value) for value in model.parameters()]
    assert other(tools.batch_of("tagging")).shape[-1] == len(second.labels)
    # What checkpoints and artifacts hold goes by the names in the library's model.
    assert list(model.trained_state()) == list(model.trained)
    assert {f"model.{name}" for name in model.trained} <= {name for name, _ in model.named_parameters()}
