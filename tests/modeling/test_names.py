"""Names of tasks and languages in models: whatever the name, adapters and heads are as under any other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptrans import languages
from adaptrans.errors import SetupError
from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling.adapters import adapter_name, module_name, renamed
from adaptrans.modeling.composition import _places, clash
from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations, reads_weights
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.setup.nodes import Reference
from adaptrans.modeling.setup.parser import WORDS, parse
from adaptrans.tasks import catalogue
from adaptrans.tasks.names import name_problem, plain_name

# Attributes of modules and of containers, of the library and of torch; numbers; signs; names like another.
ODD = """
keys values items pop clear update type training forward to half double parameters modules children
named_parameters register_buffer state_dict _modules add loras use_dora gradient_checkpointing
loaded_embeddings adapters refts heads head layers prefix_tunings prefix_gates prompt_tunings
shared_parameters adapter_fusion_layer invertible_adapters x_adapters prefix_tuning pool gate m lora_A
lora_B units self_prefix location_key model_config adapters_config default none None self config name
layer_idx adapter_modules_name add_adapter get_active_setup roberta encoder layer output embeddings
pooler weight bias 0 1 2024 1e5 20-news 3way - _ __init__ a.b a/b tydiqa.gold * mnli mnli_2 mnli-2 Ünï 人
merged language_sw query value dense xnli
"""
NASTY = (*ODD.split(), "a b", "a" * 90)
OPTIONS = {"compacter": "[reduction_factor=4]", "compacter++": "[reduction_factor=4]"}


@pytest.fixture(scope="module")
def thin(tmp_path_factory, backbone_maker):
    from adaptrans.modeling.backbone import identify

    return identify(backbone_maker(tmp_path_factory.mktemp("thin") / "one", depth=1, mlm=False))


@pytest.mark.parametrize("name", adapter_methods.names())
def test_an_adapter_and_a_head_of_any_name_answer_alike(thin, tools, name, tmp_path):
    method = adapter_methods.parse(f"{name}{OPTIONS.get(name, '')}")
    taken: list[str] = []
    batch = {key: tools.batch_of("classification")[key] for key in ("input_ids", "attention_mask")}
    first, number = None, 0
    for place, nasty in enumerate(NASTY):
        if place % 16 == 0:
            model = adapters.bare_model(thin)
        called = module_name(nasty, taken)
        taken.append(called)
        adapters.add_adapter(model, called, method, seed=1)
        adapters.add_head(
            model, called, HeadSpec(nasty, "classification", ("a", "b")).library_config(), seed=1
        )
        model.eval()
        own = adapters.adapter_tensors(model, called)
        assert {adapter_name(key) for key in own} == {called}
        others = [renamed(key, "x") for key in own]
        assert {adapter_name(key) for key in others} == {"x"}
        assert [renamed(key, called) for key in others] == list(own)
        assert len(adapters.head_tensors(model, called)) == 4
        number = number or len(own)
        assert len(own) == number, nasty
        adapters.activate(model, [called], called)
        with torch.inference_mode():
            found = model(**batch).logits
        first = found if first is None else first
        assert torch.equal(found, first), nasty
        assert clash(model, [called]) is None
        assert len(list(_places(model))) == 2
        assert any(map(reads_weights, model.modules())) == method.reads_weights
    trained = adapters.freeze_all_but(model, called, [called], whole=False)
    assert {adapter_name(key) for key in trained} == {None, called}
    checkpoint_activations(model)
    with torch.inference_mode():
        assert torch.equal(model(**batch).logits, first)
    adapters.save_adapter(model, called, tmp_path / called)
    adapters.load_adapter(model, module_name("loras"), tmp_path / called)
    assert len(adapters.adapter_tensors(model, "loras_")) == number


def test_codes_of_languages_can_be_said_and_be_modules():
    codes = list(languages.table())
    assert len(codes) > 100
    for code in codes:
        assert name_problem(code) is None
        assert parse(f"mnli[{code}] > target").layers[0].languages == (code,)
        assert not hasattr(torch.nn.ModuleDict(), module_name(code))


def test_names_of_the_catalogue_can_be_said():
    for name in catalogue.names():
        assert parse(f"{name} > target").layers[0] == Reference(name)


LETTERS = st.text(st.sampled_from("aZ0_9-.eE+ #*"), max_size=8)


@given(
    LETTERS | st.sampled_from([*WORDS, "lang", "swap", "none", "1e5", "1e-5", "1e-5x", "20-news", "a-", "-a"])
)
def test_a_name_without_a_problem_is_what_setups_read(name):
    forms = (
        "{} > target",
        "continue({})",
        "full({})",
        "fuse(b, {})",
        "average(2*{}, 1*b) > target",
        "b - {} > target",
    )
    for form in forms:
        reference = Reference(name)
        try:
            setup = parse(form.format(name))
        except SetupError:
            assert name_problem(name) is not None, form
            continue
        said = reference in [item for layer in setup.layers for item in sources(layer)]
        if name_problem(name) is None:
            assert said, form
            assert parse(str(setup)) == setup
        else:
            assert not said, form


def sources(layer):
    return layer.references()


@given(st.text(max_size=12))
def test_a_plain_name_has_no_problem(name):
    plain = plain_name(name)
    assert name_problem(plain) is None
    assert plain_name(plain) == plain
