"""`adaptrans intermediate`: train an intermediate task."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptrans.hub.store import DEFAULT_STORE
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans_cli import common


def intermediate(
    task: Annotated[str, typer.Argument(help="Task, with training languages if not English: mnli[de,ru].")],
    backbone: common.Backbone = None,
    data: common.Data = None,
    store: common.StoreFolder = DEFAULT_STORE,
    tasks: common.TaskFolders = None,
    method: Annotated[
        str, typer.Option("--method", help="full, or an adapter method: seq_bn, lora, ...")
    ] = DEFAULT_METHOD,
    seed: common.Seed = 1,
    device: common.Device = "auto",
    precision: common.Precision = None,
    learning_rate: common.LearningRate = None,
    epochs: common.Epochs = None,
    max_steps: common.MaxSteps = None,
    batch_size: common.BatchSize = None,
    max_length: common.MaxLength = None,
    limit_train: common.LimitTrain = None,
    set_: common.Settings = None,
    skip_bad_rows: common.SkipBadRows = False,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
) -> None:
    """Train an intermediate task, into the whole model or into an adapter (phase 2)."""
    from adaptrans import api
    from adaptrans.experiments.plan import Plan

    training = common.settings(
        set_,
        precision=precision,
        learning_rate=learning_rate,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        max_length=max_length,
        limit_train=limit_train,
    )
    where = common.workspace(backbone, data, store, tasks, device, skip_bad_rows)
    spec = api.plan_intermediate(task, where=where, method=method, seed=seed, **training)
    finish(Plan((spec,), ()), dry_run, as_json)


def finish(plan: object, dry_run: bool, as_json: bool) -> None:
    """Carry out a training plan, or show it, and report its last run."""
    from adaptrans.experiments import engine
    from adaptrans.experiments.plan import Plan

    assert isinstance(plan, Plan)
    if dry_run:
        common.show_plan(engine.work(plan), as_json)
        return
    computed = engine.execute(plan, common.announce)
    run = plan.training[-1].run
    result = run.result()
    if as_json:
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
