"""How long the dry plan of 9 setups x 9 targets x 3 seeds takes on a store with hundreds of finished runs.

    python tests/benchmarks/plan_speed.py [FINISHED]

Times are wall clock and processor, each in a process of its own as a user has it, the median of five after
one to warm up. Every file that the plan looks for is there, with a line in it: what it says does not matter.
The bar is 3 seconds.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import yaml

from adaptrans import benchmarks, languages
from adaptrans.evaluation.results import LanguageResult
from adaptrans.experiments.commands import plan_run, workspace
from adaptrans.experiments.config import load_experiment
from adaptrans.experiments.plan import jobs_of
from adaptrans.modeling.setup.nodes import NINE
from adaptrans.tasks import catalogue
from adaptrans.utils.io import write_json

BAR = 3.0
REPEATS = 5

EXPERIMENT = {
    "name": "plan-speed",
    "backbone": "mini",
    "preset": "jiant-stilts",
    "intermediates": "nine",
    "setups": ["full({intermediate})"],
    "baseline": "full(mnli)",
    "targets": "xtreme",
    "seeds": [1, 2, 3],
}


def fill_data(folder: Path) -> None:
    """A file for every split and language of the nine intermediate and the nine target tasks."""
    for task in map(catalogue.get, [*NINE, "snli", "anli", *benchmarks.get("xtreme").targets]):
        for split in task.splits:
            for code in task.languages_of(split):
                known = languages.get(code)
                names = {"lang": code, "lang3": known.codes3[0], "name": known.name}
                for source in task.file_sources(split)[:1]:
                    if source.languages and code not in source.languages:
                        continue
                    for pattern in (*source.path, *filter(None, (source.beside, source.references))):
                        path = folder / pattern.format_map(names)
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_text("a|b|N c|d|NP\n" * 10 if task.name == "ccg" else f"{code}\tX\n")


def fill_store(file: Path, data: Path, store: Path, number: int) -> int:
    """Mark the first runs of the plan as done; returns the number of all runs."""
    where = workspace(backbone="mini", data=data, store=store)
    plan = plan_run(load_experiment(file), where=where)
    specs = {spec.run.path: spec for spec in (*plan.training, *(cell.evaluation for cell in plan.cells))}
    items = jobs_of(plan)
    for item in items[:: max(1, len(items) // number)][:number]:
        spec, folder = specs[item.run.path], item.run.path
        write_json(folder / "config.json", spec.record)
        write_json(folder / "cost.json", {"seconds": 60.0, "memory": 10**9, "disk": 10**6})
        (folder / "environment.jsonl").write_text(json.dumps({"device": "cpu"}) + "\n")
        if item.run.phase == "evaluate":
            for code in spec.wanted_languages:
                key = where.data_key(spec.task, "test", code)
                result = LanguageResult(code, 100, {}, None, None, key, "fp32")
                write_json(folder / f"scores/{code}.json", asdict(result))
        item.run.finish({"seconds": 60.0, "examples": 1000, "notes": [], "source_languages": ["en"]})
    return len(items)


def measured(command: list[str]) -> tuple[float, float]:
    """Median seconds of a command, wall clock and processor."""
    wall, processor = [], []
    for place in range(REPEATS + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if place:
            wall.append(time.perf_counter() - began)
            processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(wall), statistics.median(processor)


def main() -> None:
    """Fill a store, time the plan, print the result."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        data, store, file = (Path(folder) / name for name in ("data", "store", "experiment.yaml"))
        file.write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
        fill_data(data)
        runs = fill_store(file, data, store, number)
        where = ["--data", str(data), "--store", str(store)]
        command = [
            sys.executable,
            "-m",
            "adaptrans_cli.main",
            "run",
            str(file),
            *where,
            "--dry-run",
            "--json",
        ]
        shown = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        finished = sum(row["done"] for row in shown["runs"])
        wall, processor = measured(command[:-1])
    found = {
        "runs": runs,
        "finished": finished,
        "forecast": sum(bool(row["forecast"] and row["forecast"]["seconds"]) for row in shown["runs"]),
        "wall_seconds": round(wall, 2),
        "processor_seconds": round(processor, 2),
        "load": round(os.getloadavg()[0], 1),
        "bar_seconds": BAR,
        "within": wall <= BAR,
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
