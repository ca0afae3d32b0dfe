"""Training with little memory: the same results as with plenty."""

import json
from dataclasses import replace
from types import SimpleNamespace

import datasets
import pytest
import torch

from adaptrans.errors import ConfigError, is_out_of_memory, one_line
from adaptrans.evaluation.inference import Predictor
from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations, keep_frozen_in
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import training_config
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.training import loop, multitask, train

METHODS = [
    "seq_bn",
    "par_bn",
    "seq_bn_inv",
    "compacter[reduction_factor=8]",
    "mam",
    "lora",
    "dora",
    "vera",
    "ia3",
    "prefix_tuning",
    "loreft",
]
BATCH = {
    "input_ids": torch.tensor([[0, 7, 9, 11, 5, 2], [0, 8, 4, 2, 1, 1]]),
    "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2]),
}


def model_of(base, setup, method="seq_bn"):
    head = HeadSpec("xnli", "classification", ("a", "b", "c"))
    return SetupModel.from_setup(
        base, parse(setup), target="xnli", head=head, method=method, parents={}, seed=1
    )


def gradients_of(assembled, precision):
    """Loss and gradients of one step with dropout."""
    torch.manual_seed(3)
    assembled.model.train()
    assembled.model.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = assembled(BATCH).float().logsumexp(-1).sum()
    loss.backward()
    own = dict(assembled.model.named_parameters())
    return {"loss": loss.detach()} | {name: own[name].grad for name in assembled.trained}


def assert_equal(found, expected):
    assert any(value is not None and value.any() for name, value in expected.items() if name != "loss")
    for name, value in expected.items():
        assert found[name] is value is None or torch.equal(found[name], value), name


@pytest.mark.parametrize("setup", ["full", *METHODS])
def test_recomputed_activations_give_the_same_gradients(base, setup):
    assembled = model_of(base, "full") if setup == "full" else model_of(base, "adapter", setup)
    expected = gradients_of(assembled, "fp32")
    kept = saved_bytes(lambda: gradients_of(assembled, "fp32"))
    checkpoint_activations(assembled.model)
    assert_equal(gradients_of(assembled, "fp32"), expected)
    assert saved_bytes(lambda: gradients_of(assembled, "fp32")) < 0.9 * kept


def saved_bytes(compute):
    """Bytes of the tensors that are kept for the gradients at once, those of a recomputed layer apart."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        compute()
    return sum(sizes)


@pytest.mark.parametrize("method", METHODS)
def test_frozen_weights_in_bf16_change_nothing_under_autocast(base, method):
    assembled = model_of(base, "adapter", method)
    before = dict(assembled.model.roberta.encoder.named_parameters())
    whole = sum(value.numel() for value in before.values() if not value.requires_grad)
    expected = gradients_of(assembled, "bf16")
    keep_frozen_in(assembled.model, "fp32")
    assert {value.dtype for value in before.values()} == {torch.float32}
    keep_frozen_in(assembled.model, "bf16")
    assert_equal(gradients_of(assembled, "bf16"), expected)
    halved = [value for value in before.values() if value.dtype == torch.bfloat16]
    assert sum(value.numel() for value in halved) > 0.6 * whole
    assert not any(value.requires_grad for value in halved)


def spec_of(planner, **changes):
    options = {"max_steps": 4, "batch_size": 8, "precision": "fp32", "max_length": 64, "log_every": 1}
    chosen = replace(planner, config_for=lambda name, whole: training_config({**options, **changes}))
    return chosen.target(parse("adapter"), planner.workspace.task("xnli"))[0]


def with_short_memory(monkeypatch, times, error):
    """The memory ends so many times, in the middle of a step."""
    original, left = multitask.TrainingTask.logits, [times]

    def answer(source, batch):
        output = original(source, batch)
        if left[0]:
            left[0] -= 1
            raise error
        return output

    monkeypatch.setattr(multitask.TrainingTask, "logits", answer)


def lines_of(run):
    return [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_step_for_which_the_memory_was_short_is_repeated_in_smaller_parts(
    planner, elsewhere, monkeypatch, kill, same_weights, error
):
    with_short_memory(monkeypatch, 1, error)
    spec = spec_of(planner, checkpoint_seconds=0)
    kill(lambda: spec.execute(), 2)
    short = spec.execute()
    notes = [note for line in lines_of(short) for note in line.get("notes", [])]
    assert len(notes) == 1
    tokens = int(notes[-1].split()[-5])
    assert notes[-1] == f"out of memory: from here on {tokens} padded tokens at once"
    twin = replace(planner, workspace=elsewhere)
    small = spec_of(twin, tokens_per_batch=tokens).execute()
    assert same_weights(small, short) > 0
    assert [line["loss"] for line in lines_of(small) if "loss" in line] == [
        line["loss"] for line in lines_of(short) if "loss" in line
    ]


def test_activations_are_recomputed_where_one_input_does_not_fit(planner, monkeypatch):
    error = torch.OutOfMemoryError("CUDA out of memory")
    original = multitask.TrainingTask.logits

    def answer(source, batch):
        if not source.assembled.model.roberta.encoder.layer[0].gradient_checkpointing:
            raise error
        return original(source, batch)

    monkeypatch.setattr(multitask.TrainingTask, "logits", answer)
    run = spec_of(planner, max_steps=1).execute()
    notes = [note for line in lines_of(run) for note in line.get("notes", [])]
    assert notes[-1] == "out of memory: from here on activations are computed again instead of kept"
    never = spec_of(planner, max_steps=1, gradient_checkpointing=False, learning_rate=1e-3)
    with pytest.raises(torch.OutOfMemoryError):
        never.execute()
    assert is_out_of_memory(error)
    assert "lower tokens_per_batch" in one_line(error)


@pytest.mark.parametrize(
    ("options", "spared"),
    [({}, False), ({"gradient_checkpointing": True}, True), ({"memory_budget": "8GB"}, True)],
)
def test_memory_is_spared_where_that_was_asked_for(planner, monkeypatch, options, spared):
    asked = []
    monkeypatch.setattr(loop, "spare_memory", asked.append)
    config = training_config(
        {"max_steps": 1, "limit_train": 8, "limit_dev": 4, "precision": "fp32", **options}
    )
    own = replace(planner, config_for=lambda name, whole: config)
    own.target(parse("adapter"), own.workspace.task("udpos"))[0].execute()
    assert asked == [spared]


def test_what_only_saves_memory_is_no_part_of_a_key(planner):
    keys = {spec_of(planner, gradient_checkpointing=value).run.key for value in (True, False, "auto")}
    keys.add(spec_of(planner, memory_budget="8GB").run.key)
    assert keys == {spec_of(planner).run.key}


def test_a_budget_chooses_what_costs_least(planner, monkeypatch):
    def per_item(case):
        assert case.vocabulary < 1000
        return 10**6 / (1 + case.checkpointing) / (1 + (case.precision == "bf16"))

    monkeypatch.setattr(train, "most_items", lambda case, most: min(case.items, int(most / per_item(case))))
    monkeypatch.setattr(train, "forecast", lambda case: SimpleNamespace(peak=case.items * per_item(case)))
    monkeypatch.setattr(train, "ENOUGH", 100)
    features = datasets.Dataset.from_dict({"input_ids": [[5] * 20, [6] * 40], "length": [20, 40]})

    def chosen(size, **options):
        spec = spec_of(planner, memory_budget=size, **options)
        config, precision, told = train.within_budget(spec, [features], "fp32")
        assert told.startswith(f"memory_budget {size}: {config.tokens_per_batch} padded tokens")
        return config.tokens_per_batch, config.gradient_checkpointing, precision

    auto = {"precision": "auto"}
    assert chosen("8GB") == (8192, "auto", "fp32")
    assert chosen("8GB", tokens_per_batch=64) == (64, "auto", "fp32")
    assert chosen("3MB", **auto) == (3 * 40, "auto", "fp32")
    assert chosen("2MB", **auto) == (4 * 40, True, "fp32")
    assert chosen("0.8MB", **auto) == (3 * 40, True, "bf16")
    assert chosen("0.8MB") == (40, True, "fp32")
    assert chosen("1.5MB", gradient_checkpointing=False) == (40, False, "fp32")
    with pytest.raises(
        ConfigError, match=r"takes 0\.00 GB for one input of 40 pieces, and memory_budget is 1KB"
    ):
        chosen("1KB")


def test_a_run_stays_within_its_budget(planner):
    run = spec_of(planner, max_steps=1, memory_budget="1GB").execute()
    assert run.result()["steps"] == 1
    assert run.config()["config"]["tokens_per_batch"] == 8192


def test_answers_are_the_same_when_the_memory_ends(base, monkeypatch):
    ids = [[0, *range(5, 5 + number), 2] for number in (9, 3, 30, 9, 12, 2, 40)]
    features = [
        {"example": place, "length": len(row), "input_ids": row, "label": 0} for place, row in enumerate(ids)
    ]
    assembled = model_of(base, "adapter")
    device = torch.device("cpu")
    predictor = Predictor(assembled, TASK_TYPES["classification"], ("a", "b", "c"), 1, 8192, device, "fp32")
    expected = predictor.outputs(features)
    sizes, original = [], SetupModel.forward

    def answer(assembled, batch):
        sizes.append(batch["input_ids"].numel())
        if sizes[-1] > 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(assembled, batch)

    monkeypatch.setattr(SetupModel, "forward", answer)
    # Smaller batches add in another order.
    for own, whole in zip(predictor.outputs(features), expected, strict=True):
        assert own == pytest.approx(whole, abs=1e-4)
    assert sizes[0] == 7 * 42
    assert sizes.count(42) == 1
