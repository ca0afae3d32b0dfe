"""Training runs from spec to artifact: what is kept, what is exact, what stops."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from adaptrans.errors import ArtifactError, MissingDataError, TrainingError
from adaptrans.modeling import adapter_methods, composition
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import training_config
from adaptrans.training import checkpoint, multitask
from adaptrans.training import train as phases


def spec_of(planner, setup, task, **changes):
    """The target run of a setup with other training options."""
    options = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64, **changes}
    chosen = replace(planner, config_for=lambda name, whole: training_config(options))
    spec, before = chosen.target(parse(setup), planner.workspace.task(task))
    for earlier in before:
        earlier.execute()
    return spec


def tensor_names(folder):
    names = set()
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names |= {f"{path.parent.parent.name}: {name}" for name in file.keys()}  # noqa: SIM118
    return names


def test_a_run_is_done_once_and_found_again(planner):
    spec = spec_of(planner, "adapter", "xnli")
    run = spec.execute()
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    again = spec_of(planner, "adapter", "xnli").execute()
    assert again == run
    assert run.result()["steps"] == math.ceil(run.result()["examples"] / 8)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()} == before
    assert not (run.path / "checkpoints").exists()


def test_only_what_is_trained_is_saved(planner):
    adapter = spec_of(planner, "adapter", "xnli").execute().artifact
    assert tensor_names(adapter)
    assert all(name.startswith(("adapters: ", "heads: ")) for name in tensor_names(adapter))
    stacked = spec_of(planner, "nli > target", "xnli").execute().artifact
    assert not any("nli" in name and "xnli" not in name for name in tensor_names(stacked))
    whole = spec_of(planner, "full", "xnli").execute().artifact
    assert (whole / "backbone").is_dir()


@pytest.mark.parametrize("task", ["xnli", "udpos", "xquad", "copa"])
@pytest.mark.parametrize("setup", ["full", "adapter"])
def test_every_kind_trains_and_learns(planner, setup, task):
    spec = spec_of(planner, setup, task, epochs=20, learning_rate=3e-3, log_every=1)
    run = spec.execute()
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, len(losses) + 1))
    # Averages of whole epochs: single steps of these few rows are noisy.
    epoch = len(losses) // 20
    assert sum(losses[-2 * epoch :]) < sum(losses[: 2 * epoch])
    assert any("dev_score" in line for line in lines)
    assert list((run.path / "tensorboard").glob("events*"))


@pytest.mark.parametrize(
    "setup", ["full", "adapter", "continue(nli)", "nli > target", "fuse(nli, qa)", "fuse(nli, qa) > target"]
)
def test_weights_of_the_best_step_are_kept_head_included(planner, monkeypatch, setup):
    scores = iter([10.0, 50.0, 30.0, 20.0])
    snapshots = []

    def scripted(self, device, precision):
        def score(assembled):
            snapshots.append({name: value.clone() for name, value in assembled.trained_state().items()})
            return next(scores)

        return score

    spec = spec_of(planner, setup, "xnli", evaluate_every=1, learning_rate=1e-2, max_steps=4)
    monkeypatch.setattr(phases.TaskData, "dev_score", scripted)
    run = spec.execute()
    assert run.result()["dev_step"] == 2
    kept = SetupModel.load(run.artifact, spec.workspace.backbone).trained_state()
    assert kept.keys() == snapshots[1].keys()
    assert any(name.startswith("heads.") for name in kept)
    assert any(".adapter_fusion_layer." in name for name in kept) == setup.startswith("fuse")
    for name, value in kept.items():
        assert torch.equal(value, snapshots[1][name]), name
        assert not torch.equal(value, snapshots[3][name]), name


def test_training_stops_when_patience_ends(planner, monkeypatch):
    monkeypatch.setattr(phases.TaskData, "dev_score", lambda self, device, precision: lambda assembled: 1.0)
    spec = spec_of(planner, "adapter", "xnli", evaluate_every=1, patience=2, epochs=3)
    assert spec.execute().result()["steps"] == 3


def test_a_loss_that_is_no_number_stops_with_step_and_examples(planner, monkeypatch):
    def not_a_number(source, batch):
        return float("nan") * source.assembled(batch)

    monkeypatch.setattr(multitask.TrainingTask, "logits", not_a_number)
    spec = spec_of(planner, "adapter", "xnli")
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1, examples .*anli\.dev\.en") as caught:
        spec.execute()
    assert "\n" not in str(caught.value)
    assert not spec.run.is_done


def test_accumulation_does_not_change_the_gradient(planner, monkeypatch):
    original = torch.nn.Module.train
    # Dropout draws anew for every part, so it is kept off here.
    monkeypatch.setattr(torch.nn.Module, "train", lambda self, mode=True: original(self, False))
    norms = {}
    for budget in (64, 100_000):
        options = {"tokens_per_batch": budget, "max_steps": 1, "batch_size": 16, "log_every": 1}
        spec = spec_of(planner, "adapter", "udpos", **options)
        run = spec.execute()
        line = json.loads((run.path / "log.jsonl").read_text().splitlines()[0])
        norms[budget] = (line["loss"], line["gradient_norm"])
    assert norms[64] == pytest.approx(norms[100_000], rel=1e-4)


@pytest.mark.parametrize(
    "setup",
    [
        "full",
        "adapter",
        "nli > target",
        "continue(nli)",
        "fuse(nli, qa)",
        "fuse(nli, qa) > target",
        "average(nli, qa) > target",
    ],
)
def test_a_resumed_run_equals_an_undisturbed_one(planner, elsewhere, kill, same_weights, setup):
    options = {"evaluate_every": 3, "epochs": 2, "checkpoint_seconds": 0}
    expected = spec_of(planner, setup, "xnli", **options).execute()
    spec = spec_of(replace(planner, workspace=elsewhere), setup, "xnli", **options)
    for last in (2, 4):
        kill(lambda: spec.execute(), last)
    resumed = spec.execute()
    assert same_weights(expected, resumed) > 0
    assert resumed.result()["dev"] == expected.result()["dev"]
    steps = [json.loads(line)["step"] for line in (resumed.path / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_damaged_checkpoint_is_named(planner):
    spec = spec_of(planner, "adapter", "xnli")
    folder = spec.run.path / "checkpoints" / "step-2"
    folder.mkdir(parents=True)
    (folder / "place.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"step-2 cannot be read .*; delete it"):
        spec.execute()


def test_missing_training_data_says_what_to_fetch(planner, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingDataError, match=r"no data for mnli\.train"):
        spec_of(planner, "full(mnli)", "xnli").execute()


def test_random_and_optimizer_state_survive_a_checkpoint(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    device = torch.device("cpu")
    place = checkpoint.TrainerState(step=7, best_score=1.5)
    groups = {
        "weights": {"w": parameter},
        "optimizer": checkpoint.optimizer_state(optimizer, {parameter: "w"}),
        "random": checkpoint.random_state(device),
    }
    checkpoint.save(tmp_path, checkpoint.TrainerState(step=6), groups)
    checkpoint.save(tmp_path, place, groups)
    assert [path.name for path in tmp_path.iterdir()] == ["step-7"]
    expected = torch.rand(4)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0] == place
    checkpoint.restore_random_state(loaded[1]["random"], device)
    assert torch.equal(torch.rand(4), expected)
    fresh = torch.optim.AdamW([parameter])
    checkpoint.restore_optimizer(fresh, {"w": parameter}, loaded[1]["optimizer"])
    for key, value in optimizer.state[parameter].items():
        assert torch.equal(fresh.state[parameter][key], value), key


def test_a_checkpoint_of_another_precision_is_not_mixed_in(planner, monkeypatch, kill):
    spec = spec_of(planner, "adapter", "xnli", checkpoint_seconds=0, precision="auto")
    monkeypatch.setattr(phases, "pick_precision", lambda name, device: "bf16")
    kill(lambda: spec.execute(), 2)
    monkeypatch.setattr(phases, "pick_precision", lambda name, device: "fp32")
    words = "was begun in bf16 on cpu, here it would go on in fp32 on cpu; say --device cpu"
    with pytest.raises(ArtifactError, match=words):
        spec.execute()


def test_a_holdout_does_not_share_a_passage_with_its_origin(planner):
    where = planner.workspace
    for task, shared in (("qa", "context"), ("nli", "text")):
        train, dev = (
            {getattr(example, shared) for example in where.examples(where.task(task), split, "en", None, [])}
            for split in ("train", "dev")
        )
        assert train
        assert dev
        assert not train & dev


def test_a_fusion_is_regularized_at_its_own_rate(planner):
    def rates(setup, **options):
        spec = spec_of(planner, setup, "xnli", max_steps=1, warmup=0, log_every=1, **options)
        run = spec.execute()
        lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
        return run, next(line for line in lines if "loss" in line)

    run, line = rates("fuse(nli, qa) > target")
    assert line["learning_rate"] == 1e-4
    # 32 x 32 values at 1e-6 off the identity, the diagonal not, in 4 layers.
    assert line["fusion_regularization"] == pytest.approx(0.01 * 4 * 32 * 31 * 1e-12, rel=1e-3)
    assert run.result()["trained_parameters"] > 4 * (3 * 32 * 32 + 2 * 32)
    alone, line = rates("fuse(nli, qa)")
    assert line["learning_rate"] == 5e-5
    free, line = rates("fuse(nli, qa)", fusion_regularization=0)
    assert "fusion_regularization" not in line
    faster, _ = rates("fuse(nli, qa)", fusion_learning_rate=1e-3)
    assert len({run.key for run in (alone, free, faster)}) == 3
    assert "fusion_regularization" not in rates("nli > target")[0].config()["config"]


def test_a_strong_regularization_holds_the_value_matrices_near_the_identity(planner):
    def distance(weight):
        options = {
            "learning_rate": 1e-2,
            "fusion_regularization": weight,
            "max_steps": 10,
            "keep_best": False,
        }
        run = spec_of(planner, "fuse(nli, qa)", "xnli", warmup=0, **options).execute()
        fused = SetupModel.load(run.artifact, planner.workspace.backbone)
        return composition.regularization(fused.model, ["xnli"], 1.0).item()

    assert distance(10.0) < 0.5 * distance(0.0)


def test_frozen_embeddings_stay_and_all_else_moves(planner):
    from adaptrans.modeling.model import SetupModel

    def trained(freeze):
        here = replace(
            planner,
            config_for=lambda name, whole: training_config(
                {"max_steps": 2, "precision": "fp32", "max_length": 64, "freeze_embeddings": freeze}
            ),
        )
        (*_, spec) = [
            *here.target(parse("full"), here.workspace.task("udpos"))[1],
            here.target(parse("full"), here.workspace.task("udpos"))[0],
        ]
        run = spec.execute()
        return spec, run, SetupModel.load(run.artifact, spec.workspace.backbone).model.state_dict()

    spec, run, moved = trained(False)
    frozen_spec, frozen_run, kept = trained(True)
    bare = SetupModel.from_setup(
        spec.workspace.backbone, parse("full"), target=None, head=None, method="seq_bn", parents={}, seed=1
    ).model.state_dict()
    embeddings = [name for name in bare if ".embeddings." in name]
    assert embeddings
    assert all(kept[name].equal(bare[name]) for name in embeddings)
    assert not all(moved[name].equal(bare[name]) for name in embeddings)
    layers = [name for name in bare if ".layer.0." in name and name.endswith("weight")]
    assert not any(kept[name].equal(bare[name]) for name in layers)
    assert spec.run.key != frozen_spec.run.key
    assert frozen_run.result()["trained_parameters"] < run.result()["trained_parameters"]


@pytest.mark.parametrize(
    "method",
    [
        *("seq_bn[scaling=0.0]", "lora[alpha=0]", "vera[init_weights='lora']", "vera[vera_d=0.0]"),
        *("prefix_tuning[prefix_length=0]", "loreft[prefix_positions=0]", "noreft[r=0]"),
    ],
)
def test_an_adapter_that_no_gradient_reaches_stops_before_the_first_step(planner, method):
    spec = replace(spec_of(planner, "adapter", "xnli"), method=str(adapter_methods.parse(method)))
    with pytest.raises(TrainingError, match=r"no gradient reaches the adapter.*would learn nothing"):
        spec.execute()
    assert not spec.run.is_done
