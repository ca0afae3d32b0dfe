"""Seconds of `adaptrans run` for an experiment of which everything is in the store.

    python tests/benchmarks/peer/second_run.py EXPERIMENT --backbone mini --data samples --store STORE

The first run computes what the store lacks. Then the same command, five times: its median counts, and no file
of a run may change.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import machine

BAR = 5.0


def contents(store: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file of a run."""
    files = [path for path in (store / "runs").rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def main() -> None:
    """Run, run again, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment")
    for name in ("--backbone", "--data", "--store"):
        parser.add_argument(name, required=True)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given, more = parser.parse_known_args()
    command = [sys.executable, "-m", "adaptrans_cli.main", "run", given.experiment, "--json"]
    for name in ("backbone", "data", "store"):
        command += [f"--{name}", getattr(given, name)]
    command += more
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    before, seconds = contents(Path(given.store)), []
    for _ in range(given.samples):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    found = {
        "experiment": given.experiment,
        "runs": len({str(Path(name).parent) for name in before if name.endswith("done.json")}),
        "seconds": [round(value, 2) for value in seconds],
        "median": round(median, 2),
        "bar": BAR,
        "nothing_recomputed": contents(Path(given.store)) == before,
        "reached": median <= BAR,
    }
    if given.out:
        text = json.dumps({"result": found, "machine": machine(0)}, indent=2)
        given.out.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
