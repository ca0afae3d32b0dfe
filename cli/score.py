"""`adaptrans score`: a folder of predictions by the rules of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options

if TYPE_CHECKING:
    from adaptrans.evaluation.scoring import Scores

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
    from dataclasses import asdict

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
        options.print_json(asdict(found))
    else:
        _print(found)


def _print(found: Scores) -> None:
    from rich.table import Table
    from rich.text import Text

    from adaptrans_cli.tables import console

    out = console()
    table = Table(title=Text(f"{found.benchmark}: tasks"), title_justify="left")
    for name in ("task", "score", "task score", "means of its parts", "languages"):
        table.add_column(name, justify="right" if name == "task score" else "left")
    for task in found.tasks.values():
        total = len(task.languages) + len(task.missing)
        value = "-" if task.mean is None else f"{task.mean.value:.1f}" + ("" if task.complete else " (part)")
        parts = (
            ""
            if task.mean is None
            else ", ".join(f"{part} {mean:.1f}" for part, mean in task.mean.averages.items())
        )
        marked = task.task + (" *" if task.ours else "")
        table.add_row(marked, task.score, value, parts, f"{len(task.languages)} of {total}")
    out.print(table)
    means = Table(title=Text(f"{found.benchmark}: means"), title_justify="left")
    for name in ("mean", "value", "of"):
        means.add_column(name, justify="right" if name == "value" else "left")
    for name, mean in {**found.groups, "overall": found.overall}.items():
        value = "-" if mean.value is None else f"{mean.value:.1f}"
        lacking = f"; lacks {', '.join(mean.lacking)}" if mean.lacking else ""
        means.add_row(name, value, f"{', '.join(mean.tasks)}{lacking}")
    out.print(means)
    for task in found.tasks.values():
        if task.languages:
            out.print(_by_language(task))
    for note in [*_missing(found), *found.notes]:
        out.print(Text(f"note: {note}"))


def _by_language(task: Any) -> Any:
    from rich.text import Text

    part = next(iter(next(iter(task.languages.values())).values))
    shown = ", ".join(f"{code} {scored.values[part]:.1f}" for code, scored in task.languages.items())
    return Text(f"{task.task}, {part}: {shown}")


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
