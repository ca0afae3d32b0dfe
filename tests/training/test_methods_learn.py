"""Every method learns something under every preset, and weight decay takes none of it apart."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs import presets
from adaptrans.runs.training_args import TrainingConfig, resolve
from adaptrans.tasks import catalogue
from adaptrans.training import loop
from adaptrans.training.loop import decays

HEAD = HeadSpec("xnli", "classification", ("entailment", "neutral", "contradiction"))
# The bottlenecks of the tiny model are too narrow for compacter's defaults.
SCALING = "lora[r=1,alpha=1,composition_mode='scale',init_weights='ia3']"
OPTIONS = {"compacter": "[reduction_factor=4]", "compacter++": "[reduction_factor=4]"}
EVERY = [f"{name}{OPTIONS.get(name, '')}" for name in adapter_methods.names()] + [
    SCALING,
    "loreft[r=4,suffix_positions=2]",
    "seq_bn[scaling='channel',ln_after=True,use_gating=True]",
    "prefix_tuning[flat=True]",
]
STEPS = 10


def optimizers():
    """What the presets say to the optimizer of an adapter, each once, and a strong decay."""
    found = {}
    for name in presets.names():
        for task in ("xnli", "panx", "xquad", "copa", "siqa"):
            kind = catalogue.get(task).kind
            layers = presets.get(name).training_layers(task, kind, whole_model=False, depth=12)
            config = resolve(TrainingConfig, layers, name).config
            found.setdefault((config.weight_decay, config.adam_epsilon), f"{name}, {task}")
    assert len(found) > 1, "no preset decays"
    return {**found, (0.1, 1e-8): "decay of 0.1"}


OPTIMISERS = optimizers()


def built(base, method, seed=1):
    return SetupModel.from_setup(
        base, parse("adapter"), target="xnli", head=HEAD, method=method, parents={}, seed=seed
    )


def batch():
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(4, 990, (4, 9), generator=generator)
    mask = torch.ones_like(ids)
    ids[2:, 6:], mask[2:, 6:] = 1, 0
    return {"input_ids": ids, "attention_mask": mask}, torch.tensor([0, 1, 2, 0])


def answers(assembled):
    with torch.inference_mode():
        return assembled(batch()[0])


def optimizer(assembled, decay, epsilon=1e-8, rate=1e-2):
    config = TrainingConfig(
        weight_decay=decay, adam_epsilon=epsilon, learning_rate=rate, fusion_learning_rate=rate
    )
    own = dict(assembled.model.named_parameters())
    return loop._optimizer({name: own[name] for name in assembled.trained}, assembled, config)


@pytest.mark.parametrize(("decay", "epsilon"), OPTIMISERS, ids=OPTIMISERS.values())
@pytest.mark.parametrize("method", EVERY)
def test_ten_steps_have_an_effect_that_is_stored(base, tmp_path, method, decay, epsilon):
    assembled = built(base, method)
    training = optimizer(assembled, decay, epsilon)
    inputs, labels = batch()
    for _ in range(STEPS):
        cross_entropy(assembled(inputs), labels).backward()
        training.step()
        training.zero_grad()
    trained = answers(assembled)
    assembled.save(tmp_path / "a")
    assert torch.equal(answers(SetupModel.load(tmp_path / "a", base)), trained)
    # The same head without the adapter, and with the adapter as it was before the first step.
    fresh = built(base, method)
    for name, value in adapters.head_tensors(fresh.model, "xnli").items():
        value.copy_(adapters.head_tensors(assembled.model, "xnli")[name])
    assert (answers(fresh) - trained).abs().max() > 1e-4, "the adapter learned nothing"
    adapters.activate(assembled.model, [], "xnli")
    assert (answers(assembled) - trained).abs().max() > 1e-4, "the adapter does nothing"
    adapters.activate(assembled.model, ["xnli"], "xnli")
    for module in assembled.model.modules():
        if getattr(module, "orthogonal", False):
            rows = module.projection.weight
            assert torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-5)


# Where nothing but decay acts for a long time these answer as the bare encoder.
NEUTRAL = [
    *("seq_bn", "double_seq_bn", "seq_bn_inv", "par_bn", "compacter[reduction_factor=4]", "lora"),
    *("dora", "vera", "ia3", "noreft", "direft", SCALING, "seq_bn[use_gating=True]"),
]


@pytest.mark.parametrize("method", NEUTRAL)
def test_decay_draws_an_adapter_to_where_it_does_nothing(base, method):
    assembled = built(base, method)
    with torch.no_grad():
        for name, parameter in assembled.model.named_parameters():
            if name in assembled.trained and parameter.dim() > 1 and decays(assembled.model, name, parameter):
                parameter.normal_(std=0.1)
    head = {name: value.clone() for name, value in adapters.head_tensors(assembled.model, "xnli").items()}
    training = optimizer(assembled, 0.5, rate=0.1)
    for parameter in (item for group in training.param_groups for item in group["params"]):
        parameter.grad = torch.zeros_like(parameter)
    for _ in range(400):
        training.step()
    for name, value in adapters.head_tensors(assembled.model, "xnli").items():
        value.copy_(head[name])
    found = answers(assembled)
    adapters.activate(assembled.model, [], "xnli")
    assert torch.allclose(answers(assembled), found, atol=1e-4)


def test_what_does_not_decay(base):
    kept = {
        "loreft": ["learned_source.bias", "projection.parametrizations.weight.original"],
        "dora": ["m.weight"],
        "ia3": ["lora_B"],
        "lora": [],
        "seq_bn": ["adapter_down.0.bias", "adapter_up.bias"],
    }
    for method, expected in kept.items():
        assembled = built(base, method)
        own = dict(assembled.model.named_parameters())
        names = {
            name.partition(".xnli.")[2].removeprefix("units.0.").removeprefix("units.1.")
            for name in assembled.trained
            if not name.startswith("heads.") and not decays(assembled.model, name, own[name])
        }
        assert sorted(names) == sorted(expected), method
