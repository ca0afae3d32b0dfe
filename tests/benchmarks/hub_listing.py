"""How long a list of a folder hub with 10,000 artifacts takes, the first time and after it.

    python tests/benchmarks/hub_listing.py [COUNT]

The versions are made as a push makes them, without the weights, which a list does not look at. Times are wall
clock, each in a process of its own as a user has it.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from adaptrans.hub.fsspec import FolderHub, Record
from adaptrans.hub.package import PackageRow

LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")


def fill(hub: FolderHub, count: int) -> None:
    """Make `count` versions."""
    for number in range(count):
        row = PackageRow(
            name=f"artifact-{number:05d}",
            version=1,
            base="FacebookAI/xlm-roberta-base",
            depth=12,
            width=768,
            fingerprint=f"{number % 7:064x}",
            task=("xnli@1", "panx@1", "mnli@1")[number % 3],
            kind="classification",
            phase="target",
            setup="mnli > target",
            method="seq_bn",
            languages=LANGUAGES,
            license="apache-2.0",
            scores={"xnli accuracy": 50 + number % 40},
            size=4_000_000,
            key=f"{number:012x}",
            content=f"{number:064x}",
        )
        record = Record(format=1, manifest=f"{number:064x}", pushed="2026-01-01T00:00:00+00:00", row=row)
        hub.create(hub.path("versions", f"{row.name}@v1.json"), record.model_dump_json(indent=1).encode())


def listed(place: Path, *filters: str) -> tuple[float, int]:
    """Seconds that `adaptrans hub list --json` takes, and the rows it prints."""
    command = [sys.executable, "-m", "adaptrans_cli.main", "hub", "list", str(place), "--json", *filters]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, len(json.loads(done.stdout))


def main() -> None:
    """Fill a hub and print the times."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "hub"
        fill(FolderHub(str(place)), count)
        first, rows = listed(place)
        assert rows == count
        times = [listed(place)[0] for _ in range(5)]
        some = [listed(place, "--task", "xnli", "--score", "80")[0] for _ in range(5)]
        hub = FolderHub(str(place))
        start = time.perf_counter()
        hub.rows()
        inside = time.perf_counter() - start
        shutil.rmtree(place)
    middle = statistics.median(times)
    print(f"{count} artifacts, seconds: first list {first:.2f}; after it, median of 5: {middle:.2f}")
    print(
        f"  with filters {statistics.median(some):.2f}; inside one process, without starting it, {inside:.2f}"
    )


if __name__ == "__main__":
    main()
