"""`adaptrans run`: a whole experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options as common
from adaptrans_cli.options import DataPlace, Printing, grouped
from adaptrans_cli.tree import show_plan

if TYPE_CHECKING:
    from adaptrans.api import Outcome
    from adaptrans.experiments.config import Experiment
    from adaptrans.experiments.execution.base import Carried, Execution
    from adaptrans.runs.workspace import Workspace


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
    seed: common.OwnSeed = None,
    precision: common.Precision = None,
    limit_train: common.LimitTrain = None,
    limit_eval: common.LimitEval = None,
    set_: common.Settings = None,
    jobs: common.Jobs = None,
    engine: common.Engine = "local",
    address: common.Address = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write a page of it here.")] = None,
) -> None:
    """Train and evaluate every setup of an experiment and compare them; what is done is not done again."""
    from adaptrans.experiments.config import experiment_file, load_experiment
    from adaptrans.experiments.execution.base import Execution

    named = [("preset", preset), ("seeds", seeds), ("shots", shots), ("select", select)]
    given = [f"{name}=[{text}]" if name != "preset" else f"{name}={text}" for name, text in named if text]
    found = load_experiment(experiment_file(experiment), [*(overrides or ()), *given])
    found = found.on(place.backbone)
    where = place.workspace(found.first_backbone, shown=printing.dry_run)
    options = {
        "training": common.settings(set_, precision=precision, limit_train=limit_train),
        "evaluation": {"precision": precision, "limit": limit_eval},
        "seed": seed,
        "control": control,
    }
    if printing.dry_run:
        from adaptrans.experiments.commands import plan_run

        planned = plan_run(found, where=where, **options)
        show_plan(found.name, planned, printing.as_json)
        return
    execution = Execution(engine, jobs, address, place.device)
    carry_out(found, where, execution, printing.as_json, report, **options)


def carry_out(
    found: Experiment,
    where: Workspace,
    execution: Execution,
    as_json: bool,
    report: Path | None,
    **options: Any,
) -> None:
    """Carry out an experiment in sight of the user, and print what came of it.

    Raises:
        FailedRunsError: If a run failed; what there is has been printed.
    """
    from adaptrans import api
    from adaptrans.errors import FailedRunsError
    from adaptrans.experiments.execution.display import experiment_view

    failure = None
    try:
        with experiment_view() as watch:
            outcome = api.run(found, where=where, execution=execution, watch=watch, **options)
    except FailedRunsError as error:
        outcome, failure = error.outcome, error
    page, store = None, where.store.root
    if report is not None and outcome.tables:
        page = api.report(outcome.tables, out=report, store=store, experiment=found)
    show(outcome, where.backbone.name, store, as_json, page)
    if failure is not None:
        raise failure


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
                **failures(outcome.carried),
            }
        )
        return
    tables.languages(outcome.tables)
    for name in outcome.unscored:
        print(f"{name}: no language has gold labels in every setup; the predictions are in the store")
    for line in outcome.left_out:
        print(f"note: {line}")
    if outcome.tables:
        tables.overview(outcome.tables, found.setups, found.baseline, backbone)
    failed = failures(outcome.carried)
    if outcome.carried.failed:
        rows = [[one["what"], one["error"], one["log"]] for one in failed["failed"]]
        tables.listing("failed", ["run", "error", "log"], rows)
    for one in failed["waiting"]:
        print(f"not begun: {one['what']}, because of {', '.join(one['because'])}")
    common.say(f"{outcome.computed} runs computed; all runs: {store}")
    if page is not None:
        print(f"page: {page}")


def failures(carried: Carried) -> dict[str, list[dict[str, Any]]]:
    """Runs that failed and runs that were not begun because of them, for JSON and for tables."""
    failed = [
        {
            "run": one.item.run.name,
            "what": one.item.what,
            "error": one.failure.line,
            "expected": one.failure.expected,
            "log": str(one.item.run.error_log),
        }
        for one in carried.failed
    ]
    waiting = [
        {"run": one.item.run.name, "what": one.item.what, "because": [item.run.name for item in one.because]}
        for one in carried.waiting
    ]
    return {"failed": failed, "waiting": waiting}


DEFAULT_OUT = Path("adaptrans-quickstart")


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder of the page.")] = DEFAULT_OUT,
    control: common.Control = None,
    store: common.StoreFolder = common.DEFAULT_STORE,
    seed: common.OwnSeed = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Runs at a time; by default two, if there are cores.")
    ] = None,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
) -> None:
    """Compare six setups on the bundled encoder and sample suite, offline; ends with tables and a page."""
    from adaptrans.experiments.commands import plan_run
    from adaptrans.experiments.config import bundled, load_experiment
    from adaptrans.experiments.execution.base import Execution, cores
    from adaptrans.experiments.plan import work

    found = load_experiment(bundled()["quickstart"])
    where = common.workspace("mini", Path("samples"), store, None, "auto")
    options = {"seed": seed, "control": control}
    if dry_run:
        common.show_plan(work(plan_run(found, where=where, **options)), as_json)
        return
    at_once = jobs or min(2, cores())
    carry_out(found, where, Execution(jobs=at_once), as_json, out / "report.html", **options)
