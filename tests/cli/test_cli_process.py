"""How the process of a command begins and ends."""

import os
import subprocess
import sys

import pytest

CODE = """
import atexit, gc, sys, threading, time
from adaptrans_cli import process
from adaptrans.utils import devices
before = gc.get_threshold()
def command():
    assert gc.get_threshold() == devices.WHILE_IMPORTING
    heap = devices.Heap()
    heap.look()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() > 1000
    atexit.register(print, "last words")
    print("first words", end=" ")
    {rest}
process.run(command)
"""


def ended(rest, **options):
    return subprocess.run(
        [sys.executable, "-c", CODE.format(rest=rest)], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize(
    ("rest", "code", "error"),
    [
        ("pass", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('why')", 1, "why\n"),
        ("sys.exit()", 0, ""),
        ("raise ValueError('a fault')", 1, "ValueError: a fault\n"),
    ],
)
def test_the_exit_code_is_that_of_the_command_and_nothing_is_lost(rest, code, error):
    done = ended(rest)
    assert (done.returncode, done.stdout) == (code, "first words last words\n"), done.stderr
    assert done.stderr.endswith(error)
    assert bool(done.stderr) == bool(error)


def test_a_thread_that_still_works_is_waited_for():
    slow = "threading.Thread(target=lambda: (time.sleep(0.3), print('thread')), daemon=False).start()"
    assert ended(slow).stdout == "first words thread\nlast words\n"


def test_output_that_nobody_reads_is_no_fault():
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(rest="print('x' * 10)")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    process.stdout.close()
    error = process.stderr.read()
    assert (process.wait(), error) == (120, "")


def test_a_process_that_is_not_ours_keeps_its_collector():
    import gc

    from adaptrans.utils.devices import collect_as_usual

    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    collect_as_usual()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)
