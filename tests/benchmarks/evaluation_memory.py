"""Peak memory of an evaluation by the size of the data: a tiny encoder, each size in a fresh process.

Writes JSON to standard output: peak resident set in MiB by number of examples, and the ratio of the last to
the first. Run as `python tests/benchmarks/evaluation_memory.py --task xnli --sizes 20000 200000`.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

WORDS = (
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "seven",
    "apples",
    "where",
    "is",
    "library",
    "she",
    "bought",
)
TAGS = ("NOUN", "VERB", "DET", "ADP", "PUNCT")
LABELS = ("entailment", "neutral", "contradiction")


def write_test_set(folder: Path, task: str, size: int) -> None:
    """A test set in English, of so many examples."""
    rng = random.Random(3)
    folder.mkdir(parents=True, exist_ok=True)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(words))

    with (folder / "test-en.tsv").open("w", encoding="utf-8") as file:
        for place in range(size):
            if task == "udpos":
                tags = ((rng.choice(WORDS), rng.choice(TAGS)) for _ in range(rng.randint(3, 16)))
                file.write("".join(f"{word}\t{tag}\n" for word, tag in tags) + "\n")
            else:
                file.write(f"{text(rng.randint(4, 20))}\t{text(8)}\t{LABELS[place % 3]}\n")


def train(folder: Path, task: str) -> None:
    """A backbone, a store and a trained adapter, which all sizes share."""
    import yaml
    from conftest import make_backbone
    from support.smalldata import NLI, XNLI, write_small_data

    import adaptrans

    make_backbone(folder / "backbone", depth=2)
    write_small_data(folder / "data")
    (folder / "tasks").mkdir()
    for name, values in (("nli", NLI), ("xnli", XNLI)):
        (folder / "tasks" / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **values}))
    where = adaptrans.workspace(
        backbone=folder / "backbone",
        data=folder / "data",
        store=folder / "store",
        tasks=[folder / "tasks"],
        device="cpu",
    )
    adaptrans.target(
        task, where=where, setup="adapter", max_steps=2, batch_size=8, precision="fp32", max_length=64
    )


def measure(folder: Path, task: str) -> None:
    """Evaluate in this process, and print its peak."""
    import adaptrans

    where = adaptrans.workspace(
        backbone=folder / "backbone",
        data=folder / "data",
        store=folder / "store",
        tasks=[folder / "tasks"],
        device="cpu",
    )
    began = time.monotonic()
    found = adaptrans.evaluate(task, where=where, setup="adapter", languages=["en"], precision="fp32")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"examples": found["en"].n, "peak_mib": peak, "seconds": time.monotonic() - began}))


def main() -> None:
    """Measure every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="xnli", choices=("xnli", "udpos"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--inside", choices=("train", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        (train if given.inside == "train" else measure)(given.folder, given.task)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        again = [sys.executable, __file__, "--task", given.task, "--folder", str(folder), "--inside"]
        subprocess.run([*again, "train"], check=True)
        found = []
        for size in given.sizes:
            write_test_set(folder / "data" / given.task, given.task, size)
            done = subprocess.run([*again, "measure"], check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            print(found[-1], file=sys.stderr)
        ratio = found[-1]["peak_mib"] / found[0]["peak_mib"]
        print(json.dumps({"task": given.task, "sizes": found, "ratio": round(ratio, 3)}, indent=2))


if __name__ == "__main__":
    main()
