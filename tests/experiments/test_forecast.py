"""What past runs tell of planned ones, and how a run's cost is measured."""

import json
import mmap
from dataclasses import replace

import pytest

from adaptrans.experiments.cost_forecast import NO_PAST, Forecast, forecasts, run_history, total
from adaptrans.experiments.plan import plan
from adaptrans.runs.base import published_size
from adaptrans.runs.store import Store
from adaptrans.runs.training_args import training_config
from adaptrans.utils import environment
from adaptrans.utils.environment import Cost, cost_of, measured, peak_memory, size_of
from adaptrans.utils.io import write_json

SETUPS, TARGETS = ("full", "adapter"), ("xnli", "udpos")


def done(spec, seconds, examples, disk=1000, memory=5000, device="cpu"):
    """Writes what a run leaves that took so long."""
    folder = spec.run.path
    folder.mkdir(parents=True)
    write_json(folder / "config.json", spec.record)
    write_json(folder / "cost.json", {"seconds": seconds, "memory": memory, "disk": disk})
    (folder / "environment.jsonl").write_text(json.dumps({"device": device}) + "\n")
    if spec.run.phase == "evaluate":
        for language in spec.wanted_languages:
            write_json(folder / f"scores/{language}.json", {"n": examples})
    result = {"seconds": seconds, "examples": examples, "notes": [], "source_languages": ["en"]}
    spec.run.finish(result)


def training_of(found, setup, task):
    return next(s for s in found.training if (str(s.setup), s.task.name) == (setup, task))


def with_epochs(planner, epochs, **options):
    config = training_config({"batch_size": 8, "max_length": 64, "epochs": epochs, **options})
    return replace(planner, config_for=lambda name, whole: config)


def test_nothing_is_told_of_what_never_ran(planner):
    found = forecasts(plan(planner, SETUPS, TARGETS))
    assert set(found.values()) == {Forecast(basis=NO_PAST)}
    assert total(found.values()).unknown == len(found) == 8


def test_time_grows_with_the_inputs_and_disk_with_what_is_trained(planner):
    past = plan(planner, SETUPS, TARGETS)
    done(training_of(past, "adapter", "xnli"), 10.0, 40, disk=700)
    more = plan(with_epochs(planner, 3), SETUPS, TARGETS)
    found = forecasts(more)
    same = found[training_of(more, "adapter", "xnli").run.path]
    assert same.seconds == pytest.approx(30.0)
    assert (same.memory, same.disk) == (5000, 700)
    assert same.basis == "1 past run of adapter on xnli, seq_bn on cpu, inputs x 3"
    # Another task: as many times as long as it has more inputs, and not longer ones.
    other = found[training_of(more, "adapter", "udpos").run.path]
    assert other.seconds == pytest.approx(10.0 * 3 * 21253 / 40)
    # What is trained differs, so it is only the best there is.
    assert "of adapter on xnli" in found[training_of(more, "full", "xnli").run.path].basis
    # No evaluation ran.
    assert {found[cell.evaluation.run.path].basis for cell in more.cells} == {NO_PAST}


def test_the_nearest_runs_judge_and_their_median_counts(planner):
    for seed, seconds in ((1, 10.0), (2, 20.0), (3, 90.0)):
        seeded = plan(replace(planner, seed=seed), SETUPS, TARGETS)
        done(training_of(seeded, "full", "xnli"), seconds, 40, memory=seed)
        done(training_of(seeded, "adapter", "xnli"), 1.0, 40)
    other = plan(replace(planner, seed=4), SETUPS, TARGETS)
    found = forecasts(other)[training_of(other, "full", "xnli").run.path]
    assert (found.seconds, found.memory) == (20.0, 3)
    assert found.basis == "3 past runs of full on xnli on cpu"


def test_a_run_on_another_device_judges_only_where_there_is_no_other(planner):
    first, second = (plan(replace(planner, seed=seed), SETUPS, TARGETS) for seed in (1, 2))
    done(training_of(first, "full", "xnli"), 1.0, 40, device="cuda:0")
    third = plan(replace(planner, seed=3), SETUPS, TARGETS)
    path = training_of(third, "full", "xnli").run.path
    assert forecasts(third)[path].basis == "1 past run of full on xnli on cuda"
    done(training_of(second, "full", "xnli"), 50.0, 40, device="cpu")
    assert forecasts(third)[path].seconds == 50.0


def test_answers_are_judged_by_answers_and_search_by_the_same_search_alone(planner):
    past = plan(planner, ("adapter",), ("xnli", "tatoeba"))
    for cell in past.cells:
        done(cell.evaluation, 6.0, 10, disk=600)
    more = plan(replace(planner, seed=2), ("full", "nli > target"), ("xnli", "udpos", "tatoeba"))
    found = {(cell.setup, cell.target): forecasts(more)[cell.evaluation.run.path] for cell in more.cells}
    # Three languages of 10 then; as many as are published now.
    assert found["full", "xnli"].seconds == pytest.approx(6.0 * 5010 / 10)
    assert found["full", "xnli"].disk == 600 * 501
    assert "of adapter on xnli" in found["full", "udpos"].basis
    assert "of backbone on tatoeba" in found["nli > target", "tatoeba"].basis


def test_the_control_costs_what_its_backbone_costs(planner):
    past = plan(planner, ("full",), ("xnli",))
    done(past.training[0], 10.0, 40)
    where = planner.workspace
    shuffled = replace(where.backbone, name=f"random({where.backbone.name})", fingerprint="0" * 64)
    control = plan(replace(planner, workspace=replace(where, backbone=shuffled)), ("full",), ("xnli",))
    assert forecasts(control)[control.training[0].run.path].seconds == 10.0
    other = replace(where.backbone, name="other", fingerprint="1" * 64)
    control = plan(replace(planner, workspace=replace(where, backbone=other)), ("full",), ("xnli",))
    assert forecasts(control)[control.training[0].run.path].basis == NO_PAST


def test_what_cannot_be_read_tells_nothing(planner):
    found = plan(planner, SETUPS, TARGETS)
    for spec, text in zip(found.training, ("{}", "[]", "{", '{"config": 3}'), strict=True):
        done(spec, 1.0, 40)
        (spec.run.path / "config.json").write_text(text)
    assert run_history(planner.workspace.store) == []


def test_published_sizes_are_found_through_what_a_split_is_made_of(small_workspace):
    from adaptrans.tasks import catalogue

    assert published_size(catalogue.get("xnli"), "train", ["en"], None) == 392702
    assert published_size(catalogue.get("xnli"), "test", ["de", "sw"], 100) == 200
    assert published_size(catalogue.get("mlm"), "train", ["en"], None) is None
    assert published_size(catalogue.get("mlm"), "train", ["en"], 50) == 50
    assert published_size(catalogue.get("mlqa"), "train", ["en"], None) == 87599


def test_a_cost_is_measured_kept_beside_the_result_and_no_part_of_a_key(tmp_path):
    store = Store(tmp_path)
    run = store.run("target", "x", {"seed": 1})

    def compute(run):
        (run.path / "artifact").mkdir()
        (run.path / "artifact" / "weights").write_bytes(bytes(100))
        (run.path / "checkpoints").mkdir()
        (run.path / "checkpoints" / "state").write_bytes(bytes(10_000))
        run.finish({"score": 1})

    store.once(run, {"seed": 1}, compute)
    found = cost_of(run.path)
    assert found.whole
    assert 0 <= found.seconds < 10
    assert found.memory is None or found.memory > 10_000_000
    assert 100 < found.disk < 5000
    assert run.result() == {"score": 1}
    before = (run.path / "cost.json").read_text()
    store.once(run, {"seed": 1}, compute)
    assert (run.path / "cost.json").read_text() == before


def test_a_run_that_went_on_or_failed_says_so(tmp_path):
    (tmp_path / "environment.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="broken"), measured(tmp_path):
        raise ValueError("broken")
    assert cost_of(tmp_path) is None
    with measured(tmp_path):
        (tmp_path / "done.json").write_text("{}")
    assert not cost_of(tmp_path).whole
    (tmp_path / "cost.json").write_text('{"hours": 3}')
    assert cost_of(tmp_path) is None


def test_a_peak_is_that_of_the_block(tmp_path):
    if not environment._RESET.exists():
        pytest.skip("this system does not let a process forget its peak")
    # Mapped memory is given back at once, whatever allocator the process has.
    with mmap.mmap(-1, 80_000_000) as block:
        block.write(b"x" * len(block))
        with measured(tmp_path):
            high = peak_memory()
    with measured(tmp_path):
        assert peak_memory() < high - 40_000_000
    assert size_of(tmp_path) == 0
    assert Cost().seconds is None
