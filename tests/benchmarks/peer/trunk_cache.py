"""Training without adapters in the first half of the layers: its states kept, or computed in every epoch.

    python tests/benchmarks/peer/trunk_cache.py --data DATA --models MODELS --out trunk.json

Three epochs over the same rows; what counts are the seconds of the second and third. On an encoder without
dropout (`--no-dropout`) the losses of both sides are compared too; kept states are those without dropout.
"""

import argparse
from pathlib import Path
from typing import Any

import ours
import texts
from measure import Samples, main, parser, ratio
from weights import SHAPES, model_folder

BAR = 1.6
EPOCHS, BATCH = 3, 32


def sample(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Train three epochs on one side."""
    folder = model_folder(given.models, given.shape, dropout=not given.no_dropout)
    own = work / f"{given.side}-{given.sample}"
    rows = texts.drawn(texts.pairs(given.data), given.rows, given.sample)
    texts.write_task(own, texts.NLI, rows)
    half = SHAPES[given.shape]["num_hidden_layers"] // 2
    where = ours.workspace(folder, own)
    kept = given.stored if given.side == "with" else "off"
    options = {"frozen_prefix_cache": kept, **dict(map(ours.option, given.option))}
    method = f"seq_bn[leave_out='first:{half}']"
    watch = ours.train(
        where,
        texts.NLI,
        batch=BATCH,
        seed=given.sample + 1,
        method=method,
        epochs=EPOCHS,
        log_every=1,
        **options,
    )
    first = watch.steps // EPOCHS
    began = watch.lines[first - 1]
    return {
        "first_epoch": began["at"],
        "later_epochs": watch.seconds - began["at"],
        "later_processor": watch.processor_seconds - began["processor_at"],
        "losses": watch.losses,
    }


def judge(samples: Samples) -> dict[str, Any]:
    """Seconds without the kept states divided by those with them; the largest difference of two losses."""
    differences = [
        abs(a - b)
        for one, other in zip(samples["with"], samples["without"], strict=True)
        for a, b in zip(one["losses"], other["losses"], strict=True)
    ]
    return {
        "bar": ratio(samples, "without", "with", "later_epochs", BAR),
        "processor": ratio(samples, "without", "with", "later_processor", 0),
        "first_epoch": ratio(samples, "without", "with", "first_epoch", 0),
        "largest_difference_of_losses": max(differences),
    }


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=6 * BATCH)
    options.add_argument("--stored", default="fp32", choices=("fp32", "bf16", "fp16"), help="fp32 is exact")
    options.add_argument("--no-dropout", action="store_true")
    options.add_argument("--option", action="append", default=[], help="KEY=VALUE, a further training option")
    chosen = options.parse_args()
    main(
        chosen,
        ["with", "without"],
        sample,
        judge,
        {
            "what": "adapter training, seq_bn without the first half of the layers, epochs 2 and 3",
            "dropout": not chosen.no_dropout,
            "stored": chosen.stored,
            "clock": "steps alone; the states are computed before the first step, see process_seconds",
        },
    )
