"""`adaptrans run`: a whole experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptrans_cli import common
from adaptrans_cli.config import experiment_file
from adaptrans_cli.options import DataPlace, Printing, grouped
from adaptrans_cli.tree import show_tree

if TYPE_CHECKING:
    from adaptrans.api import Outcome


@grouped
def run(
    experiment: Annotated[str, typer.Argument(help="Experiment file, or the name of a bundled one.")],
    place: DataPlace,
    printing: Printing,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values that win over the file: training.full.epochs=2.")
    ] = None,
    preset: common.Preset = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Several seeds, 1,2,3: tables show the median over them.")
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option("--shots", help="Also few-shot rows: go on training on so many examples per label."),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option("--select", help="source_dev, or target_dev (not zero-shot), or both with a comma."),
    ] = None,
    control: common.Control = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed; wins over the file's.")] = None,
    precision: common.Precision = None,
    limit_train: common.LimitTrain = None,
    limit_eval: common.LimitEval = None,
    set_: common.Settings = None,
    jobs: common.Jobs = 1,
    report: Annotated[Path | None, typer.Option("--report", help="Also write a page of it here.")] = None,
) -> None:
    """Train and evaluate every setup of an experiment and compare them; what is done is not done again."""
    from adaptrans import api
    from adaptrans.experiments import engine
    from adaptrans.experiments.config import load_experiment

    named = [("preset", preset), ("seeds", seeds), ("shots", shots), ("select", select)]
    given = [f"{name}=[{text}]" if name != "preset" else f"{name}={text}" for name, text in named if text]
    found = load_experiment(experiment_file(experiment), [*(overrides or ()), *given])
    where = place.workspace(found.backbone or next(iter(found.backbones), None))
    options = {
        "training": common.settings(set_, precision=precision, limit_train=limit_train),
        "evaluation": {"precision": precision, "limit": limit_eval},
        "seed": seed,
        "control": control,
    }
    if printing.dry_run:
        planned = api.plan_run(found, where=where, **options)
        items = engine.work(planned)
        if printing.as_json:
            common.show_plan(items, as_json=True)
        else:
            show_tree(found.name, items, planned.left_out)
        return
    outcome = api.run(found, where=where, announce=common.announce, jobs=jobs, **options)
    page = None
    if report is not None:
        page = api.report(outcome.tables, out=report, store=place.store, experiment=found)
    show(outcome, where.backbone.name, place.store, printing.as_json, page)


def show(outcome: Outcome, backbone: str, store: Path, as_json: bool, page: Path | None = None) -> None:
    """Print a finished experiment: by language, then all targets side by side."""
    from dataclasses import asdict

    from adaptrans_cli import tables

    found = outcome.experiment
    if as_json:
        common.print_json(
            {
                "experiment": found.name,
                "computed": outcome.computed,
                "tables": [asdict(t) for t in outcome.tables],
                "unscored": outcome.unscored,
                "left_out": outcome.left_out,
                "report": str(page) if page else None,
            }
        )
        return
    tables.languages(outcome.tables)
    for name in outcome.unscored:
        print(f"{name}: no language has gold labels in every setup; the predictions are in the store")
    for line in outcome.left_out:
        print(f"note: {line}")
    tables.overview(outcome.tables, found.setups, found.baseline, backbone)
    common.say(f"{outcome.computed} runs computed; all runs: {store}")
    if page is not None:
        print(f"page: {page}")
