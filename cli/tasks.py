"""`adaptrans tasks`: what can be learned and measured, and whether its data are whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import common, own_tasks

if TYPE_CHECKING:
    from adaptrans.tasks.check import SplitCheck
    from adaptrans.tasks.schema import Task

app = typer.Typer(name="tasks", help="Tasks: list, show, check, preview, begin one.", no_args_is_help=True)
app.command("new")(own_tasks.new)
app.command("preview")(own_tasks.preview)


def _places(data: Path | None, tasks: Sequence[Path] | None) -> tuple[Path | None, tuple[Path, ...]]:
    """The data folder, if one is given, and the folders of task files.

    Raises:
        ConfigError: If the data folder is none.
    """
    from adaptrans.errors import ConfigError
    from adaptrans.runs.workspace import data_places

    folder, folders = data_places(data, tasks or ())
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", remedy="add --data DIR or set ADAPTRANS_DATA")
    return folder, folders


@app.command("list")
def list_tasks(
    data: common.Data = None, tasks: common.TaskFolders = None, as_json: common.Json = False
) -> None:
    """List all tasks, and with --data in how many languages each split is at hand."""
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.sources import available_languages

    data, folders = _places(data, tasks)
    rows = []
    for name in catalogue.names(folders):
        task = catalogue.get(name, folders)
        found = {split: len(available_languages(task, split, data)) for split in task.splits}
        available = found if data else None
        rows.append((task, available))
    if as_json:
        common.print_json([_summary(task, available) for task, available in rows])
        return
    columns = ["task", "kind", "roles", "languages", "scores", *(["at hand (languages)"] if data else [])]
    cells = [
        [
            str(task),
            task.kind,
            ", ".join(task.roles),
            str(len(task.languages)),
            ", ".join(task.scores),
            *([_at_hand(available)] if available is not None else []),
        ]
        for task, available in rows
    ]
    _print_table(columns, cells)


@app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(help="Name of the task.")],
    data: common.Data = None,
    tasks: common.TaskFolders = None,
    as_json: common.Json = False,
) -> None:
    """Show everything a task file says, and with --data what is at hand."""
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.sources import available_languages

    data, folders = _places(data, tasks)
    task = catalogue.get(name, folders)
    available = {split: available_languages(task, split, data) for split in task.splits} if data else None
    if as_json:
        shown = task.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        common.print_json({**shown, "available": available})
        return
    facts = [
        ("title", task.title),
        ("kind", task.kind),
        ("roles", ", ".join(task.roles)),
        ("languages", f"{len(task.languages)}: {' '.join(task.languages)}"),
        ("labels", _labels(task)),
        ("scores", ", ".join(task.scores)),
        ("parallel", "yes" if task.parallel else "no"),
        ("max_length", str(task.max_length)),
        ("licence", task.licence),
        ("homepage", task.homepage),
        ("citation", task.citation),
        ("note", task.note or "-"),
    ]
    _print_table([str(task), ""], [list(fact) for fact in facts])
    _print_table(
        ["split", "from", "published", "at hand", "note"],
        [_split_row(task, split, available[split] if available else None) for split in task.splits],
    )


@app.command("check")
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Names of tasks.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every task.")] = False,
    data: common.Data = None,
    tasks: common.TaskFolders = None,
    backbone: common.Backbone = None,
    skip_bad_rows: common.SkipBadRows = False,
    as_json: common.Json = False,
) -> None:
    """Read every split at hand, row by row, and compare it with FILES.tsv and the published sizes."""
    from adaptrans import mini
    from adaptrans.errors import ConfigError
    from adaptrans.models.backbone import check_length
    from adaptrans.models.outline import outlined
    from adaptrans.progress import progress
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.check import check_tasks, steps

    if bool(names) == every:
        raise ConfigError("give the names of tasks, or --all", remedy="adaptrans tasks list shows the names")
    data, folders = _places(data, tasks)
    chosen = [catalogue.get(name, folders) for name in names or catalogue.names(folders)]
    if data is None:
        raise ConfigError("no data folder given", remedy="add --data DIR or set ADAPTRANS_DATA")
    if backbone is not None:
        encoder = outlined(backbone)
        for task in chosen:
            check_length(encoder, task.max_length, task.name)
    longest = mini.LONGEST if backbone is None else encoder.longest
    with progress("checking", steps(chosen)) as meter:
        results = check_tasks(
            chosen,
            data,
            skip_bad_rows=skip_bad_rows,
            longest=longest,
            advance=lambda note: meter.advance(1, note),
        )
    if as_json:
        from dataclasses import asdict

        common.print_json([asdict(result) for result in results])
        return
    _print_checks(results)


def _print_checks(results: list[SplitCheck]) -> None:
    """One table row per split, then the notes, then what is absent and how to get it."""
    groups: dict[tuple[str, str], list[SplitCheck]] = {}
    for result in results:
        groups.setdefault((result.task, result.split), []).append(result)
    cells = []
    for (task, split), members in groups.items():
        read = [member for member in members if member.examples is not None]
        absent = [member.language for member in members if member.examples is None]
        cells.append(
            [
                task,
                split,
                f"{len(read)} of {len(members)}",
                f"{sum(member.examples or 0 for member in read):,}",
                str(sum(member.verified for member in read)),
                " ".join(absent) or "-",
            ]
        )
    _print_table(["task", "split", "languages", "examples", "files verified", "absent"], cells)
    noted: dict[tuple[str, str], dict[str, list[str]]] = {}
    for result in results:
        for note in result.notes:
            splits = noted.setdefault((result.task, note), {})
            splits.setdefault(result.split, []).append(result.language)
    for (task, note), splits in noted.items():
        where = ", ".join(f"{split} [{' '.join(languages)}]" for split, languages in splits.items())
        typer.echo(f"note: {task} {where}: {note}")
    for members in groups.values():
        lacking = [member for member in members if member.examples is None]
        if lacking:
            more = f"; the same for {len(lacking) - 1} more languages" if len(lacking) > 1 else ""
            typer.echo(f"absent: {lacking[0].remedy}{more}")


def _summary(task: Task, available: dict[str, int] | None) -> dict[str, Any]:
    keep = ("name", "version", "title", "kind", "roles", "languages", "scores", "licence")
    facts = task.model_dump(mode="json", include=set(keep))
    return {**facts, "splits": list(task.splits), "available": available}


def _at_hand(available: dict[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in available.items() if count) or "-"


def _labels(task: Task) -> str:
    rule = task.labels_from
    if rule is None:
        return " ".join(task.labels) or "-"
    return f"those that stand {rule.at_least} times or more in {rule.split}"


def _split_row(task: Task, name: str, available: list[str] | None) -> list[str]:
    split = task.split(name)
    if split.compose:
        origin = " + ".join(split.compose)
    elif split.holdout:
        origin = f"{split.holdout.share:g} of {split.holdout.of}"
    else:
        origin = "\n".join(
            [
                *(" + ".join(source.path) for source in split.files),
                *(f"hub {hub.repo}{'' if hub.tried else ', not tried'}" for hub in task.hub_sources(name)),
            ]
        )
    counts = split.counts
    if isinstance(counts, dict):
        published = ", ".join(f"{language} {count:,}" for language, count in counts.items())
    else:
        published = "-" if counts is None else f"{counts:,}"
    return [name, origin, published, "?" if available is None else " ".join(available) or "-", split.note]


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from adaptrans_cli.tables import console

    table = Table(*columns, box=SIMPLE)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)
