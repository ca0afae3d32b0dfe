"""`adaptrans language`, `intermediate`, `target`: train one run, and what it is built on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptrans_cli import completion, options
from adaptrans_cli.options import DataPlace, ParamSource, Printing, TaskTraining, Training, grouped

if TYPE_CHECKING:
    from adaptrans.experiments.plan import Plan


@grouped
def language(
    code: Annotated[
        str, typer.Argument(help="Code of the language, such as sw.", autocompletion=completion.language)
    ],
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
    from adaptrans.experiments.plan import Plan

    where = place.workspace()
    spec = plan_language(code, text=text, where=where, method=method, seed=training.seed, **training.given())
    finish(Plan((spec,), ()), Printing(as_json=as_json))


@grouped
def intermediate(
    task: Annotated[
        str,
        typer.Argument(
            help="Task, with training languages if not English: mnli\\[de,ru].",
            autocompletion=completion.task,
        ),
    ],
    place: DataPlace,
    training: TaskTraining,
    printing: Printing,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="full, or an adapter method; by default the preset's, or seq_bn.",
            autocompletion=completion.method,
        ),
    ] = None,
) -> None:
    """Train an intermediate task, into the whole model or into an adapter (phase 2)."""
    from adaptrans.experiments.commands import plan_intermediate
    from adaptrans.experiments.plan import Plan

    given = {"seed": training.seed, "preset": training.preset, **training.given()}
    finish(Plan((plan_intermediate(task, where=place.workspace(), method=method, **given),), ()), printing)


@grouped
def target(
    task: Annotated[
        str,
        typer.Argument(
            help="Target task, such as xnli, or xnli\\[cloze:en].", autocompletion=completion.task
        ),
    ],
    place: DataPlace,
    training: TaskTraining,
    printing: Printing,
    setup: options.SetupText = "full",
    method: options.MethodOrPreset = None,
) -> None:
    """Train a target task on English under a setup, and first what the setup needs (phase 3)."""
    from adaptrans.experiments.commands import plan_target

    given = {"seed": training.seed, "preset": training.preset, **training.given()}
    where = place.workspace()
    plan = plan_target(task, where=where, setup=setup, method=method, tell=options.say, **given)
    finish(plan, printing)


def finish(plan: Plan, printing: Printing) -> None:
    """Carry out a training plan, or show it, and report its last run."""
    from adaptrans.experiments.execution.base import execute
    from adaptrans.experiments.plan import jobs_of

    if printing.dry_run:
        options.show_plan(jobs_of(plan), printing.as_json)
        return
    computed = execute(plan, options.announce)
    run = plan.training[-1].run
    result = run.result()
    if printing.as_json:
        options.print_json({"run": run.name, "folder": str(run.path), "computed": computed, **result})
        return
    if not computed:
        print(f"already there: {run.path}")
    examples, dev, at = "examples", result["dev"], f"at step {result['dev_step']}"
    if dev is None:
        score = "no dev set"
    elif run.phase == "language":
        examples, score = "blocks", f"loss on held-out text {-dev:.3f} {at}"
    else:
        score = f"dev {dev:.1f} {at}"
    print(
        f"{run.name}: {result['steps']} steps on {result['examples']} {examples} in "
        f"{result['seconds']:.0f} s, {score}, {result['trained_parameters']:,} parameters trained"
    )
    for note in result["notes"]:
        print(f"note: {note}")
