"""How long it takes to plan an experiment of 2,115 cells with factors, and to analyze them once finished.

    python tests/benchmarks/study_speed.py --out speed.json

Runs are written as if they had been carried out, with scores that are drawn; nothing is trained.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from adaptrans import api
from adaptrans.experiments.commands import plan_run, workspace
from adaptrans.experiments.config import load_experiment
from adaptrans.utils.io import write_json

TASKS = ["sample_nli", "sample_qa", "sample_paraphrase", "sample_copa"]
EXPERIMENT = {
    "name": "speed",
    "setups": ["full", "adapter"],
    "targets": ["sample_pos", "sample_ner", "sample_nli", "sample_paraphrase", "sample_retrieval"],
    "seeds": [1, 2, 3],
    "vary": {
        "setups": ["full({intermediates})", "fuse({intermediates}) > target"],
        "intermediates": TASKS,
        "sizes": [50, 100, 200, 400, "all"],
        "subsets": {},
    },
    "analysis": [
        {"kind": "slope", "on": "log10(size)", "where": {"number": 1}, "by": ["task", "method"]},
        {"kind": "learning_curve", "where": {"number": 1}, "by": ["task", "method"]},
        {"kind": "gain", "families": "families", "by": "task", "where": {"method": "full"}},
        {"kind": "order_means", "by": "task", "where": {"method": "full"}},
        {"kind": "correlation", "on": "log10(cc100_gib)", "slope_on": "log10(size)", "where": {"number": 1}},
        {
            "kind": "difference",
            "factor": "row",
            "baseline": "full",
            "by": "task",
            "where": {"number": [0, 1]},
        },
        {"kind": "mixed_effects", "on": ["number"], "where": {"task": "sample_pos", "seed": 1}},
    ],
}


def finish(plan):
    """Write the runs of a plan as if they had been carried out."""
    generator = np.random.default_rng(0)
    for spec in plan.specs:
        write_json(spec.run.path / "config.json", spec.record)
        result = {"examples": 100, "seconds": 1.0, "source_languages": ["en"]}
        if spec.phase == "evaluate":
            for code in spec.wanted_languages:
                value = float(generator.uniform(30, 90))
                one = {"language": code, "n": 100, "values": {"accuracy": value}}
                one["data"] = spec.workspace.data_key(spec.task, spec.config.split, code)
                one |= {"low": value - 5, "high": value + 5, "precision": "fp32", "intervals": 99}
                write_json(spec.run.path / f"scores/{code}.json", one)
        spec.run.finish(result)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("study-speed.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speed.yaml"
        path.write_text(json.dumps(EXPERIMENT), encoding="utf-8")
        place = {"backbone": "mini", "data": "samples", "store": Path(folder) / "store"}
        experiment, where = load_experiment(path), workspace(**place)
        start, cpu = time.perf_counter(), time.process_time()
        plan = plan_run(experiment, where=where)
        keys = len({spec.run.key for spec in plan.specs})
        found = {"cells": len(plan.cells), "runs": keys, "plan_seconds": time.perf_counter() - start}
        found["plan_cpu_seconds"] = time.process_time() - cpu
        finish(plan)
        start, cpu = time.perf_counter(), time.process_time()
        page = api.analyze(path, **place)
        found["analyze_seconds"] = time.perf_counter() - start
        found["analyze_cpu_seconds"] = time.process_time() - cpu
        found["findings"] = sum(len(part.findings) for part in page.parts)
        found["notes"] = list(page.notes)
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
