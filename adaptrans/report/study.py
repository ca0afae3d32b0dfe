"""The page of a study: findings as sentences, tables and figures, drawn by the charts of reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adaptrans.analysis.study.findings import Part
from adaptrans.analysis.study.page import StudyPage
from adaptrans.report.charts import color_of, inline, write_sheets
from adaptrans.report.tables import Sheet
from adaptrans.stats.intervals import SIGNIFICANT
from adaptrans.utils.io import atomic_write

FOLDER = Path(__file__).parent

COLUMNS = ("analysis", "group", "effect", "value", "low", "high", "se", "p_value", "corrected", "marked", "n")


def write_study(page: StudyPage, out: Path, figures: Path | None = None) -> Path:
    """Write one self-contained HTML page of a study.

    Args:
        page: What its analyses say.
        out: The page.
        figures: Folder for each figure as PNG and SVG, and each table as CSV and LaTeX.
    """
    text = render_study(page)
    if figures is not None:
        sheets = [
            sheet for part in page.parts for sheet in (*part_tables(page, part), *part_curves(page, part))
        ]
        write_sheets(sheets, _names(page), figures)
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def render_study(page: StudyPage) -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    names = _names(page)

    def drawn(sheet: Sheet) -> Markup:
        return Markup(inline(sheet, names, sheet.title))

    return environment.get_template("study.html.j2").render(
        page=page,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        significant=SIGNIFICANT,
        parts=[
            (part, [*map(drawn, part_tables(page, part)), *map(drawn, part_curves(page, part))])
            for part in page.parts
        ],
        keys={
            part.title: [(f"s{color_of(s.name, names)}", s.name) for s in part.series] for part in page.parts
        },
    )


def part_tables(page: StudyPage, part: Part) -> Iterator[Sheet]:
    """The findings of an analysis as a table and a figure of intervals; nothing where it has none."""
    if not part.findings:
        return
    rows, lines = [], []
    for found in part.findings:
        values = (found.value, found.low, found.high, found.se, found.p_value, found.corrected)
        rows.append((part.title, found.group, found.effect, *values, found.significant, found.numbers))
        interval = f"{found.low:+.2f} to {found.high:+.2f}"
        mark = "*" if found.significant else ""
        where = found.group or "all"
        lines.append(
            (f"{where}: {found.effect}", f"{found.value:+.2f}{mark}", interval, found.shown_p, found.numbers)
        )
    head = ("effect", "value", "95 % interval", "p, Holm", "n")
    name = f"findings-{page.parts.index(part) + 1}-{part.kind}"
    yield Sheet(name, part.title, COLUMNS, tuple(rows), head, tuple(lines), "forest")


def part_curves(page: StudyPage, part: Part) -> Iterator[Sheet]:
    """The curves of an analysis; nothing where it has none."""
    rows = tuple(
        (series.name, *point)
        for series in part.series
        for point in zip(series.x, series.y, series.low, series.high, strict=True)
    )
    if rows:
        name = f"curves-{page.parts.index(part) + 1}-{part.kind}"
        columns = ("curve", part.axis, "value", "low", "high")
        yield Sheet(name, f"{part.title}, 95 % bands", columns, rows, kind="bands")


def _names(page: StudyPage) -> list[str]:
    """What has a color: curves, and titles of analyses."""
    every = [name for part in page.parts for name in (part.title, *(series.name for series in part.series))]
    return list(dict.fromkeys(every))
