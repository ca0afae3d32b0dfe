"""Runs one after another and side by side: the same results, and a failure stops only what builds on it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.smalldata import make_planner, make_workspace

from adaptrans.errors import AdaptransError, ArtifactError, BusyError
from adaptrans.experiments.execution import base, ray
from adaptrans.experiments.execution.base import Execution, RunCallback, carry_out
from adaptrans.experiments.execution.ray import WorkerSlot, compute_on_worker
from adaptrans.experiments.plan import Job, jobs_of, joined, plan
from adaptrans.runs.store import Run, Store

PROC = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="reads the state of processes in /proc"
)


SAY = "(__import__('sys').stderr.write(f'{__import__(\"os\").getpid()}\\n'), __import__('time').sleep(600))"
"""Says its process, then takes its time; text, because a fresh process knows no function of a test."""


class Told(RunCallback):
    """Keeps what a view is told."""

    wants_steps = True

    def __init__(self):
        self.starts, self.steps, self.lines, self.ends = [], [], [], []

    def on_run_begin(self, item, place, total):
        self.starts.append(item)

    def on_step(self, item, step):
        self.steps.append((item, step))

    def on_message(self, item, text):
        self.lines.append(text)

    def on_run_end(self, item, failure):
        self.ends.append(item)


def some_work(folder, **computes):
    """Runs of a plan without models: name=(compute, names of those it builds on)."""
    runs = {name: Run("phase", name, "key", folder / f"runs/phase/{name}-key") for name in computes}
    return [
        Job(runs[name], False, name, compute, frozenset(runs[need].path for need in needs))
        for name, (compute, needs) in computes.items()
    ]


def failing(folder):
    fine = partial(str, "fine")
    return some_work(
        folder,
        ours=(partial(Store(folder).find, "none"), ()),
        machine=(partial((folder / "gone").read_text), ()),
        fault=(partial(int, "no number"), ()),
        child=(fine, ("ours", "fault")),
        grandchild=(fine, ("child",)),
        good=(fine, ()),
        better=(fine, ("good",)),
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_stops_only_what_builds_on_it(tmp_path, jobs):
    items = failing(tmp_path)
    if jobs == 2:
        # A process that is killed takes nothing but its run with it.
        kill = partial(eval, "__import__('os').kill(__import__('os').getpid(), 9)")
        items += some_work(tmp_path, killed=(kill, ()), orphan=(str, ("killed",)))
    told = Told()
    carried = carry_out(items, Execution(jobs=jobs), told)
    assert carried.computed == 2
    failed = {one.item.what: one.failure for one in carried.failed}
    because = {one.item.what: {item.what for item in one.because} for one in carried.waiting}
    assert {item.what for item in told.ends} == {*failed, "good", "better"}
    logs = {item.what: item.run.error_log for item in items}
    assert all(failed[name].line in logs[name].read_text() for name in failed)
    assert "Traceback" in logs["fault"].read_text()
    assert not any(logs[name].exists() for name in logs.keys() - failed)
    if jobs == 2:
        killed = failed.pop("killed").line
        assert "was killed by signal 9 (SIGKILL); if memory ran out, lower --jobs" in killed
        assert because.pop("orphan") == {"killed"}
    expected = {name: failure.expected for name, failure in failed.items()}
    assert expected == {"ours": True, "machine": True, "fault": False}
    assert 'no finished run with key "none"' in failed["ours"].line
    assert "No such file" in failed["machine"].line
    assert failed["fault"].line.startswith("ValueError: invalid literal")
    assert because == {"child": {"ours", "fault"}, "grandchild": {"ours", "fault"}}
    # Started again, with the fault mended: its log goes, and what waited for it still waits for the other.
    mended = [replace(item, compute=str) if item.what == "fault" else item for item in failing(tmp_path)]
    again = carry_out(mended)
    assert {one.item.what for one in again.failed} == {"ours", "machine"}
    assert not logs["fault"].exists()


def test_the_first_failure_of_a_single_command_is_raised_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "jobs_of", lambda plan, together: failing(tmp_path))
    with pytest.raises(ArtifactError, match="no finished run"):
        base.execute(None)
    monkeypatch.setattr(base, "jobs_of", lambda plan, together: failing(tmp_path)[2:])
    with pytest.raises(ValueError, match="invalid literal"):
        base.execute(None)


def test_runs_of_one_pass_are_one_piece_of_work(tmp_path):
    """They are told one by one, counted each, and what builds on any of them waits for all."""
    done = []
    first, second, alone, last = some_work(
        tmp_path,
        first=(partial(done.append, "both"), ()),
        second=(partial(int, "never on its own"), ()),
        alone=(partial(done.append, "alone"), ()),
        last=(partial(done.append, "last"), ("second",)),
    )
    told = Told()
    carried = carry_out([replace(first, beside=(second,)), alone, last], callback=told)
    assert (carried.computed, carried.failed, done) == (4, (), ["both", "alone", "last"])
    assert [item.what for item in told.starts] == ["first", "second", "alone", "last"]
    broken = replace(first, compute=second.compute, beside=(second,))
    carried = carry_out([broken, alone, last])
    assert (carried.computed, len(carried.failed), len(carried.waiting)) == (1, 1, 1)


@PROC
def test_an_interrupt_stops_all(tmp_path):
    class Interrupting(Told):
        def on_message(self, item, text):
            super().on_message(item, text)
            raise KeyboardInterrupt

    told = Interrupting()
    items = some_work(tmp_path, one=(partial(eval, SAY), ()), two=(partial(time.sleep, 600), ()))
    with pytest.raises(KeyboardInterrupt):
        carry_out(items, Execution(jobs=2), told)
    assert _state(int(told.lines[0])) in ("gone", "Z")

    def interrupt():
        raise KeyboardInterrupt

    after = some_work(tmp_path, one=(interrupt, ()), two=(partial((tmp_path / "two").touch), ()))
    with pytest.raises(KeyboardInterrupt):
        carry_out(after)
    assert not (tmp_path / "two").exists()


def test_engines_that_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(AdaptransError, match="the engine local has no address; add --engine ray"):
        Execution(address="auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AdaptransError, match=r'needs Ray; pip install "adaptrans\[ray\]"'):
        carry_out(failing(tmp_path), Execution("ray"))
    with pytest.raises(AdaptransError, match='unknown engine "rya"; did you mean "ray"'):
        carry_out(failing(tmp_path), Execution("rya"))


RUNS = 7
# Its dev sets are in English and German, so that there are few-shot runs.
XNLI = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}}}


def test_a_node_that_does_not_see_the_store_says_so(tmp_path):
    (item,) = some_work(tmp_path, one=(str, ()))
    for place in (
        WorkerSlot(tmp_path, tmp_path / "store/cache/ray/notes", {}),
        WorkerSlot(tmp_path / "home", tmp_path, {}),
    ):
        failure = compute_on_worker(item.run, item.compute, place, again=False)
        assert "does not see" in failure.line
        assert "put it on a shared file system" in failure.line


def test_a_run_that_is_begun_again_waits_for_the_lock_of_the_worker_that_was_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "POLL_SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)
    (item,) = some_work(tmp_path, one=(str, ()))
    tries = []

    def compute():
        tries.append(1)
        if len(tries) < 4:
            raise BusyError("another process is at work on it")

    place = WorkerSlot(tmp_path, tmp_path, {})
    assert "another process" in compute_on_worker(item.run, compute, place, again=False).line
    assert compute_on_worker(item.run, compute, place, again=True) is None
    assert len(tries) == 4


def whole_plan(*places):
    """Runs of every phase: nli, xnli twice and German few-shot, and their evaluations."""
    planner = make_planner(make_workspace(*places, xnli=XNLI), epochs=12)
    zero_shot = plan(planner, ("full", "nli > target"), ("xnli",))
    return joined([zero_shot, plan(planner, ("full",), ("xnli",), shots=2)])


def what_was_computed(store):
    """Weights, scores and predictions of a store, by file."""
    wanted = {"scores", "predictions", "submission", "statistics"}
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted((store / "runs").rglob("*"))
        if path.is_file() and (path.suffix == ".safetensors" or wanted & set(path.parts))
    }


@pytest.fixture(scope="module")
def one_after_another(tiny_backbone, small_data, tmp_path_factory):
    """What the plan gives in this process, on one thread: the store, and its files."""
    import torch

    store = tmp_path_factory.mktemp("alone") / "store"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert base.execute(whole_plan(tiny_backbone, small_data, store)) == RUNS
    torch.set_num_threads(before)
    return store, what_was_computed(store)


@pytest.fixture
def places(tiny_backbone, small_data, tmp_path):
    """Backbone, data, and a fresh store."""
    return tiny_backbone, small_data, tmp_path / "store"


def test_two_at_a_time_give_what_one_after_another_gives(places, one_after_another, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = whole_plan(*places)
    told = Told()
    assert carry_out(jobs_of(found), Execution(jobs=2), told).computed == RUNS
    assert base.execute(found) == 0
    assert what_was_computed(places[-1]) == one_after_another[1]
    order = [item.run.path for item in told.starts]
    assert all(order.index(need) < order.index(item.run.path) for item in told.starts for need in item.needs)
    assert {item.run.phase for item in told.starts} == {"intermediate", "target", "shots", "evaluate"}
    # Every run tells where it stands, and every training its last step.
    last = {item.run: step for item, step in told.steps}
    assert {run.path for run in last} == set(order)
    assert all(step.done == step.total for run, step in last.items() if run.phase != "evaluate")


def test_a_cluster_that_nobody_runs_is_refused_at_once(tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install adaptrans[ray]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(
        AdaptransError, match=f"the Ray cluster {address} cannot be reached.*; see ray status"
    ):
        carry_out(failing(tmp_path), Execution("ray", address=address))
    # Ray itself would try for minutes.
    assert time.monotonic() - began < 60


def test_on_ray_with_a_killed_worker_the_results_are_the_same(places, one_after_another, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install adaptrans[ray]")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    class Killing(Told):
        """Kills the worker of the first training run in the middle of it."""

        killed = None

        def on_step(self, item, step):
            super().on_step(item, step)
            if (
                self.killed is None
                and item.run.phase == "intermediate"
                and "encoding" not in step.description
            ):
                (note,) = cache.glob(f"ray/*/intermediate-{item.run.name}.json")
                self.killed = json.loads(note.read_text())["process"]
                time.sleep(0.1)
                os.kill(self.killed, signal.SIGKILL)

    cache = places[-1] / "cache"
    monkeypatch.setattr(ray, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(ray, "cores", lambda: 2)
    told = Killing()
    found = whole_plan(*places)
    carried = carry_out(jobs_of(found), Execution("ray", jobs=2), told)
    assert (carried.computed, carried.failed) == (RUNS, ())
    assert told.killed is not None
    assert sum("Ray lost its worker; begun again" in line for line in told.lines) == 1
    assert what_was_computed(places[-1]) == one_after_another[1]
    assert not list(cache.glob("ray/*"))


def test_tensorboard_shows_all_runs_of_a_store(one_after_another, places):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    store, _ = one_after_another
    shown = EventMultiplexer().AddRunsFromDirectory(str(store / "runs")).Reload().Runs()
    trained = [spec.run for spec in whole_plan(*places).training]
    assert len(trained) == 4
    assert set(shown) == {f"{run.phase}/{run.name}/tensorboard" for run in trained}
    assert all("loss" in tags["scalars"] for tags in shown.values())


@PROC
def test_a_killed_command_leaves_no_process_behind(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(
        "import sys, time\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from adaptrans.experiments.execution.base import Execution, Job, RunCallback, carry_out\n"
        "from adaptrans.runs.store import Run\n"
        "class Told(RunCallback):\n"
        "    def on_message(self, item, text):\n"
        "        print(text, flush=True)\n"
        f"say = {SAY!r}\n"
        "if __name__ == '__main__':\n"
        "    runs = [Run('phase', name, 'key', Path(name)) for name in 'ab']\n"
        "    jobs = [Job(run, False, run.label, partial(eval, say)) for run in runs]\n"
        "    carry_out(jobs, Execution(jobs=2), Told())\n"
    )
    command = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    workers = [int(command.stdout.readline()) for _ in range(2)]
    command.kill()
    command.wait()
    deadline = time.monotonic() + 30
    while any(_state(worker) not in ("gone", "Z") for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {_state(worker) for worker in workers} <= {"gone", "Z"}


def _state(process: int) -> str:
    """The state letter of a process, `Z` for one that has ended and is not yet buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
