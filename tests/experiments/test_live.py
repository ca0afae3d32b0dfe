"""What is seen of a whole experiment: live, in plain lines, and how long it will take still."""

import io
import re
import sys
import time
from functools import partial

import pytest

from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.execution.base import carry_out, reporting
from adaptrans.experiments.execution.display import Clock, LiveView, View, experiment_view
from adaptrans.experiments.plan import Job
from adaptrans.runs.store import Run
from adaptrans.utils import progress


def item(folder, name, phase="target", needs=(), done=False, compute=str):
    run = Run(phase, name, "key", folder / f"runs/{phase}/{name}-key")
    return Job(run, done, name, compute, frozenset(need.run.path for need in needs))


def steps(total, seen=lambda: True):
    """Take some steps, then wait until they have been seen: a screen is drawn four times a second."""
    with progress.progress("training", total) as meter:
        for _ in range(total):
            meter.advance(note="loss 0.5")
        deadline = time.monotonic() + 30
        while not seen() and time.monotonic() < deadline:
            time.sleep(0.05)


def terminal(monkeypatch):
    """Make standard error a terminal of 150 columns; returns what gives the text written there."""
    written = io.StringIO()
    written.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", written)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "150"}.items():
        monkeypatch.setenv(name, value)
    return lambda: re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())


def some_items(folder, seen=lambda: True):
    before = item(folder, "before", done=True)
    good = item(folder, "good [en]", needs=(before,), compute=partial(steps, 7, seen))
    bad = item(folder, "bad", compute=partial(int, "no number"))
    return [before, good, bad, item(folder, "child", "evaluate", needs=(bad,))]


def test_a_terminal_shows_the_whole_and_each_run(tmp_path, monkeypatch):
    told = terminal(monkeypatch)
    view = experiment_view()
    assert type(view) is LiveView
    with view:
        carried = carry_out(some_items(tmp_path, lambda: "loss 0.5" in told()), callback=view)
    assert carried.computed == 1
    shown = told()
    assert "1 running, 2 waiting" in shown
    assert "loss 0.5" in shown
    assert "7/7" in shown
    assert re.search(r"done    good \[en\], \d+ s", shown)
    assert "failed  bad: ValueError: invalid literal" in shown
    assert "2/4" in shown
    assert "1 failed, 1 held up" in shown


def test_the_view_is_put_away_when_all_is_interrupted(tmp_path, monkeypatch):
    told = terminal(monkeypatch)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), experiment_view() as view:
        carry_out([item(tmp_path, "one", compute=interrupt)], callback=view)
    print("after", file=sys.stderr)
    assert told().rstrip().endswith("after")


def test_elsewhere_plain_lines(tmp_path, capsys, monkeypatch):
    view = experiment_view()
    assert type(view) is View
    with view:
        carry_out(some_items(tmp_path), callback=view)
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["[1/3] good [en]", "[2/3] bad"]
    assert told[2].startswith("failed: bad: ValueError")
    # Of runs in other processes every half minute a line, with an estimate.
    work = item(tmp_path, "slow")
    times = iter([0.0, 10.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    for done in (0, 10, 40):
        if done:
            view.on_step(work, progress.Step("training", 100, done, "loss 0.1"))
        else:
            view._lines[work.run.path] = ("training", progress.plain_lines(0))
    assert capsys.readouterr().err == "training: 40/100, 60 s left loss 0.1\n"


def test_the_time_left(tmp_path):
    seconds = [0.0]
    first = item(tmp_path, "first")
    second, third = item(tmp_path, "second"), item(tmp_path, "third", "evaluate", needs=(first,))
    fourth = item(tmp_path, "fourth", "evaluate", needs=(third,))
    items = [item(tmp_path, "old", done=True), first, second, third, fourth]
    clock = Clock(items, 2, {fourth.run.path: Forecast(seconds=50.0)}, lambda: seconds[0])
    clock.started(first)
    assert clock.left() is None
    seconds[0] = 100.0
    assert clock.ended(first) == 100
    # Two runs at a time: 100 s as the first took, for the second and the third, and 50 s as was forecast.
    assert clock.left() == (100 + 100 + 50) / 2
    clock.started(second)
    seconds[0] = 130.0
    assert clock.left() == (70 + 100 + 50) / 2
    clock.started(third)
    assert clock.counts() == {"done": 2, "running": 2, "waiting": 1, "failed": 0, "held up": 0}
    clock.ended(third, failed=True)
    # What builds on a failed run takes no time.
    assert clock.left() == 70 / 2
    assert clock.counts() == {"done": 2, "running": 1, "waiting": 0, "failed": 1, "held up": 1}
    assert clock.elapsed == 130


def test_a_view_that_did_not_begin_prints(tmp_path, capsys):
    view = LiveView()
    view.on_message(item(tmp_path, "one"), "a line")
    assert capsys.readouterr().err == "a line\n"


def test_what_a_run_in_another_process_tells(monkeypatch):
    sent = []
    with reporting(sent.append, seconds=1e9):
        steps(5)
        print("one\ntw", end="", file=sys.stderr)
        print("o", file=sys.stderr)
    told = [(message.done, message.total) if type(message) is progress.Step else message for message in sent]
    # The first step and the last, whatever their time; and whole lines.
    assert told == [(0, 5), (5, 5), "one", "two"]
