"""Peak memory of adapter training on the shape of XLM-R large, ours beside the peer, each in a fresh process.

    python tests/benchmarks/peer/memory.py --data DATA --models MODELS --out memory.json

32 inputs of exactly 128 pieces per step, three steps (`--steps`); the peak is VmHWM of the whole process,
loading included. The peer takes up to 20 GiB: nothing is started while less than `--need` is free.
"""

import argparse
from pathlib import Path
from typing import Any

import texts
from measure import Samples, available_gib, main, parser, ratio
from weights import model_folder

BAR = 0.40
OPTIONS = ["gradient_checkpointing=true", "tokens_per_batch=1024"]
"""Options of ours that spare memory: small parts, activations computed again; vocabulary is cut anyway."""


def sample(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Train some steps on one side."""
    free = available_gib()
    if free < given.need:
        raise SystemExit(f"{free:.1f} GiB are free, {given.need} needed: stop other work, or lower --need")
    folder = model_folder(given.models, given.shape)
    rows = texts.drawn(texts.long_pairs(given.data), given.batch * given.steps, given.sample)
    seed = given.sample + 1
    if given.side.startswith("peer"):
        import recipe

        return recipe.timed_training(
            folder, texts.NLI, rows, texts.LABELS, given.side, given.batch, seed, warm_steps=0
        )
    import ours

    own = work / f"{given.side}-{given.sample}"
    texts.write_task(own, texts.NLI, rows)
    options = dict(ours.option(text) for text in given.option or OPTIONS) if given.side == "ours" else {}
    watch = ours.train(
        ours.workspace(folder, own), texts.NLI, batch=given.batch, seed=seed, epochs=1, **options
    )
    return {
        "seconds": watch.seconds,
        "processor_seconds": watch.processor_seconds,
        "steps": watch.steps,
        "losses": watch.losses,
    }


def judge(samples: Samples) -> dict[str, Any]:
    """Ours divided by the peer; also without the options, which the seconds show the price of."""
    return {
        "bar": ratio(samples, "ours", "peer-default", "peak_mib", BAR, least=False),
        "without_options": ratio(samples, "ours-plain", "peer-default", "peak_mib", 0),
        "peer_at_its_best": ratio(samples, "ours", "peer-dynamic-bf16", "peak_mib", 0),
        "processor": ratio(samples, "peer-default", "ours", "processor_seconds", 0),
    }


if __name__ == "__main__":
    options = parser(__doc__, shape="large", samples=5)
    options.add_argument("--batch", type=int, default=32, help="fewer where memory is short: no bar then")
    options.add_argument("--steps", type=int, default=3)
    options.add_argument("--need", type=float, default=18.0, help="GiB that have to be free")
    options.add_argument("--option", action="append", help="KEY=VALUE, instead of our own memory options")
    chosen = options.parse_args()
    main(
        chosen,
        ["ours", "ours-plain", "peer-default", "peer-dynamic-bf16"],
        sample,
        judge,
        {
            "what": f"peak resident set, adapter training (seq_bn), {chosen.batch} x 128, random weights",
            "our_options": chosen.option or OPTIONS,
            "vocabulary": "pieces of mini's tokenizer in the rows at hand; the files hold 250,002 rows",
        },
    )
