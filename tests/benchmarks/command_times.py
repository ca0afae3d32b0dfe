"""Wall-clock times of the command line, as JSON. Run by hand:

    python tests/benchmarks/command_times.py [EXPERIMENT STORE BACKBONE DATA]

Median of five after one warm-up. With arguments, also the time of an experiment
that is already in the store.
"""

import json
import statistics
import subprocess
import sys
import time

REPEATS = 5


def median_seconds(command: list[str]) -> float:
    """Median wall-clock seconds of a command."""
    times = []
    for place in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if place:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    program = [sys.executable, "-m", "adaptrans_cli.main"]
    found = {"adaptrans --help": median_seconds([*program, "--help"])}
    if arguments:
        experiment, store, backbone, data = arguments
        where = ["--store", store, "--backbone", backbone, "--data", data]
        found["finished experiment"] = median_seconds([*program, "run", experiment, *where])
    print(json.dumps({name: round(seconds, 3) for name, seconds in found.items()}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
