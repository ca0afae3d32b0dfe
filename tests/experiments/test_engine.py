"""Runs side by side: the same results as one after another, in an order that respects what builds on what."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from adaptrans.errors import ArtefactError
from adaptrans.evaluation.results import load_statistics
from adaptrans.experiments import engine
from adaptrans.experiments.plan import plan
from adaptrans.hub.store import Store


def test_two_at_a_time_give_what_one_after_another_gives(planner, tmp_path):
    from dataclasses import replace

    other = replace(planner, workspace=replace(planner.workspace, store=Store(tmp_path / "parallel")))
    what = (("full", "nli > target"), ("xnli",))
    alone, together = plan(planner, *what), plan(other, *what)
    started = []
    assert (
        engine.execute(alone) == engine.execute(together, lambda item, *at: started.append(item), jobs=2) == 5
    )
    assert engine.execute(together, jobs=2) == 0
    for first, second in zip(alone.cells, together.cells, strict=True):
        one, two = first.evaluation.run, second.evaluation.run
        assert one.key == two.key
        for language in first.evaluation.wanted_languages:
            assert (
                load_statistics(one, language, "accuracy") == load_statistics(two, language, "accuracy")
            ).all()
    places = {item.run.path: place for place, item in enumerate(started)}
    assert all(places[need] < places[item.run.path] for item in started for need in item.needs)


def test_a_failure_in_a_process_is_told_as_it_is(planner):
    from dataclasses import replace

    found = plan(planner, ("full", "adapter"), ("udpos",))
    broken = replace(found.training[0].workspace.backbone, path=planner.workspace.store.root / "gone")
    specs = [replace(spec, workspace=replace(spec.workspace, backbone=broken)) for spec in found.training]
    # The runs' names are known before the backbone is gone.
    to_do = [
        engine.Work(one.run, False, "broken", engine.partial(engine.train, other))
        for one, other in zip(found.training, specs, strict=True)
    ]
    with pytest.raises(ArtefactError):
        engine.in_parallel(to_do, lambda item, place, total: None, 2)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes in /proc")
def test_a_killed_command_leaves_no_process_behind(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(
        "import os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from adaptrans.experiments.engine import _worker\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1, get_context('spawn'), _worker, (1,)) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        pool.submit(time.sleep, 600).result()\n"
    )
    command = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    worker = int(command.stdout.readline())
    command.kill()
    command.wait()
    deadline = time.monotonic() + 30
    while (state := _state(worker)) not in ("gone", "Z") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state in ("gone", "Z")


def _state(process: int) -> str:
    """The state letter of a process, `Z` for one that has ended and is not yet buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
