"""From content to one HTML file without scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from adaptrans.analysis.comparison import Row, TargetTable
from adaptrans.experiments.config import Experiment
from adaptrans.report.axes import Axis, line, scores_axis, smooth
from adaptrans.report.charts import write_figures
from adaptrans.report.content import Content, Cost, Curve, content
from adaptrans.runs.store import Store
from adaptrans.stats.intervals import SIGNIFICANT
from adaptrans.utils.format import duration, size, thousands
from adaptrans.utils.io import atomic_write

FOLDER = Path(__file__).parent
COLORS = 8
BAR = 11
"""Pixels from one bar to the next."""


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
    color = partial(_color, page.setups)
    rows = {setup: [_row(table, setup) for table in page.tables] for setup in page.setups}
    differences = {setup: [row and row.difference for row in found] for setup, found in rows.items()}
    controls = {setup: [row and row.above_control for row in found] for setup, found in rows.items()}
    curves = _curves(page.curves, color)
    costs = _costs(page.costs, page.tables, color)
    return environment.get_template("page.html.j2").render(
        page=page,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        significant=SIGNIFICANT,
        color=color,
        duration=duration,
        size=size,
        rows=rows,
        chances=[_chance(table) for table in page.tables],
        heat=_heat(differences),
        control=_heat(controls),
        plots=[_plot(table, color) for table in page.tables],
        curves=curves,
        costs=costs,
        sections=_sections(page, bool(curves), bool(costs), bool(_heat(differences)["setups"])),
    )


def _sections(page: Content, curves: bool, costs: bool, differences: bool) -> list[tuple[str, str]]:
    """Ids and names of the sections that the page has."""
    every = [
        ("means", "Means", True),
        ("benchmarks", "Benchmarks", bool(page.benchmarks)),
        ("differences", "Differences", differences),
        ("control", "Above the shuffled-weights baseline", page.has_control),
        ("languages", "By language", True),
        ("curves", "Learning curves", curves),
        ("cost", "Cost", costs),
        ("fusion", "Fusion", bool(page.fusions)),
        ("notes", "Notes", True),
        ("repeat", "To repeat it", True),
    ]
    return [(name, title) for name, title, there in every if there]


def _color(setups: Sequence[str], setup: str) -> str:
    """Class of a setup's color: its place in the table; others follow."""
    place = setups.index(setup) if setup in setups else len(setups) + len(setup)
    return f"s{place % COLORS}"


def _row(table: TargetTable, setup: str) -> Row | None:
    return next((row for row in table.rows if row.setup == setup), None)


def _chance(table: TargetTable) -> float | None:
    """Mean chance level of a target; the same for every setup that was scored on the same data."""
    return table.rows[0].chance(table.scored)


def _heat(cells: dict[str, list[Any]]) -> dict[str, Any]:
    """Rows of a heat map that have a value, and the value of its strongest color."""
    shown = {setup: found for setup, found in cells.items() if any(found)}
    sizes = sorted(abs(cell.value) for found in shown.values() for cell in found if cell)
    # One extreme cell must not make all others pale.
    scale = sizes[math.floor(0.9 * (len(sizes) - 1))] if sizes else 1.0
    return {"setups": list(shown), "cells": shown, "scale": max(scale, 1.0)}


def _plot(table: TargetTable, color: Any) -> dict[str, Any]:
    """One target by language: groups of bars with intervals, chance and shuffled-weights baseline."""
    results = [row.languages[code] for row in table.rows for code in table.scored]
    axis = scores_axis([value for result in results if (value := result.high) is not None])
    ticks = [(axis.place(tick), f"{tick:g}") for tick in axis.ticks()]
    return {
        "table": table,
        "grid": [place for place, _ in ticks],
        "ticks": ticks,
        "groups": [_group(table, code, axis, color) for code in table.scored],
        "levels": {code: _level(table, code) for code in table.scored},
    }


def _level(table: TargetTable, code: str) -> str:
    level = table.rows[0].languages[code].chance
    return "–" if level is None else f"{level:.1f}"


def _group(table: TargetTable, code: str, axis: Axis, color: Any) -> dict[str, Any]:
    """The bars of one language."""
    bars = []
    for number, row in enumerate(table.rows):
        result = row.languages[code]
        value, low, high = result.value or 0.0, result.low or 0.0, result.high or 0.0
        control = row.control.get(code)
        bars.append(
            {
                "y": number * BAR + 2,
                "width": axis.place(value),
                "low": axis.place(low),
                "high": axis.place(high),
                "control": None if control is None else axis.place(control),
                "color": color(row.setup),
                "title": f"{row.setup}, {code}: {value:.1f} ({low:.1f} to {high:.1f})",
            }
        )
    level = table.rows[0].languages[code].chance
    return {
        "language": code,
        "height": len(bars) * BAR + 2,
        "bars": bars,
        "chance": None if level is None else axis.place(level),
        "label": f"{table.target} {code}: " + "; ".join(str(bar["title"]) for bar in bars),
    }


def _curves(curves: Sequence[Curve], color: Any) -> list[dict[str, Any]]:
    """One panel per phase and task, a line per setup."""

    def place(curve: Curve) -> tuple[str, str]:
        return curve.phase, curve.task

    panels = []
    for (phase, task), group in groupby(sorted(curves, key=place), key=place):
        found = [(curve, smooth(curve.loss)) for curve in group if curve.loss]
        if not found:
            continue
        top = max(value for _, points in found for _, value in points)
        steps = max(points[-1][0] for _, points in found)
        lines = [
            {
                "setup": curve.setup,
                "color": color(curve.setup),
                "points": line(points, Axis(0, steps), Axis(0, top)),
                "dev": max((value for _, value in curve.dev), default=None),
            }
            for curve, points in found
        ]
        panels.append({"phase": phase, "task": task, "top": top, "steps": steps, "lines": lines})
    return panels


def _costs(costs: Sequence[Cost], tables: Sequence[TargetTable], color: Any) -> list[dict[str, Any]]:
    """One panel per target: trained weights and time against the score."""
    panels = []
    for table in tables:
        own = [cost for cost in costs if cost.target == table.target]
        if not own:
            continue
        scores = [cost.score for cost in own]
        air = max(1.0, 0.15 * (max(scores) - min(scores)))
        low, high = math.floor(min(scores) - air), math.ceil(max(scores) + air)
        views = [
            _view(own, [cost.parameters for cost in own], "weights", thousands, Axis(low, high), color),
            _view(own, [cost.seconds for cost in own], "time", duration, Axis(low, high), color),
        ]
        memory = [cost.memory for cost in own if cost.memory is not None]
        if len(memory) == len(own):
            views.append(_view(own, memory, "memory", size, Axis(low, high), color))
        panels.append(
            {"target": table.target, "score": table.score, "low": low, "high": high, "views": views}
        )
    return panels


def _view(
    costs: Sequence[Cost], amounts: Sequence[float], name: str, say: Any, up: Axis, color: Any
) -> dict[str, Any]:
    """Dots of one kind of cost, on a logarithmic axis with some air on both sides."""
    least, most = max(1e-3, min(amounts)), max(1e-3, *amounts)
    axis = Axis(least / 1.6, most * 1.6, log=True)
    dots = [
        {
            "x": axis.place(max(amount, 1e-3)),
            "y": round(100 - up.place(cost.score), 2),
            "color": color(cost.setup),
            "title": f"{cost.setup}: {say(amount)}, {cost.score:.1f}",
        }
        for cost, amount in zip(costs, amounts, strict=True)
    ]
    return {"name": name, "dots": dots, "low": say(axis.low), "high": say(axis.high)}
