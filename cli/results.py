"""`adaptrans compare`, `report`, `inspect`, `score`: what finished runs and files of predictions say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptrans_cli import completion, options

if TYPE_CHECKING:
    from adaptrans.evaluation.fusion_attention import AttentionRecord
    from adaptrans.evaluation.scoring import Scores
    from adaptrans.runs.store import Run, Store

Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        help="Setup that differences are taken to; full, if it is there.",
        autocompletion=completion.setup,
    ),
]


def compare(
    target: Annotated[
        str | None, typer.Argument(help="Only this target.", autocompletion=completion.task)
    ] = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    baseline: Baseline = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Means over groups of languages: family, or resource (class 0 to 5)."),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", help="Means of groups and of all tasks: xtreme, xtreme-r.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write all scores as one long table, .csv or .parquet.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Say why published scores are not shown, where they are not.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Compare all evaluated setups of a store: intervals, and paired differences to the baseline."""
    from adaptrans import api
    from adaptrans_cli import tables

    if export is not None:
        print(f"scores: {api.export_results(export, store, target=target)}")
        return
    if by is not None:
        groups = api.compare_by(by, store, target=target, baseline=baseline)
        if as_json:
            options.print_json(groups)
        else:
            tables.by_group(groups, by, baseline or "full")
        return
    found = api.compare(store, target=target, baseline=baseline)
    if benchmark is not None:
        means = api.benchmark_means(benchmark, found, store)
        if as_json:
            options.print_json(means)
        else:
            tables.by_benchmark(means, benchmark, baseline or "full", found)
        return
    beside = api.published(found, store)
    if as_json:
        pairs = zip(found, beside, strict=True)
        options.print_json([{**asdict(table), "published": asdict(other)} for table, other in pairs])
        return
    for table, other in zip(found, beside, strict=True):
        tables.by_language(table, baseline or "full", other.lines)
    if published:
        tables.reasons(beside)


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
    baseline: Baseline = None,
) -> None:
    """Write one self-contained HTML page: tables, plots, notes, environment, commands. Computes nothing."""
    from adaptrans import api

    if experiment is None or experiment.is_dir():
        place = experiment or store
        tables = api.compare(place, baseline=baseline)
        page = api.report(tables, out=out, store=place, baseline=baseline, figures=figures)
    else:
        from adaptrans.experiments.config import load_experiment

        own = () if baseline is None else (f"baseline={baseline}",)
        found = load_experiment(experiment, (*(overrides or ()), *own)).on(backbone)
        where = options.TaskPlace(found.first_backbone, store, "auto", data, tasks).workspace()
        tables = list(api.finished(found, where=where).tables)
        page = api.report(tables, out=out, store=store, experiment=found, figures=figures)
    print(f"page: {page}")
    if figures is not None:
        print(f"figures: {figures}")


def inspect(
    run: Annotated[str, typer.Argument(help="Key, or start of a key, of an evaluated run.")],
    store: options.StoreFolder = options.DEFAULT_STORE,
    languages: Annotated[
        str | None, typer.Option("--languages", help="Comma-separated; by default all evaluated ones.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw it: a file that ends in .png, .svg or .pdf.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show how much attention a fusion gives to each of its adapters, by language and by layer."""
    from adaptrans.evaluation.fusion_attention import load_attention
    from adaptrans.runs.store import Store

    found = _evaluation(Store(store), run)
    records = load_attention(found, options.codes(languages))
    if plot is not None:
        from adaptrans.report.charts import draw

        draw(records, found.config()["setup"], plot)
    if as_json:
        options.print_json({"run": found.name, "setup": found.config()["setup"], "languages": records})
        return
    _print_attention(found, records)
    if plot is not None:
        options.say(f"drawn: {plot}")


def _evaluation(store: Store, key: str) -> Run:
    """The evaluation that a key names: its own, or that of the trained run that the key names.

    Raises:
        ArtifactError: If there is none, or more than one.
    """
    from adaptrans.errors import ArtifactError
    from adaptrans.runs.store import RunRef

    # A folder's name may stand for its key.
    run = store.find(RunRef.parse(key).key)
    if run.phase == "evaluate":
        return run
    found = [other for other in store.runs("evaluate") if other.config().get("trained") == run.key]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ArtifactError(
            f"{run.name} was not evaluated yet", remedy=f"run adaptrans evaluate TASK --run {run.key}"
        )
    names = ", ".join(other.name for other in found)
    raise ArtifactError(f"{run.name} was evaluated several times: {names}", remedy="name one of them")


def _print_attention(run: Run, records: Mapping[str, AttentionRecord]) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    from adaptrans.evaluation.fusion_attention import mean_over_languages
    from adaptrans_cli.tables import console, grid

    out = console()
    out.print(Text(f"{run.config()['setup']} on {run.config()['task']}  [{run.name}]", "bold"))
    first = next(iter(records.values()))
    for fusion, adapters in first.adapters.items():
        by_language = [(code, record.means(fusion)) for code, record in records.items()]
        by_layer = [
            (str(row["layer"]) if row["part"] == "output" else f"{row['layer']} {row['part']}", row["shares"])
            for row in mean_over_languages(records, fusion)
        ]
        for title, column, shares in (
            ("share of each adapter, mean over tokens and layers", "language", by_language),
            ("by encoder layer, mean over languages", "layer", by_layer),
        ):
            rows = [[name, *(f"{share:.3f}" for share in row)] for name, row in shares]
            out.print(title)
            out.print(grid([column, *adapters], rows, numbers=adapters, box=SIMPLE))
        out.print(f"{1 / len(adapters):.3f} each would be no preference")


MISSING_SHOWN = 8
"""Languages that a note names; the JSON has all."""


def score(
    predictions: Annotated[
        Path,
        typer.Option("--predictions", help="Folder with one folder per task, test-LANG.tsv or .json in it."),
    ],
    labels: Annotated[Path, typer.Option("--labels", help="Folder of the same form with the labels.")],
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="xtreme, xtreme-r, or a file of one's own.")
    ] = "xtreme",
    tasks: options.TaskFolders = None,
    as_json: options.Json = False,
) -> None:
    """Score prediction files in XTREME's layout: languages, tasks, groups, overall."""
    from adaptrans import benchmarks
    from adaptrans.evaluation.scoring import score_folder
    from adaptrans.utils.progress import progress

    rules = benchmarks.get(benchmark)
    total = sum(len(task.languages) for task in rules.tasks.values())
    with progress(f"scoring by {rules}", total) as meter:
        found = score_folder(
            rules, predictions, labels, lambda what: meter.advance(note=what), folders=tasks or ()
        )
    if as_json:
        options.print_json(found)
    else:
        _print_scores(found)


def _print_scores(found: Scores) -> None:
    from rich.text import Text

    from adaptrans_cli.tables import console, grid, notes

    out = console()
    columns = ("task", "score", "task score", "means of its parts", "languages")
    rows = []
    for task in found.tasks.values():
        value = "-" if task.mean is None else f"{task.mean.value:.1f}" + ("" if task.complete else " (part)")
        means = {} if task.mean is None else task.mean.averages
        parts = ", ".join(f"{part} {mean:.1f}" for part, mean in means.items())
        languages = f"{len(task.languages)} of {len(task.languages) + len(task.missing)}"
        rows.append([task.task + (" *" if task.ours else ""), task.score, value, parts, languages])
    out.print(grid(columns, rows, title=f"{found.benchmark}: tasks", numbers=["task score"]))
    rows = []
    for name, mean in {**found.groups, "overall": found.overall}.items():
        lacking = f"; lacks {', '.join(mean.lacking)}" if mean.lacking else ""
        value = "-" if mean.value is None else f"{mean.value:.1f}"
        rows.append([name, value, f"{', '.join(mean.tasks)}{lacking}"])
    out.print(grid(("mean", "value", "of"), rows, title=f"{found.benchmark}: means", numbers=["value"]))
    for task in found.tasks.values():
        if task.languages:
            part = next(iter(next(iter(task.languages.values())).values))
            shown = ", ".join(f"{code} {one.values[part]:.1f}" for code, one in task.languages.items())
            out.print(Text(f"{task.task}, {part}: {shown}"))
    notes([*_missing(found), *found.notes], out)


def _missing(found: Scores) -> list[str]:
    """One line per task and reason for what is missing."""
    notes = []
    for task in found.tasks.values():
        reasons: dict[str, list[str]] = {}
        for language, reason in task.missing.items():
            reasons.setdefault(reason, []).append(language)
        for reason, languages in reasons.items():
            where = "any language" if len(languages) == len(task.missing) and not task.languages else None
            if where is None:
                more = f" and {len(languages) - MISSING_SHOWN} more" if len(languages) > MISSING_SHOWN else ""
                where = f"{', '.join(languages[:MISSING_SHOWN])}{more}"
            notes.append(f"{task.task}: {reason} in {where}")
    return notes
