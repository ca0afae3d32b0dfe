"""`adaptrans run`: a whole experiment."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans.utils.progress import duration, size
from adaptrans_cli import options as common
from adaptrans_cli.options import DataPlace, Printing, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.tree import Tree

    from adaptrans.api import Outcome
    from adaptrans.experiments.config import Experiment
    from adaptrans.experiments.cost_forecast import Forecast, Total
    from adaptrans.experiments.execution.base import Carried, Execution
    from adaptrans.experiments.plan import Job, Plan
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
    hours: Annotated[
        float | None,
        typer.Option("--hours", min=0, help="Of an experiment with vary: the balanced part that fits."),
    ] = None,
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
        "hours": hours,
    }
    if printing.dry_run:
        from adaptrans.experiments.commands import plan_run

        planned = plan_run(found, where=where, **options)
        _show_tree(found.name, planned, printing.as_json)
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
        with experiment_view() as view:
            outcome = api.run(found, where=where, execution=execution, callback=view, **options)
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
        print(f"{name}: no language has reference labels in every setup; the predictions are in the store")
    for line in outcome.left_out:
        print(f"note: {line}")
    if outcome.tables:
        tables.overview(outcome.tables, found.setups, found.baseline, backbone)
    failed = failures(outcome.carried)
    if failed["failed"]:
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
    from adaptrans.experiments.plan import jobs_of

    found = load_experiment(bundled()["quickstart"])
    where = common.TaskPlace("mini", store, data=Path("samples")).workspace()
    options = {"seed": seed, "control": control}
    if dry_run:
        common.show_plan(jobs_of(plan_run(found, where=where, **options)), as_json)
        return
    at_once = jobs or min(2, cores())
    carry_out(found, where, Execution(jobs=at_once), as_json, out / "report.html", **options)


NO_KEY = "no key yet"


def _show_tree(name: str, plan: Plan, as_json: bool) -> None:
    """Print the runs of an experiment: what exists, what is absent, and what the others will take.

    Args:
        name: Name of the experiment.
        plan: Its runs.
        as_json: As JSON.
    """
    from adaptrans.experiments.cost_forecast import Forecast, forecasts, total
    from adaptrans.experiments.plan import absent, jobs_of, partial_plan, without_key

    items, keyless, lacks = jobs_of(plan), without_key(plan), absent(plan)
    to_do = [item.run.path for item in items if not item.done]
    judged = forecasts(plan) if to_do else {}
    found = {path: judged.get(path, Forecast()) for path in to_do}
    whole = total(found.values())
    if as_json:
        common.print_json(
            {
                "experiment": name,
                "runs": [_row(item, item.run.path in keyless, found) for item in items],
                "total": asdict(whole),
                "absent": lacks,
                "partial": partial_plan(plan),
                "left_out": list(plan.left_out),
            }
        )
        return
    _print_tree(name, items, keyless, found)
    for line in (*plan.left_out, *partial_plan(plan)):
        print(f"note: {line}")
    _show_total(whole)
    if lacks:
        print("not on this machine, to be fetched before or while it is run:")
        print("\n".join(f"  {line}" for line in lacks))
        print(f"{len(keyless)} runs have a key, and show whether they are done, only when that is here")


def _row(item: Job, keyless: bool, found: Mapping[Path, Forecast]) -> dict[str, Any]:
    """A run as JSON has it."""
    known = {"run": None, "folder": None} if keyless else {"run": item.run.name, "folder": str(item.run.path)}
    forecast = None if item.done else asdict(found[item.run.path])
    return {**known, "what": item.what, "done": item.done, "forecast": forecast}


def _print_tree(
    name: str, items: Sequence[Job], keyless: frozenset[Path], found: Mapping[Path, Forecast]
) -> None:
    """Print the tree."""
    from rich.text import Text
    from rich.tree import Tree

    from adaptrans_cli.tables import console

    root = Tree(Text(f"{name}: {len(items)} runs, {len(found)} to compute", "bold"))
    branches: dict[Path, Tree] = {}
    for item in items:
        needs = [path for path in sorted(item.needs) if path in branches]
        others = f" (and {len(needs) - 1} more)" if len(needs) > 1 else ""
        below = branches[needs[-1]] if needs else root
        mark = "done " if item.done else "to do"
        key = NO_KEY if item.run.path in keyless else item.run.key
        label = Text(f"{mark} {item.what}{others} [{key}]", "green" if item.done else "")
        if not item.done:
            label.append(_short(found[item.run.path]), "dim")
        branches[item.run.path] = below.add(label)
    console().print(root)


def _short(forecast: Forecast) -> str:
    """A forecast behind a run; nothing where there is none."""
    parts = [
        *([duration(forecast.seconds)] if forecast.seconds is not None else []),
        *_sizes(forecast.memory, forecast.device_memory),
        *([f"{size(forecast.disk)} on disk"] if forecast.disk is not None else []),
    ]
    return f" ~ {', '.join(parts)}, by {forecast.basis}" if parts else ""


def _show_total(whole: Total) -> None:
    """Print what the runs to compute take together."""
    from adaptrans.experiments.cost_forecast import NO_PAST

    if whole.unknown < whole.runs:
        parts = [
            f"{duration(whole.seconds)} one after another",
            *_sizes(whole.memory, whole.device_memory, "at most "),
            f"{size(whole.disk)} on disk",
        ]
        print(f"forecast for {whole.runs - whole.unknown} of {whole.runs} runs: {', '.join(parts)}")
    if whole.unknown:
        print(f"no forecast of the time of {whole.unknown} runs: {NO_PAST}, or it was not timed")


def _sizes(memory: int | None, device: int | None, before: str = "") -> list[str]:
    """Memory of the process and of the device, as far as they are known."""
    return [
        f"{before}{size(value)} {what}"
        for value, what in ((memory, "memory"), (device, "GPU memory"))
        if value is not None
    ]
