"""`adaptrans report`: one page of an experiment or of a whole store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import options


def report(
    experiment: Annotated[
        Path | None, typer.Argument(help="Experiment file or store; by default all of --store.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values that win over the file, as for run: seeds=[1,2,3].")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    backbone: options.Backbone = None,
    data: options.Data = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    tasks: options.TaskFolders = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder for each figure as PNG and SVG, each table as CSV and LaTeX."),
    ] = None,
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
        page = api.report(tables, out=out, store=place, baseline=baseline or "full", figures=figures)
    else:
        from adaptrans.experiments.config import load_experiment

        found = load_experiment(experiment, overrides or ())
        found = found.on(backbone)
        where = options.workspace(found.first_backbone, data, store, tasks, "auto")
        tables = list(api.finished(found, where=where).tables)
        page = api.report(tables, out=out, store=store, experiment=found, figures=figures)
    print(f"page: {page}")
    if figures is not None:
        print(f"figures: {figures}")
