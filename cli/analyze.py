"""`adaptrans analyze`: what scores say about the factors of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptrans_cli import options

if TYPE_CHECKING:
    from adaptrans.analysis.study.page import StudyPage


def analyze(
    study: Annotated[
        str, typer.Argument(help="File of a study or an experiment with analyses, or a bundled one's name.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values that win over an experiment's file: seeds=[1,2,3].")
    ] = None,
    backbone: options.Backbone = None,
    data: options.Data = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    tasks: options.TaskFolders = None,
    report: Annotated[Path | None, typer.Option("--report", help="Also write a page of it here.")] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder for each figure as PNG and SVG, each table as CSV and LaTeX."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Analyze a table of scores, or what the store has of an experiment: slopes, correlations, models."""
    from adaptrans import api
    from adaptrans.utils.progress import progress

    with progress("analyzing", 1) as meter:

        def advance(what: str) -> None:
            meter.to(0, what)

        page = api.analyze(
            study,
            overrides=overrides or (),
            backbone=backbone,
            data=data,
            store=store,
            tasks=tasks or (),
            advance=advance,
        )
        meter.advance()
    out = api.report_study(page, out=report, figures=figures) if report is not None or figures else None
    if as_json:
        options.print_json({**_plain(page), "report": str(out) if out else None})
        return
    _print(page)
    if out is not None:
        print(f"page: {out}")
    if figures is not None:
        print(f"figures: {figures}")


def _plain(page: StudyPage) -> dict[str, object]:
    from dataclasses import asdict

    found = asdict(page)
    for part, own in zip(page.parts, found["parts"], strict=True):
        for finding, values in zip(part.findings, own["findings"], strict=True):
            values |= {"significant": finding.significant, "sentence": finding.sentence}
    return found


def _print(page: StudyPage) -> None:
    from rich.text import Text

    from adaptrans_cli.tables import console, grid, notes

    out = console()
    counts = ", ".join(f"{count:,} {name}" for name, count in page.counts.items())
    out.print(Text(f"{page.name}: {counts}", "bold"))
    columns = ("", "effect", "value", "95 % interval", "standard error", "p, Holm", "n")
    for part in page.parts:
        rows = []
        for found in part.findings:
            rows.append(
                [
                    found.group or "all",
                    found.effect,
                    f"{found.value:+.2f}{'*' if found.significant else ''}",
                    f"{found.low:+.2f} to {found.high:+.2f}",
                    f"{found.se:.2f}",
                    found.shown_p,
                    found.numbers,
                ]
            )
        if rows:
            out.print(grid(columns, rows, title=part.title, numbers=columns[2:6]))
        for series in part.series:
            points = zip(series.x, series.y, series.low, series.high, strict=True)
            cells = [[f"{x:.4g}", f"{y:.1f}", f"{low:.1f} to {high:.1f}"] for x, y, low, high in points]
            head = (part.axis, "score", "95 % band")
            out.print(grid(head, cells, title=f"{part.title}: {series.name}", numbers=head[1:]))
        notes(part.notes, out)
    out.print("* p < 0.05 after Holm's correction over all tests shown; intervals are not corrected")
    for sentence in page.sentences:
        out.print(Text(f"{sentence}."), soft_wrap=True)
    notes(page.notes, out)
