"""`adaptrans target`: train a target task under a setup."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptrans.hub.store import DEFAULT_STORE
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans_cli import common
from adaptrans_cli.intermediate import finish


def target(
    task: Annotated[str, typer.Argument(help="Target task, such as xnli.")],
    setup: common.SetupText = "full",
    backbone: common.Backbone = None,
    data: common.Data = None,
    store: common.StoreFolder = DEFAULT_STORE,
    tasks: common.TaskFolders = None,
    method: common.Method = DEFAULT_METHOD,
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
    """Train a target task on English under a setup, and first what the setup needs (phase 3)."""
    from adaptrans import api

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
    plan = api.plan_target(
        task, where=where, setup=setup, method=method, seed=seed, tell=common.say, **training
    )
    finish(plan, dry_run, as_json)
