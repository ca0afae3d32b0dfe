"""`adaptrans language`: train a language adapter on plain text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import common
from adaptrans_cli.options import Place, Training, grouped


@grouped
def language(
    code: Annotated[str, typer.Argument(help="Code of the language, such as sw.")],
    text: Annotated[
        Path, typer.Option("--text", help="Text file, or folder with CODE.txt or CODE/*.txt; .gz too.")
    ],
    place: Place,
    training: Training,
    method: Annotated[
        str | None, typer.Option("--method", help="By default seq_bn_inv with reduction factor 2 (MAD-X).")
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Train a language adapter, which setups with {lang} use and swap at test time (phase 1)."""
    from adaptrans.api import plan_language

    where = place.workspace()
    spec = plan_language(code, text=text, where=where, method=method, seed=training.seed, **training.given())
    done = spec.run.is_done
    from adaptrans.training.language import train_language

    run = train_language(spec)
    result = run.result()
    if as_json:
        common.print_json({"run": run.name, "folder": str(run.path), "computed": int(not done), **result})
        return
    if done:
        print(f"already there: {run.path}")
    print(
        f"{run.name}: {result['steps']} steps on {result['examples']} blocks in {result['seconds']:.0f} s, "
        f"loss on held-out text {-result['dev']:.3f} at step {result['dev_step']}, "
        f"{result['trained_parameters']:,} parameters trained"
    )
