"""From content to one HTML file without scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptrans.analysis.comparison import TargetTable
from adaptrans.experiments.config import Experiment
from adaptrans.report.charts import color_of, inline, write_figures
from adaptrans.report.content import Content, content
from adaptrans.report.tables import cost_sheet, curve_sheet, language_sheet, panels
from adaptrans.runs.store import Store
from adaptrans.stats.intervals import SIGNIFICANT
from adaptrans.utils.io import atomic_write
from adaptrans.utils.progress import duration, size

FOLDER = Path(__file__).parent


def write_page(
    tables: Sequence[TargetTable],
    store: Store,
    out: Path,
    experiment: Experiment | None = None,
    baseline: str = "full",
    figures: Path | None = None,
) -> Path:
    """Write the page of some tables.

    Args:
        tables: The tables.
        store: The runs behind them.
        out: The page.
        experiment: What they belong to, if it is one experiment.
        baseline: The setup that differences are taken to, where there is no experiment to say it.
        figures: Folder for its figures and tables as files of their own.
    """
    found = content(tables, store, experiment, baseline)
    text = render(found)
    if figures is not None:
        write_figures(found, figures)
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def render(page: Content) -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    rows = page.rows
    heat = _heat({setup: [row and row.difference for row in found] for setup, found in rows.items()})
    control = _heat({setup: [row and row.above_control for row in found] for setup, found in rows.items()})
    return environment.get_template("page.html.j2").render(
        page=page,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        significant=SIGNIFICANT,
        color=lambda setup: f"s{color_of(setup, page.setups)}",
        duration=duration,
        size=size,
        rows=rows,
        # The chance level of a target is the same for every setup that was scored on the same data.
        chances=[table.rows[0].chance(table.scored) for table in page.tables],
        heat=heat,
        control=control,
        bars=[(table, Markup(_bars(table, page))) for table in page.tables],
        curves=[
            (task, phase, Markup(_curves(phase, task, found, page)), found)
            for phase, task, found in panels([curve for curve in page.curves if curve.loss])
        ],
        costs=[(table, charts) for table in page.tables if (charts := [*map(Markup, _costs(table, page))])],
        sections=_sections(page, bool(heat["setups"])),
    )


def _sections(page: Content, differences: bool) -> list[tuple[str, str]]:
    """Ids and names of the sections that the page has."""
    every = [
        ("means", "Means", True),
        ("benchmarks", "Benchmarks", page.benchmarks),
        ("differences", "Differences", differences),
        ("control", "Above the shuffled-weights baseline", page.has_control),
        ("languages", "By language", True),
        ("curves", "Learning curves", any(curve.loss for curve in page.curves)),
        ("cost", "Cost", page.costs),
        ("fusion", "Fusion", page.fusions),
        ("notes", "Notes", True),
        ("repeat", "To repeat it", True),
    ]
    return [(name, title) for name, title, there in every if there]


def _heat(cells: dict[str, list[Any]]) -> dict[str, Any]:
    """Rows of a heat map that have a value, and the value of its strongest color."""
    shown = {setup: found for setup, found in cells.items() if any(found)}
    sizes = sorted(abs(cell.value) for found in shown.values() for cell in found if cell)
    # One extreme cell must not make all others pale.
    scale = sizes[math.floor(0.9 * (len(sizes) - 1))] if sizes else 1.0
    return {"setups": list(shown), "cells": shown, "scale": max(scale, 1.0)}


def _bars(table: TargetTable, page: Content) -> str:
    label = f"{table.target} by language: a bar for the score of each setup, with its interval"
    return inline(language_sheet(table, page), page.setups, label)


def _curves(phase: str, task: str, curves: Sequence[Any], page: Content) -> str:
    sheet = curve_sheet(phase, task, curves)
    loss = tuple(row for row in sheet.rows if row[2] == "loss")
    return inline(replace(sheet, rows=loss), page.setups, f"Loss of {task} by step")


def _costs(table: TargetTable, page: Content) -> Iterator[str]:
    """Weights, time and, where all runs measured it, memory against the score on a target."""
    sheet = cost_sheet(page)
    own = [row for row in sheet.rows if row[1] == table.target]
    for place, name in ((3, "weights"), (4, "time"), (5, "memory")):
        if own and all(row[place] is not None for row in own):
            alone = tuple((*row[:3], *(row[at] if at == place else None for at in (3, 4, 5))) for row in own)
            label = f"{name} against score on {table.target}"
            yield inline(replace(sheet, rows=alone), page.setups, label)
