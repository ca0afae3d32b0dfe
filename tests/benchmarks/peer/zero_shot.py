"""Zero-shot XNLI in 15 languages: one process of ours beside one process per language of the peer.

    python tests/benchmarks/peer/zero_shot.py --data DATA --models MODELS --limits 64 192 --out zero-shot.json
    python tests/benchmarks/peer/zero_shot.py --data DATA --models MODELS --whole --out zero-shot.json

Both sides evaluate the same stored adapter (`seq_bn`, six steps of training), from starting the interpreter
to the predictions. With two limits per language, the time of all 5,010 is extrapolated on a straight line, so
that fixed costs count once; `--peer-languages` measures the peer on some languages alone and multiplies.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ours
import texts
from measure import MARK, PREPARE, Samples, main, median, parser, ratio
from weights import model_folder

WHOLE = 5_010
BAR = 3.0


def sample(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Evaluate on one side, at one limit; or make what both evaluate."""
    folder = model_folder(given.models, given.shape)
    where = ours.workspace(folder, work)
    if given.side == PREPARE:
        tests = {code: texts.pairs(given.data, code) for code in texts.LANGUAGES}
        texts.write_task(work, texts.NLI, texts.pairs(given.data, split="dev")[:192], tests)
        # So high a rate that the answers differ from pair to pair, and equal scores say something.
        ours.train(where, texts.NLI, batch=32, seed=1, max_steps=6, learning_rate=1e-2)
        return {}
    side, _, limit = given.side.partition("@")
    if given.language:
        return one_language(given, work, folder, side, int(limit))
    if side.startswith("ours"):
        return own(where, int(limit), "fp32" if side == "ours-fp32" else None)
    found = {}
    for code in texts.LANGUAGES[: given.peer_languages]:
        done = subprocess.run(
            [sys.executable, *sys.argv, "--language", code], capture_output=True, text=True, check=True
        )
        line = next(line for line in done.stdout.splitlines() if line.startswith(MARK))
        found[code] = json.loads(line.removeprefix(MARK))["right"]
    return {"right": found, "languages": len(found)}


def own(where: Any, limit: int, precision: str | None) -> dict[str, Any]:
    """All languages in this process, nothing of an earlier sample being left."""
    import adaptrans

    for name in ("runs/evaluate", "cache"):
        shutil.rmtree(where.store.root / name, ignore_errors=True)
    found = adaptrans.evaluate(
        texts.NLI, where=where, setup="adapter", limit=limit if limit < WHOLE else None, precision=precision
    )
    right = {code: round((result.value or 0.0) * result.n / 100) for code, result in found.items()}
    return {"right": right, "languages": len(right)}


class _Row(dict[str, str]):
    """A row as `loading.part` takes it: it carries nothing for the rows after it."""

    def in_place_of(self, first: Any) -> "_Row":
        return self


def one_language(
    given: argparse.Namespace, work: Path, folder: Path, side: str, limit: int
) -> dict[str, Any]:
    """The peer's process for one language: how many predictions are right."""
    import recipe

    artifact = next((work / "store/runs/target").glob("*/artifact"))
    rows = texts.pairs(given.data, given.language)
    if limit < WHOLE:
        # The same rows as ours takes.
        from adaptrans.tasks import loading

        rows = list(loading.part(map(_Row, rows), limit))
    return {"right": recipe.right_answers(folder, artifact, texts.NLI, rows, texts.LABELS, side)}


def judge(samples: Samples, sides: Sequence[str], limits: Sequence[int], languages: int) -> dict[str, Any]:
    """Seconds of all rows, measured or on a line through two sizes."""
    factors = {side: 1.0 if side.startswith("ours") else len(texts.LANGUAGES) / languages for side in sides}
    whole: Samples = {}
    for side in sides:
        columns = [samples.get(f"{side}@{limit}", []) for limit in limits]
        if not all(columns):
            continue
        whole[side] = [
            {key: factors[side] * _on_line(limits, [one[key] for one in row]) for key in KEYS}
            for row in zip(*columns, strict=True)
        ]
    peer = next((side for side in sides if side.startswith("peer")), "")
    return {
        "bar": ratio(whole, peer, "ours", KEYS[0], BAR),
        "processor": ratio(whole, peer, "ours", KEYS[1], 0),
        "seconds_of_all": {
            side: {key: round(median(found, key), 1) for key in KEYS} for side, found in whole.items()
        },
        "right": {side: found[0]["right"] for side, found in samples.items()},
    }


KEYS = ("process_seconds", "process_processor_seconds")


def _on_line(limits: Sequence[int], values: Sequence[float]) -> float:
    """The value at all rows: as measured, or on the line through two sizes."""
    if len(limits) == 1:
        return values[0]
    slope = (values[1] - values[0]) / (limits[1] - limits[0])
    return values[0] + slope * (WHOLE - limits[0])


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--limits", type=int, nargs=2, default=[64, 192], help="rows per language")
    options.add_argument("--whole", action="store_true", help="all rows of all languages")
    options.add_argument("--peer-languages", type=int, default=len(texts.LANGUAGES))
    options.add_argument("--peer", default="peer-default")
    options.add_argument("--language", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    sizes = [WHOLE] if chosen.whole else chosen.limits
    names = ["ours", chosen.peer, *(["ours-fp32"] if "ours-fp32" in (chosen.only or ()) else [])]
    main(
        chosen,
        [f"{name}@{size}" for size in sizes for name in names],
        sample,
        lambda samples: judge(samples, names, sizes, chosen.peer_languages),
        {
            "what": "zero-shot evaluation of XNLI, 15 languages x 5,010, one stored adapter",
            "extrapolated": not chosen.whole,
            "rows_per_language": sizes,
            "peer_languages": chosen.peer_languages,
            "clock": "whole processes, imports and loading included",
        },
        prepared=True,
    )
