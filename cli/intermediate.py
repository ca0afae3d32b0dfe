"""`adaptrans intermediate`: train an intermediate task."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptrans_cli import common
from adaptrans_cli.options import DataPlace, Printing, TaskTraining, grouped


@grouped
def intermediate(
    task: Annotated[str, typer.Argument(help="Task, with training languages if not English: mnli\\[de,ru].")],
    place: DataPlace,
    training: TaskTraining,
    printing: Printing,
    method: Annotated[
        str | None,
        typer.Option("--method", help="full, or an adapter method; by default the preset's, or seq_bn."),
    ] = None,
) -> None:
    """Train an intermediate task, into the whole model or into an adapter (phase 2)."""
    from adaptrans import api
    from adaptrans.experiments.plan import Plan

    spec = api.plan_intermediate(
        task,
        where=place.workspace(),
        method=method,
        seed=training.seed,
        preset=training.preset,
        **training.given(),
    )
    finish(Plan((spec,), ()), printing)


def finish(plan: object, printing: Printing) -> None:
    """Carry out a training plan, or show it, and report its last run."""
    from adaptrans.experiments import engine
    from adaptrans.experiments.plan import Plan

    assert isinstance(plan, Plan)
    if printing.dry_run:
        common.show_plan(engine.work(plan), printing.as_json)
        return
    computed = engine.execute(plan, common.announce)
    run = plan.training[-1].run
    result = run.result()
    if printing.as_json:
        common.print_json({"run": run.name, "folder": str(run.path), "computed": computed, **result})
        return
    if not computed:
        print(f"already there: {run.path}")
    dev = "no dev set" if result["dev"] is None else f"dev {result['dev']:.1f} at step {result['dev_step']}"
    print(
        f"{run.name}: {result['steps']} steps on {result['examples']} examples in {result['seconds']:.0f} s, "
        f"{dev}, {result['trained_parameters']:,} parameters trained"
    )
    for note in result["notes"]:
        print(f"note: {note}")
