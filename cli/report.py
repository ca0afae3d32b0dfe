"""`adaptrans report`: one page of an experiment or of a whole store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans.hub.store import DEFAULT_STORE
from adaptrans_cli import common


def report(
    experiment: Annotated[
        Path | None, typer.Argument(help="Experiment file or store; by default all of --store.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values that win over the file, as for run: seeds=[1,2,3].")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    backbone: common.Backbone = None,
    data: common.Data = None,
    store: common.StoreFolder = DEFAULT_STORE,
    tasks: common.TaskFolders = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Setup that differences are taken to; full, if it is there."),
    ] = None,
) -> None:
    """Write one self-contained HTML page: tables, plots, notes, environment, commands. Computes nothing."""
    from adaptrans import api

    if experiment is None or experiment.is_dir():
        place = experiment or store
        tables = api.compare(place, baseline=baseline)
        page = api.report(tables, out=out, store=place, baseline=baseline or "full")
    else:
        from adaptrans.experiments.config import load_experiment

        found = load_experiment(experiment, overrides or ())
        first = found.backbone or next(iter(found.backbones), None)
        where = common.workspace(backbone or first, data, store, tasks, "auto")
        page = api.report(api.finished(found, where=where).tables, out=out, store=store, experiment=found)
    print(f"page: {page}")
