"""`adaptrans intermediate`: train an intermediate task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import options
from adaptrans_cli.options import DataPlace, ParamSource, Printing, TaskTraining, Training, grouped


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
    from adaptrans.experiments.commands import plan_intermediate
    from adaptrans.experiments.plan import Plan

    spec = plan_intermediate(
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
    from adaptrans.experiments.execution import base
    from adaptrans.experiments.plan import Plan, jobs_of

    assert isinstance(plan, Plan)
    if printing.dry_run:
        options.show_plan(jobs_of(plan), printing.as_json)
        return
    computed = base.execute(plan, options.announce)
    run = plan.training[-1].run
    result = run.result()
    if printing.as_json:
        options.print_json({"run": run.name, "folder": str(run.path), "computed": computed, **result})
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


@grouped
def target(
    task: Annotated[str, typer.Argument(help="Target task, such as xnli.")],
    place: DataPlace,
    training: TaskTraining,
    printing: Printing,
    setup: options.SetupText = "full",
    method: options.MethodOrPreset = None,
) -> None:
    """Train a target task on English under a setup, and first what the setup needs (phase 3)."""
    from adaptrans.experiments.commands import plan_target

    plan = plan_target(
        task,
        where=place.workspace(),
        setup=setup,
        method=method,
        seed=training.seed,
        preset=training.preset,
        tell=options.say,
        **training.given(),
    )
    finish(plan, printing)


@grouped
def language(
    code: Annotated[str, typer.Argument(help="Code of the language, such as sw.")],
    text: Annotated[
        Path, typer.Option("--text", help="Text file, or folder with CODE.txt or CODE/*.txt; .gz too.")
    ],
    place: ParamSource,
    training: Training,
    method: Annotated[
        str | None, typer.Option("--method", help="By default seq_bn_inv with reduction factor 2 (MAD-X).")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a language adapter, which setups with {lang} use and swap at test time (phase 1)."""
    from adaptrans.experiments.commands import plan_language
    from adaptrans.experiments.execution import base
    from adaptrans.experiments.plan import Plan

    where = place.workspace()
    spec = plan_language(code, text=text, where=where, method=method, seed=training.seed, **training.given())
    computed = base.execute(Plan((spec,), ()))
    run = spec.run
    result = run.result()
    if as_json:
        options.print_json({"run": run.name, "folder": str(run.path), "computed": computed, **result})
        return
    if not computed:
        print(f"already there: {run.path}")
    print(
        f"{run.name}: {result['steps']} steps on {result['examples']} blocks in {result['seconds']:.0f} s, "
        f"loss on held-out text {-result['dev']:.3f} at step {result['dev_step']}, "
        f"{result['trained_parameters']:,} parameters trained"
    )
