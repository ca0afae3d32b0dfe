import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import ArtifactError
from adaptrans.runs.store import Run, Store
from adaptrans.utils.io import read_json

INPUTS = {"task": "xnli@1", "seed": 1, "languages": ["de", "en"]}

HOLD = """
import sys, time
from pathlib import Path
from adaptrans.runs.store import Store
store = Store(Path(sys.argv[1]))
inputs = {"task": "xnli@1", "seed": 1, "languages": ["de", "en"]}
with store.working_on(store.run("target", "xnli", inputs), inputs):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def finished(store, phase, name, *, at):
    """A finished run with a key of the test's choice."""
    label, _, key = name.rpartition("-")
    run = Run(phase, label, key, store.root / "runs" / phase / name)
    run.path.mkdir(parents=True)
    run.finish({"name": name})
    os.utime(run.path / "done.json", (at, at))
    return run


def test_the_key_depends_on_the_inputs_alone(store, tmp_path):
    run = store.run("target", "xnli.full", INPUTS)
    again = Store(tmp_path / "other").run("evaluate", "other", dict(reversed(INPUTS.items())))
    assert run.key == again.key
    assert len(run.key) == 12
    others = [{**INPUTS, "seed": 2}, {**INPUTS, "languages": ["en", "de"]}, {**INPUTS, "more": None}]
    assert len({run.key, *(store.run("target", "x", inputs).key for inputs in others)}) == 4


def test_nothing_is_written_by_asking(store):
    run = store.run("target", "xnli", INPUTS)
    assert not run.is_done
    assert store.runs() == []
    assert not store.root.exists()


def test_keys_are_the_same_in_another_process(store):
    code = (
        "from pathlib import Path; from adaptrans.runs.store import Store;"
        "inputs = {'languages': ['de', 'en'], 'seed': 1, 'task': 'xnli@1'};"
        "print(Store(Path('x')).run('target', 'a', inputs).key)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == store.run("target", "a", INPUTS).key


@given(
    st.text(max_size=200)
    | st.sampled_from(["a/b", "..", "../../x", "{lang} > fuse(a, b)", "界" * 200, "a" * 200, "", "-"])
)
def test_any_label_makes_a_name_that_a_folder_can_have(label):
    store = Store(Path("store"))
    run = store.run("target", label, INPUTS)
    assert run.path.parent == Path("store") / "runs" / "target"
    assert run.path.name == run.name
    assert len(run.name.encode()) < 120
    assert run.name.rpartition("-")[2] == run.key
    assert not {"/", "\\", " ", "\0", "*"} & set(run.name)


def test_a_run_from_start_to_end(store):
    run = store.run("target", "xnli", INPUTS)
    with store.working_on(run, INPUTS):
        assert run.config() == INPUTS
        assert not run.is_done
        assert store.runs() == []
        run.finish({"score": 0.5})
    assert run.is_done
    assert run.result() == {"score": 0.5}
    assert store.runs() == [run]
    assert store.find(run.key) == run
    assert run.artifact == run.path / "artifact"


def test_the_configuration_is_written_before_the_work_and_kept(store):
    run = store.run("target", "xnli", INPUTS)
    with pytest.raises(ValueError, match="stop"), store.working_on(run, INPUTS):
        raise ValueError("stop")
    assert not run.is_done
    stamp = (run.path / "config.json").stat().st_mtime_ns
    with store.working_on(run, INPUTS):
        assert read_json(run.path / "config.json") == INPUTS
    assert (run.path / "config.json").stat().st_mtime_ns == stamp


def test_a_folder_without_configuration_is_no_run(store):
    run = store.run("target", "xnli", INPUTS)
    with pytest.raises(ArtifactError, match=r"is not a run.*; delete the folder"):
        run.config()
    run.path.mkdir(parents=True)
    (run.path / "config.json").write_text("{")
    with pytest.raises(ArtifactError, match="is not a run"):
        run.config()


def test_the_lock_refuses_a_second_holder_in_the_same_process(store):
    run = store.run("target", "xnli", INPUTS)
    with (
        store.working_on(run, INPUTS),
        pytest.raises(ArtifactError, match=f"another process is at work on xnli-{run.key}"),
        store.working_on(run, INPUTS),
    ):
        pass
    with store.working_on(run, INPUTS):
        pass


def test_other_runs_are_not_locked(store):
    other = {**INPUTS, "seed": 2}
    with (
        store.working_on(store.run("target", "xnli", INPUTS), INPUTS),
        store.working_on(store.run("target", "xnli", other), other),
    ):
        pass


def test_the_lock_refuses_a_second_process_and_dies_with_the_first(store):
    run = store.run("target", "xnli", INPUTS)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ArtifactError, match="another process"), store.working_on(run, INPUTS):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
    began = time.monotonic()
    with store.working_on(run, INPUTS):
        pass
    assert time.monotonic() - began < 5


def test_runs_are_listed_oldest_first_and_by_phase(store):
    newest = finished(store, "target", "b-333333333333", at=300)
    oldest = finished(store, "intermediate", "a-with-dashes-111111111111", at=100)
    middle = finished(store, "target", "c-222222222222", at=200)
    (store.root / "runs" / "target" / "unfinished-444444444444").mkdir()
    assert store.runs() == [oldest, middle, newest]
    assert store.runs("target") == [middle, newest]
    assert store.runs("evaluate") == []
    assert oldest.label == "a-with-dashes"


def test_runs_of_the_same_second_are_listed_by_name(store):
    second = finished(store, "target", "b-222222222222", at=100)
    first = finished(store, "target", "a-111111111111", at=100)
    assert store.runs() == [first, second]


def test_find_takes_the_first_digits_of_a_key(store):
    one = finished(store, "target", "a-abc111111111", at=100)
    two = finished(store, "evaluate", "b-abd222222222", at=200)
    assert store.find("abc") == one
    assert store.find("abd222222222") == two
    with pytest.raises(
        ArtifactError, match=r'key "ab" fits several runs: a-abc111111111, b-abd222222222; give more'
    ):
        store.find("ab")
    with pytest.raises(ArtifactError, match='no finished run with key "ac"'):
        store.find("ac")
    with pytest.raises(ArtifactError, match="no finished run"):
        store.find("a-abc111111111x")


def test_an_unfinished_run_is_not_found(store):
    run = store.run("target", "xnli", INPUTS)
    with store.working_on(run, INPUTS), pytest.raises(ArtifactError, match="no finished run"):
        store.find(run.key)


def test_the_cache_is_beside_the_runs(store):
    assert store.cache == store.root / "cache"


def littered(store):
    """A finished run with what kills leave behind, and the files that have to stay."""
    run = finished(store, "target", "a-111111111111", at=100)
    for name in (
        "artifact/.state.7.part/x",
        "artifact/.state.7.old/y",
        "checkpoints/step-3/z",
        "scores/.de.json.8.part",
    ):
        path = run.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")
    kept = [run.path / "artifact/state", run.path / "scores/de.json", run.path / "scores/old.part"]
    for path in kept:
        path.write_text("kept")
    return run, {*kept, run.path / "done.json"}


def files_of(run):
    return {path for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_sweep_deletes_leftovers_of_a_finished_run_alone(store):
    run, kept = littered(store)
    run.sweep()
    assert files_of(run) == kept
    assert not (run.path / "checkpoints").exists()
    run.sweep()
    assert files_of(run) == kept


def test_an_unfinished_run_is_not_swept(store):
    run, _ = littered(store)
    (run.path / "done.json").unlink()
    before = files_of(run)
    run.sweep()
    assert files_of(run) == before


def test_a_sweep_keeps_away_from_another_process_and_works_under_the_own_lock(store):
    run = store.run("target", "xnli", INPUTS)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            run.finish({})
            (run.path / ".x.1.part").write_text("being written")
            run.sweep()
            assert (run.path / ".x.1.part").is_file()
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
    with store.working_on(run, INPUTS):
        run.sweep()
        assert not (run.path / ".x.1.part").exists()
    (run.path / ".x.1.part").write_text("left")
    run.sweep()
    assert not (run.path / ".x.1.part").exists()
