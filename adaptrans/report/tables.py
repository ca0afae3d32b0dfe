"""What the page shows as plain tables, for spreadsheets and papers: CSV in long form, LaTeX in wide form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from adaptrans.analysis.comparison import TargetTable
from adaptrans.report.content import Content, Curve, Fusion
from adaptrans.stats.intervals import Difference
from adaptrans.utils.progress import size

if TYPE_CHECKING:
    from pandas import DataFrame

Kind = Literal["", "heat", "bars", "lines", "dots", "shares", "forest", "bands"]

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
_LATEX |= {sign: rf"\{sign}" for sign in "&%$#_{}"}
_LATEX |= {">": r"$>$", "<": r"$<$", "°": r"$^\circ$"}


@dataclass(frozen=True)
class Sheet:
    """One table or figure.

    Args:
        name: Name of its files.
        title: What it shows.
        columns: Columns of the long form.
        rows: The long form, one value per row; None where there is none.
        head: Columns of the wide form; empty for what is a figure alone.
        lines: The wide form, as text.
        kind: How it is drawn; empty for what is a table alone.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    head: tuple[str, ...] = ()
    lines: tuple[tuple[str, ...], ...] = ()
    kind: Kind = ""

    def csv(self) -> str:
        """The long form."""
        return _frame(self.columns, self.rows).to_csv(index=False, lineterminator="\n")

    def latex(self) -> str:
        """The wide form as a table with the rules of booktabs."""
        lines = [[_latex(cell) for cell in line] for line in self.lines]
        columns = "l" + "r" * (len(self.head) - 1)
        frame = _frame([_latex(name) for name in self.head], lines)
        table = frame.to_latex(index=False, escape=False, column_format=columns)
        return f"% {self.title}; needs \\usepackage{{booktabs}}\n{table}"


def _frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> DataFrame:
    """Cells as they are: whole numbers stay whole beside a missing one."""
    import pandas

    return pandas.DataFrame(rows, columns=list(columns), dtype=object)


def _latex(text: str) -> str:
    """Text with LaTeX's own signs escaped.

    Example:
        >>> _latex("full(nli_2) > target: 50 %")
        'full(nli\\\\_2) $>$ target: 50 \\\\%'
    """
    return "".join(_LATEX.get(letter, letter) for letter in text)


def sheets(page: Content) -> Iterator[Sheet]:
    """Every table and figure of a page.

    Args:
        page: What the page says.
    """
    yield _means(page)
    yield from _differences(page, "differences", f"Difference to {page.baseline}", "difference")
    yield from _differences(page, "control", "Difference to the shuffled-weights baseline", "above_control")
    for table in page.tables:
        yield language_sheet(table, page)
    for panel in panels(page.curves):
        yield curve_sheet(*panel)
    if page.costs:
        yield cost_sheet(page)
    for fusion in page.fusions:
        yield fusion_sheet(fusion)


def panels(curves: Sequence[Curve]) -> Iterator[tuple[str, str, list[Curve]]]:
    """Phase, task and curves that stand in one figure."""
    for place in sorted({(curve.phase, curve.task) for curve in curves}):
        yield *place, [curve for curve in curves if (curve.phase, curve.task) == place]


def _name(*parts: str) -> str:
    """Name of a file.

    Example:
        >>> _name("fusion", "fuse(a, b) > target", "xnli@1")
        'fusion-fuse_a_b_target-xnli_1'
    """
    # A backbone may be a long path, of which the end says most.
    return "-".join(re.sub(r"[^\w.]+", "_", part).strip("_")[-80:] for part in parts if part)


def _table_name(table: TargetTable, page: Content) -> tuple[str, ...]:
    """What tells a table from the others of a page."""
    backbone = table.backbone if len(page.backbones) > 1 else ""
    return table.target, backbone, table.regime.partition(":")[2], table.which


def _heads(page: Content) -> tuple[str, ...]:
    return tuple(" ".join(filter(None, _table_name(table, page))) for table in page.tables)


def _signed(found: Difference | None) -> str:
    return "–" if found is None else f"{found.value:+.1f}{'*' if found.significant else ''}"


def _means(page: Content) -> Sheet:
    rows, lines = [], []
    for setup, found in page.rows.items():
        lines.append((setup, *("–" if row is None else f"{row.mean.value:.1f}" for row in found)))
        for table, row in zip(page.tables, found, strict=True):
            if row is not None:
                level = row.chance(table.scored)
                own = (row.mean.value, row.mean.low, row.mean.high, row.zero_shot, level, len(row.seeds) or 1)
                rows.append((setup, table.target, table.backbone, table.regime, table.score, *own))
    for name, values in page.published_rows.items():
        lines.append((name, *("–" if value is None else f"{value:.1f}" for value in values)))
    where = ("setup", "target", "backbone", "regime", "score")
    columns = (*where, "mean", "low", "high", "zero_shot", "chance", "seeds")
    head = ("setup", *_heads(page))
    return Sheet("means", "Means over languages", columns, tuple(rows), head, tuple(lines))


def _differences(page: Content, name: str, title: str, field: str) -> Iterator[Sheet]:
    rows, lines = [], []
    for setup, found in page.rows.items():
        cells = [row and getattr(row, field) for row in found]
        if not any(cells):
            continue
        lines.append((setup, *map(_signed, cells)))
        for head, table, cell in zip(_heads(page), page.tables, cells, strict=True):
            if cell is not None:
                own = (cell.value, cell.low, cell.high, cell.p_value, cell.corrected, cell.significant)
                rows.append((setup, head, table.backbone, table.regime, *own))
    where = ("setup", "target", "backbone", "regime")
    columns = (*where, "value", "low", "high", "p_value", "corrected", "marked")
    if rows:
        yield Sheet(name, title, columns, tuple(rows), ("setup", *_heads(page)), tuple(lines), "heat")


def language_sheet(table: TargetTable, page: Content) -> Sheet:
    """Scores of all setups on one target by language."""
    rows, lines = [], []
    for row in table.rows:
        lines.append((row.setup, *(f"{row.languages[code].value:.1f}" for code in table.scored)))
        for code in table.scored:
            found, gap = row.languages[code], row.differences.get(code)
            own = (found.value, found.low, found.high, found.n, found.chance, row.control.get(code))
            rows.append((row.setup, code, *own, gap and gap.value))
    columns = ("setup", "language", "value", "low", "high", "n", "chance", "control", "difference")
    name, title = _name("languages", *_table_name(table, page)), f"{table.target}, {table.score} by language"
    return Sheet(name, title, columns, tuple(rows), ("setup", *table.scored), tuple(lines), "bars")


def curve_sheet(phase: str, task: str, curves: Sequence[Curve]) -> Sheet:
    """Losses and dev scores by step, as `panels` gives them."""
    rows = [
        (curve.setup, curve.run, what, step, value)
        for curve in curves
        for what, points in (("loss", curve.loss), ("dev_score", curve.dev))
        for step, value in points
    ]
    columns = ("setup", "run", "what", "step", "value")
    return Sheet(_name("curves", phase, task), f"{task}, {phase}", columns, tuple(rows), kind="lines")


def cost_sheet(page: Content) -> Sheet:
    """What each score took."""
    columns = ("setup", "target", "score", "trained_weights", "seconds", "memory_bytes")
    costs = page.costs
    rows = tuple((c.setup, c.target, c.score, c.parameters, c.seconds, c.memory) for c in costs)
    lines = tuple(
        (a, b, f"{c:.1f}", f"{d:,}", f"{e:.0f}", "–" if f is None else size(f)) for a, b, c, d, e, f in rows
    )
    head = tuple(name.replace("_", " ") for name in (*columns[:-1], "memory"))
    return Sheet("cost", "Cost and score", columns, rows, head, lines, "dots")


def fusion_sheet(fusion: Fusion) -> Sheet:
    """What one fusion attended to, by layer and by language."""
    parts = (("layer", fusion.layers), ("language", fusion.languages))
    rows = [
        (by, name, adapter, share)
        for by, shares in parts
        for name, own in shares.items()
        for adapter, share in zip(fusion.adapters, own, strict=True)
    ]
    lines = [
        (f"{by} {name}", *(f"{100 * share:.0f}" for share in own))
        for by, shares in parts
        for name, own in shares.items()
    ]
    title = f"What {fusion.setup} attends to on {fusion.target}, percent"
    name, columns = _name("fusion", fusion.setup, fusion.target), ("by", "name", "adapter", "share")
    return Sheet(name, title, columns, tuple(rows), ("", *fusion.adapters), tuple(lines), "shares")
