"""Adapter training, ours beside the peer: inputs per second over one epoch of the same rows.

    python tests/benchmarks/peer/training.py --data DATA --models MODELS --task nli --out nli.json
    python tests/benchmarks/peer/training.py --data DATA --models MODELS --task qa --out qa.json

Shape of XLM-R base, `seq_bn`, random weights. `nli`: English XNLI pairs, 32 per step; `qa`: SQuAD questions,
windows of 384, 12 per step. Each sample draws its rows by its number, the same for all sides. Two steps
before the clock starts are not counted.
"""

import argparse
from pathlib import Path
from typing import Any

import texts
from measure import Samples, main, parser, ratio
from weights import model_folder

ROWS = {"nli": 10 * 32, "qa": 8 * 12}
BATCH = {"nli": 32, "qa": 12}
TASK = {"nli": texts.NLI, "qa": texts.QA}
BARS = {
    "nli": {"peer-default": 4.0, "peer-dynamic-fp32": 2.5, "peer-dynamic-bf16": 1.3},
    "qa": {"peer-default": 3.0},
}
MORE = ("ours-fp32", "peer-grouped-bf16", "peer-dynamic-fp32", "peer-dynamic-bf16")
"""Sides without a bar, measured where --only names them."""


def sample(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Train one epoch on one side."""
    task, folder = TASK[given.task], model_folder(given.models, given.shape)
    everything = texts.pairs(given.data) if given.task == "nli" else texts.questions(given.data)
    rows = texts.drawn(everything, given.rows or ROWS[given.task], given.sample)
    batch, seed = BATCH[given.task], given.sample + 1
    if given.side.startswith("ours"):
        import ours

        own = work / f"{given.side}-{given.sample}"
        texts.write_task(own, task, rows)
        options = dict(ours.option(text) for text in given.option)
        if given.side == "ours-fp32":
            options["precision"] = "fp32"
        found = ours.timed_training(ours.workspace(folder, own), task, batch=batch, seed=seed, **options)
    else:
        import recipe

        labels = texts.LABELS if given.task == "nli" else ()
        found = recipe.timed_training(folder, task, rows, labels, given.side, batch, seed)
    return {**found, "rows": len(rows), "rows_per_second": len(rows) / found["seconds"]}


def judge(samples: Samples, task: str) -> dict[str, Any]:
    """Ratios of rows per second, and those of the processor's time, which other work disturbs less."""
    bars = BARS[task]
    others = [side for side in samples if side != "ours"]
    return {
        "bars": {side: ratio(samples, "ours", side, "rows_per_second", bars.get(side, 0)) for side in others},
        "processor": {side: ratio(samples, side, "ours", "processor_seconds", 0) for side in others},
    }


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--task", choices=tuple(ROWS), default="nli")
    options.add_argument("--rows", type=int, help="rows per epoch")
    options.add_argument("--option", action="append", default=[], help="KEY=VALUE, a training option of ours")
    chosen = options.parse_args()
    more = [side for side in MORE if side in (chosen.only or ())]
    main(
        chosen,
        list(dict.fromkeys(["ours", *BARS[chosen.task], *more])),
        sample,
        lambda samples: judge(samples, chosen.task),
        {
            "what": f"adapter training (seq_bn), random weights, {chosen.task}",
            "lengths": "real rows cut by the bundled mini's tokenizer (40,000 pieces): English XNLI pairs "
            "are 48 pieces long on average; XLM-R's own cuts less finely, so that padding would waste more",
            "batch": BATCH[chosen.task],
            "clock": "one epoch over the same rows, after two steps that are not counted",
        },
    )
