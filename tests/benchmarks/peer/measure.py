"""Samples of several sides in turns, each in a process of its own; medians; JSON.

A script calls `main(sides, ...)`. Without `--side` it runs itself once per side and round, in an order that
turns from round to round, and writes what it found. With `--side` it measures one sample and prints it.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from weights import SHAPES, model_folder

MARK = "SAMPLE "
"""Begins the line on which a child prints its sample."""

PREPARE = "prepare"
"""The side that makes what all samples use; not measured."""

Samples = dict[str, list[dict[str, Any]]]


def parser(text: str | None, *, shape: str = "base", samples: int = 5) -> argparse.ArgumentParser:
    """The options that all scripts share."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    found.add_argument("--models", type=Path, required=True, help="folder where the encoders are made")
    found.add_argument("--out", type=Path, help="JSON file to write")
    found.add_argument("--samples", type=int, default=samples)
    found.add_argument("--shape", default=shape, choices=tuple(SHAPES), help="tiny: to try a script")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--only", nargs="+", help="only these sides")
    for hidden in ("--side", "--work"):
        found.add_argument(hidden, help=argparse.SUPPRESS)
    found.add_argument("--sample", type=int, default=0, help=argparse.SUPPRESS)
    return found


def main(
    given: argparse.Namespace,
    sides: Sequence[str],
    sample: Callable[[argparse.Namespace, Path], dict[str, Any]],
    judge: Callable[[Samples], dict[str, Any]],
    about: dict[str, Any],
    *,
    prepared: bool = False,
) -> None:
    """Measure one sample (in a child), or all of them (in the parent).

    Args:
        given: The parsed options.
        sides: Names of the sides, ours first.
        sample: Measures one sample of `given.side`, in a folder that all samples share.
        judge: From the samples of each side to what is compared with the bars.
        about: What the reader of the JSON has to know.
        prepared: Whether there is something to prepare, side `PREPARE`.
    """
    if given.side:
        print(MARK + json.dumps({**sample(given, Path(given.work)), **process_costs()}), flush=True)
        return
    model_folder(given.models, given.shape)
    chosen = [side for side in sides if given.only is None or side.split("@")[0] in given.only]
    with tempfile.TemporaryDirectory(prefix="adaptrans-benchmark-") as folder:
        if prepared:
            child([sys.executable, *sys.argv, "--work", folder, "--side", PREPARE], given.threads)
        samples = in_turns(chosen, given.samples, given.threads, folder)
    result = {
        "about": about,
        "options": {
            key: str(value)
            for key, value in vars(given).items()
            if key not in ("side", "sample", "work", "data", "models", "out")
        },
        "machine": machine(given.threads),
        "result": judge(samples),
        "samples": samples,
    }
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["result"], indent=2))


def in_turns(sides: Sequence[str], rounds: int, threads: int, folder: str) -> Samples:
    """Samples of all sides, round by round, each by this script in a fresh process."""
    samples: Samples = {side: [] for side in sides}
    for number in range(rounds):
        start = number % len(sides)
        for side in (*sides[start:], *sides[:start]):
            command = [sys.executable, *sys.argv, "--work", folder, "--side", side, "--sample", str(number)]
            load, began = os.getloadavg()[0], time.perf_counter()
            found = {**child(command, threads), "load_before": round(load, 2)}
            found["process_seconds"] = time.perf_counter() - began
            samples[side].append(found)
            shown = {key: round(value, 2) for key, value in found.items() if type(value) in (int, float)}
            print(f"{number + 1}/{rounds} {side}: {json.dumps(shown)}", file=sys.stderr, flush=True)
    return samples


def child(command: Sequence[str], threads: int) -> dict[str, Any]:
    """What a process prints as its sample.

    Raises:
        SystemExit: If it fails; shows the end of what it said.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        raise SystemExit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    return found


def process_costs() -> dict[str, float]:
    """What this process, with those it started, has cost so far."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = sum(use.ru_utime + use.ru_stime for use in (own, others))
    return {"process_processor_seconds": seconds, "peak_mib": peak_mib()}


def median(samples: Sequence[dict[str, Any]], key: str) -> float:
    """Median of a number over samples."""
    return float(statistics.median(sample[key] for sample in samples))


def ratio(
    samples: Samples, over: str, under: str, key: str, bar: float, *, least: bool = True
) -> dict[str, Any]:
    """One side's number divided by another's: of the medians, which is judged, and round by round.

    Args:
        samples: Samples by side.
        over: Side whose number is divided.
        under: Side whose number divides.
        key: The number.
        bar: What the ratio has to reach; 0 for no bar.
        least: Whether the bar is the least ratio, not the largest.
    """
    if not samples.get(over) or not samples.get(under):
        return {"of": f"{key}: {over} / {under}", "measured": False}
    value = median(samples[over], key) / median(samples[under], key)
    pairs = zip(samples[over], samples[under], strict=True)
    return {
        "of": f"{key}: {over} / {under}",
        "ratio": round(value, 3),
        "by_round": [round(a[key] / b[key], 3) for a, b in pairs],
        **({"bar": bar, "reached": value >= bar if least else value <= bar} if bar else {}),
    }


def peak_mib() -> float:
    """Largest resident set of this process so far, VmHWM, in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def available_gib() -> float:
    """Memory that can be had now without swapping, in GiB."""
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 2**20
    return float("nan")


def machine(threads: int) -> dict[str, Any]:
    """What the figures were taken on."""
    from adaptrans.utils.environment import package_versions

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    memory = Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return {
        "processor": next(names, "unknown"),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(int(memory) / 2**20, 1),
        "bf16_in_hardware": sorted({"amx_bf16", "avx512_bf16"} & set(flags)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "gpu": "none used",
    }
