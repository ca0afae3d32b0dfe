"""Nine adapter setups on one target in one pass, beside nine evaluations of ours.

    python tests/benchmarks/peer/nine_setups.py --data DATA --models MODELS --out nine.json

Adapters that leave out the first half of the layers share that half; adapters in all layers share only
loading, tokens and embeddings (`--method seq_bn`). Whole processes; both sides have to find equal scores.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ours
import texts
from measure import MARK, PREPARE, Samples, main, parser, ratio
from weights import SHAPES, model_folder

from adaptrans.experiments.commands import plan_evaluate

BAR = 0.6
SEEDS = tuple(range(1, 10))


def sample(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Evaluate nine adapters on one side; or train them."""
    where = ours.workspace(model_folder(given.models, given.shape), work)
    depth = SHAPES[given.shape]["num_hidden_layers"]
    method = given.method or f"seq_bn[leave_out='first:{depth // 2}']"
    if given.side == PREPARE:
        tests = {code: texts.pairs(given.data, code) for code in texts.LANGUAGES[: given.languages]}
        texts.write_task(work, texts.NLI, texts.pairs(given.data, split="dev")[:64], tests)
        for seed in SEEDS:
            ours.train(where, texts.NLI, batch=32, seed=seed, method=method, max_steps=2, learning_rate=1e-2)
        return {}
    if given.seed is None:
        for name in ("runs/evaluate", "cache"):
            shutil.rmtree(where.store.root / name, ignore_errors=True)
    if given.side == "one-by-one" and given.seed is None:
        return {"scores": [alone(seed) for seed in SEEDS]}
    wanted = SEEDS if given.seed is None else (given.seed,)
    specs = [
        plan_evaluate(texts.NLI, where=where, setup="adapter", method=method, seed=seed, limit=given.limit)
        for seed in wanted
    ]
    # Imported late: a process that only starts others does not load torch.
    from adaptrans.evaluation.evaluator import evaluate_all

    found = evaluate_all(specs)
    return {"scores": [{code: result.value for code, result in one.items()} for one in found]}


def alone(seed: int) -> dict[str, float | None]:
    """The scores that a process of one setup finds."""
    command = [sys.executable, *sys.argv, "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith(MARK))
    found: dict[str, float | None] = json.loads(line.removeprefix(MARK))["scores"][0]
    return found


def judge(samples: Samples) -> dict[str, Any]:
    """One pass divided by nine."""
    same = all(
        one["scores"] == other["scores"]
        for one, other in zip(samples["one-pass"], samples["one-by-one"], strict=True)
    )
    return {
        "bar": ratio(samples, "one-pass", "one-by-one", "process_seconds", BAR, least=False),
        "processor": ratio(samples, "one-pass", "one-by-one", "process_processor_seconds", 0),
        "same_scores": same,
    }


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--method", help="adapter method; by default seq_bn without the first half")
    options.add_argument("--languages", type=int, default=3)
    options.add_argument("--limit", type=int, default=200, help="rows per language")
    options.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    main(
        chosen,
        ["one-pass", "one-by-one"],
        sample,
        judge,
        {
            "what": "evaluation of nine adapters on one target",
            "method": chosen.method or "seq_bn without the first half of the layers",
            "clock": "whole processes: one, or nine one after another, imports and loading included",
        },
        prepared=True,
    )
