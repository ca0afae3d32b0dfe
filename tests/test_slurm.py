"""The SLURM templates, with stand-ins for SLURM's commands."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parents[1] / "configs" / "slurm"

STAND_INS = {
    "scontrol": 'if [ "$1" = show ]; then echo node-a; echo node-b; else echo "scontrol $*" >> "$CALLS"; fi',
    # Each task of the job, one after another.
    "srun": 'shift; for task in 0 1; do SLURM_PROCID=$task "$@"; done',
    "ray": 'echo "ray $* [${RAY_ADDRESS-}]" >> "$CALLS"',
    "torchrun": 'echo "torchrun $*" >> "$CALLS"',
    "adaptrans": 'echo "adaptrans $*" >> "$CALLS"; [ -z "${SLOW-}" ] || { kill -USR1 $PPID; sleep 5; }',
    "python": "cat > /dev/null",
}
JOB = {
    "SLURM_JOB_NODELIST": "node-[a-b]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_ID": "20007",
    "SLURM_CPUS_PER_TASK": "16",
    "SLURM_GPUS_ON_NODE": "4",
}


@pytest.fixture
def submit(tmp_path):
    """Run a template as SLURM does; returns the calls of the commands it makes."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    for name, text in STAND_INS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def run(template, *arguments, wanted=1, **variables):
        calls = tmp_path / "calls"
        environment = {**JOB, **variables, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)}
        command = ["bash", str(TEMPLATES / template), *arguments]
        subprocess.run(command, env=environment, check=True, timeout=60)
        # The nodes are started in the background, which a real job ends with itself.
        deadline = time.monotonic() + 30
        while len(calls.read_text().splitlines()) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        return calls.read_text().splitlines()

    return run


def test_ray_begins_on_the_first_node_and_the_others_join_it(submit):
    arguments = ["experiment.yaml", "training.full.epochs=2", "--backbone", "a b"]
    calls = submit("ray.sbatch", *arguments, wanted=3)
    # The address is not in the environment where a node is started: Ray would take it for its own.
    common = "--num-cpus=16 --num-gpus=4 --block --disable-usage-stats []"
    assert sorted(calls) == [
        f"adaptrans run {' '.join(arguments)} --engine ray --address node-a:20007",
        f"ray start --address=node-a:20007 {common}",
        f"ray start --head --port=20007 --include-dashboard=false {common}",
    ]


def test_torchrun_begins_on_every_node(submit):
    calls = submit("torchrun.sbatch", "target", "xnli", "--setup", "full", wanted=2)
    assert (
        calls
        == [
            "torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=node-a:20007 "
            "--rdzv-id=20007 -m adaptrans_cli.main target xnli --setup full"
        ]
        * 2
    )


def test_a_job_whose_time_is_over_is_put_back_into_the_queue(submit):
    assert "scontrol requeue 20007" in submit("ray.sbatch", "experiment.yaml", wanted=4, SLOW="1")
