"""How long it takes to compare and report 500 finished evaluations: eight targets, 21 setups, 3 seeds.

    python tests/benchmarks/compare_500.py [STORE]

The store is made of drawn counts in about the sizes of XTREME's test sets, with the trainings behind them,
and is deleted afterwards unless a folder is named. Times are wall clock, each in a process of its own as a
user has it: `cold` with no table kept in the store's cache, `warm` with all of them. Prints JSON.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.results import LanguageResult, Scored, save_language
from adaptrans.runs.store import Run, Store
from adaptrans.tasks.catalogue import get

EVALUATIONS = 500
SEEDS = (1, 2, 3)
NAMES = ("mnli", "anli_plus", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa", "mlm")
SETUPS = ("full", *(f"full({name})" for name in NAMES), *(f"{name} > target" for name in NAMES))
# Languages at most, examples in each, and whether they are the same items in every language.
TARGETS = {
    "xnli": (15, 5010, True),
    "pawsx": (7, 2000, False),
    "udpos": (33, 1200, False),
    "panx": (40, 5000, False),
    "xquad": (11, 1190, True),
    "mlqa": (7, 5000, False),
    "tydiqa": (9, 1100, False),
    "tatoeba": (36, 1000, False),
}
ENVIRONMENT = {
    "python": "3.11.0",
    "platform": "Linux",
    "device_name": "cpu",
    "precision": "fp32",
    "threads": 2,
    "packages": {"torch": "2.13.0"},
}


def counts(score: str, easy: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Counts of one system: examples that are easy are so for every system."""
    right = (easy + gain + rng.normal(size=len(easy)) > 0).astype(float)
    if score == "accuracy":
        return np.column_stack([right, np.ones(len(easy))])
    if score == "chunk_f1":
        gold = 5 + (np.arange(len(easy)) % 20)
        found = gold + rng.integers(-2, 3, len(easy))
        return np.column_stack([np.minimum(gold, found) - rng.integers(0, 5, len(easy)), found, gold])
    exact = right * (rng.random(len(easy)) < 0.7)
    return np.column_stack([np.maximum(exact, right * rng.random(len(easy))), exact, np.ones(len(easy))])


def training(store: Store, inputs: dict, label: str, parents: dict) -> Run:
    """A finished training run with its log."""
    values = {**inputs, "parents": parents, "trained": None}
    run = store.run("target", label, values)
    with store.working_on(run, values):
        run.log_environment({**ENVIRONMENT, "command": ["adaptrans", "run", f"{inputs['task']}.yaml"]})
        lines = [
            {"step": step, "loss": 3 / (1 + step / 100), "gradient_norm": 1.0} for step in range(10, 2000, 10)
        ]
        lines.append({"step": 2000, "dev_score": 70.0})
        (run.path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        run.finish(
            {"seconds": 600.0, "trained_parameters": 900_000, "notes": [], "dev": 70.0, "dev_step": 2000}
        )
    return run


def evaluation(store: Store, inputs: dict, label: str, trained: Run, gain: float) -> None:
    """A finished evaluation with drawn counts."""
    number, size, parallel = TARGETS[inputs["task"].partition("@")[0]]
    task = get(inputs["task"].partition("@")[0])
    score = SCORES[task.scores[0]]
    values = {
        **inputs,
        "trained": trained.key,
        "parents": {},
        "split": "test",
        "limit": None,
        "max_length": 128,
    }
    run = store.run("evaluate", label, values)
    languages = list(task.languages)[:number]
    with store.working_on(run, values):
        run.log_environment({**ENVIRONMENT, "command": ["adaptrans", "run", "grid.yaml"]})
        for place, code in enumerate(languages):
            # Smaller languages have smaller test sets, where these are not shared.
            own = size if parallel else max(1000, size - 400 * (place % 11))
            easy = np.random.default_rng([7, 0 if parallel else place]).normal(size=own)
            drawn = counts(score.name, easy, gain, np.random.default_rng([int(run.key, 16), place]))
            parts = score.values(drawn)
            named = {
                part if part == score.name else f"{score.name}.{part}": value for part, value in parts.items()
            }
            first = next(iter(named.values()))
            result = LanguageResult(
                code, own, named, first - 1, first + 1, f"{task.name}-{code}", "fp32", chance=33.3
            )
            save_language(run, result, Scored({score.name: drawn}))
        run.finish(
            {
                "target": inputs["task"],
                "score": score.name,
                "parallel": parallel,
                "task_languages": languages,
                "source_languages": ["en"],
                "notes": [f"{task.name}: drawn counts"],
            }
        )


def fill(place: Path) -> int:
    """Make the store; returns the number of its evaluations."""
    store = Store(place)
    made = 0
    for target in TARGETS:
        for number, setup in enumerate(SETUPS):
            for seed in SEEDS:
                if made == EVALUATIONS:
                    return made
                shared = {
                    "setup": setup,
                    "task": f"{target}@1",
                    "method": "full" if setup.startswith("full") else "seq_bn",
                    "definition": target,
                    "seed": seed,
                    "backbone": "0" * 64,
                    "backbone_name": "drawn",
                    "precision": "fp32",
                }
                label = f"{target}.{setup}.s{seed}"
                run = training(store, shared, label, {})
                evaluation(store, shared, label, run, 0.3 + 0.01 * (number % 11))
                made += 1
    return made


def seconds(*words: str) -> float:
    """Wall time of a command that has to succeed."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "adaptrans_cli.main", *words], check=True, capture_output=True, text=True
    )
    return round(time.perf_counter() - start, 2)


def main() -> None:
    """Fill a store and print the times."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "store"
        runs = len(Store(place).runs("evaluate")) if place.is_dir() else fill(place)
        page = str(Path(folder) / "page.html")
        compare = ["compare", "--store", str(place)]
        report = ["report", str(place), "--out", page]
        found: dict[str, object] = {"evaluations": runs, "cores": os.cpu_count()}
        for name in ("cold", "warm"):
            if name == "cold":
                shutil.rmtree(place / "cache", ignore_errors=True)
            found[f"{name} compare"] = seconds(*compare)
            found[f"{name} report"] = seconds(*report)
            found[name] = round(found[f"{name} compare"] + found[f"{name} report"], 2)
        found["page in MB"] = round(Path(page).stat().st_size / 1e6, 2)
        shutil.rmtree(place / "cache", ignore_errors=True)
        found["report alone, cold"] = seconds(*report)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
