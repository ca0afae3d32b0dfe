"""`adaptrans target`: train a target task under a setup."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptrans_cli import common
from adaptrans_cli.intermediate import finish
from adaptrans_cli.options import DataPlace, Printing, TaskTraining, grouped


@grouped
def target(
    task: Annotated[str, typer.Argument(help="Target task, such as xnli.")],
    place: DataPlace,
    training: TaskTraining,
    printing: Printing,
    setup: common.SetupText = "full",
    method: common.MethodOrPreset = None,
) -> None:
    """Train a target task on English under a setup, and first what the setup needs (phase 3)."""
    from adaptrans import api

    plan = api.plan_target(
        task,
        where=place.workspace(),
        setup=setup,
        method=method,
        seed=training.seed,
        preset=training.preset,
        tell=common.say,
        **training.given(),
    )
    finish(plan, printing)
