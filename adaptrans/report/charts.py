"""The figures of a page as PNG and SVG, its tables as CSV and LaTeX. matplotlib is loaded only here."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptrans.errors import ConfigError
from adaptrans.evaluation.fusion_attention import AttentionRecord
from adaptrans.report.axes import smooth
from adaptrans.report.content import Content, fusions_of
from adaptrans.report.tables import Sheet, fusion_sheet, sheets
from adaptrans.utils.format import size, thousands
from adaptrans.utils.io import atomic_write

COLORS = ("#4b5563", "#d0680a", "#1f78b8", "#12876a", "#b5488f", "#7a5bd0", "#9a7b00", "#b3352c")
"""Those of the page, for bars and lines of setups in their order."""

FORMATS = ("png", "svg")


def write_figures(page: Content, folder: Path) -> list[Path]:
    """Write everything of a page into a folder.

    Args:
        page: What the page says.
        folder: The folder; it is made.

    Returns:
        The files, in the order of the page.
    """
    written: list[Path] = []
    names: Counter[str] = Counter()
    for sheet in sheets(page):
        names[sheet.name] += 1
        if names[sheet.name] > 1:
            sheet = replace(sheet, name=f"{sheet.name}-{names[sheet.name]}")
        files = {"csv": sheet.csv()} | ({"tex": sheet.latex()} if sheet.head else {})
        for ending, text in files.items():
            path = folder / f"{sheet.name}.{ending}"
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(path)
        if sheet.kind:
            written += _drawn(sheet, page.setups, folder)
    return written


def _drawn(sheet: Sheet, setups: Sequence[str], folder: Path) -> list[Path]:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colors = {setup: COLORS[place % len(COLORS)] for place, setup in enumerate(setups)}
    figure = Figure(layout="constrained")
    # Without a canvas of its own a figure would look for a display.
    FigureCanvasAgg(figure)
    DRAW[sheet.kind](figure, sheet, colors)
    letters = max(30, int(10 * figure.get_figwidth()))
    figure.suptitle("\n".join(textwrap.wrap(sheet.title, letters)), fontsize="medium")
    written = []
    # Text stays text, and the same numbers give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "adaptrans"}):
        for form in FORMATS:
            path = folder / f"{sheet.name}.{form}"
            with atomic_write(path) as temporary:
                figure.savefig(
                    temporary, format=form, dpi=200, metadata={"Date": None} if form == "svg" else None
                )
            written.append(path)
    return written


def _names(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _room(names: Sequence[str]) -> float:
    """Inches that the longest of some names needs."""
    return 0.085 * max(map(len, names))


def _heat(figure: Any, sheet: Sheet, _: dict[str, str]) -> None:
    """Setups by targets: blue is better, orange worse, as on the page."""
    from matplotlib.colors import LinearSegmentedColormap

    across, down = _names([row[1] for row in sheet.rows]), _names([row[0] for row in sheet.rows])
    figure.set_size_inches(2.2 + _room(down) + 1.05 * len(across), 1.9 + 0.42 * len(down))
    axes = figure.subplots()
    found = {(row[0], row[1]): row for row in sheet.rows}
    top = max(1.0, *(abs(row[4]) for row in sheet.rows))
    grid = [[found[y, x][4] if (y, x) in found else float("nan") for x in across] for y in down]
    shades = LinearSegmentedColormap.from_list("adaptrans", ["#ce6016", "#ffffff", "#227aba"])
    image = axes.imshow(grid, cmap=shades, vmin=-top, vmax=top, aspect="auto")
    axes.set_xticks(range(len(across)), across, rotation=30, ha="right")
    axes.set_yticks(range(len(down)), down)
    for (setup, target), row in found.items():
        text = f"{row[4]:+.1f}{'*' if row[9] else ''}"
        color = "white" if abs(row[4]) > 0.7 * top else "black"
        axes.text(
            across.index(target), down.index(setup), text, ha="center", va="center", color=color, fontsize=9
        )
    figure.colorbar(image, ax=axes, label="points")


def _bars(figure: Any, sheet: Sheet, colors: dict[str, str]) -> None:
    """Languages with a bar and interval per setup, and chance."""
    codes, setups = _names([row[1] for row in sheet.rows]), _names([row[0] for row in sheet.rows])
    figure.set_size_inches(
        1.5 + _room(setups) + min(20.0, max(3.0, 0.16 * len(codes) * (len(setups) + 1))), 3.6
    )
    axes = figure.subplots()
    width = 0.85 / len(setups)
    for number, setup in enumerate(setups):
        own = [row for row in sheet.rows if row[0] == setup]
        at = [codes.index(row[1]) - 0.425 + (number + 0.5) * width for row in own]
        values = [row[2] for row in own]
        ends = [[max(0.0, row[2] - row[3]) for row in own], [max(0.0, row[4] - row[2]) for row in own]]
        axes.bar(at, values, width, color=colors.get(setup), label=setup)
        axes.errorbar(at, values, ends, fmt="none", ecolor="black", elinewidth=0.8, capsize=1.5)
    chance = {row[1]: row[6] for row in sheet.rows if row[6] is not None}
    for number, (code, level) in enumerate(chance.items()):
        place = codes.index(code)
        label = None if number else "chance"
        axes.hlines(level, place - 0.47, place + 0.47, colors="black", linestyles="dashed", label=label, lw=1)
    axes.set_xticks(range(len(codes)), codes)
    axes.set(xlim=(-0.6, len(codes) - 0.4), ylabel="score")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)


def _lines(figure: Any, sheet: Sheet, colors: dict[str, str]) -> None:
    """Loss by step, means of neighbors, and scores on the dev set where there are any."""
    parts = [what for what in ("loss", "dev_score") if any(row[2] == what for row in sheet.rows)]
    figure.set_size_inches(4.2 * len(parts) + _room([row[0] for row in sheet.rows]), 3.4)
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for axes, what in zip(panels, parts, strict=True):
        labeled = set()
        for setup, run in _names([(row[0], row[1]) for row in sheet.rows]):
            points = [(row[3], row[4]) for row in sheet.rows if row[:3] == (setup, run, what)]
            shown = smooth(points) if what == "loss" else points
            label = None if setup in labeled else setup
            labeled.add(setup)
            marker = "o" if what == "dev_score" else None
            axes.plot(*zip(*shown, strict=True), color=colors.get(setup), label=label, marker=marker, lw=1.3)
        axes.set(xlabel="step", ylabel=what.replace("_", " "))
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)


def _dots(figure: Any, sheet: Sheet, colors: dict[str, str]) -> None:
    """Trained weights, training time and memory against the score, a row of panels per target."""
    from matplotlib.ticker import LogLocator, NullFormatter

    targets = _names([row[1] for row in sheet.rows])
    parts = [(3, "trained weights", thousands), (4, "seconds of training", thousands), (5, "memory", size)]
    parts = [part for part in parts if any(row[part[0]] is not None for row in sheet.rows)]
    room = _room([row[0] for row in sheet.rows])
    figure.set_size_inches(3.5 * len(parts) + room, 2.6 * len(targets) + 0.6)
    panels = figure.subplots(len(targets), len(parts), squeeze=False)
    for line, target in zip(panels, targets, strict=True):
        own = [row for row in sheet.rows if row[1] == target]
        for axes, (place, name, say) in zip(line, parts, strict=True):
            for row in own:
                if row[place] is not None:
                    axes.scatter(max(row[place], 1e-3), row[2], color=colors.get(row[0]), label=row[0])
            axes.set(xscale="log", xlabel=name, ylabel=target)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter(lambda value, _, say=say: say(value))
            axes.xaxis.set_minor_formatter(NullFormatter())
    panels[0][-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)


def _shares(figure: Any, sheet: Sheet, _: dict[str, str]) -> None:
    """Adapters by layer and by language."""
    figure.set_size_inches(_shares_size(sheet))
    _draw_shares(figure, sheet)


def _shares_size(sheet: Sheet) -> tuple[float, float]:
    adapters = _names([row[2] for row in sheet.rows])
    parts = _names([row[0] for row in sheet.rows])
    most = max(len(_names([row[1] for row in sheet.rows if row[0] == part])) for part in parts)
    return 1.0 + _room(adapters) + max(3.0, 0.5 * most), 0.9 + len(parts) * (0.9 + 0.35 * len(adapters))


def _draw_shares(figure: Any, sheet: Sheet) -> None:
    adapters = _names([row[2] for row in sheet.rows])
    parts = _names([row[0] for row in sheet.rows])
    for axes, part in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True):
        names = _names([row[1] for row in sheet.rows if row[0] == part])
        found = {(row[2], row[1]): row[3] for row in sheet.rows if row[0] == part}
        axes.imshow(
            [[found[y, x] for x in names] for y in adapters], cmap="Purples", vmin=0, vmax=1, aspect="auto"
        )
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(adapters)), adapters)
        axes.set(xlabel=part)
        for (adapter, name), share in found.items():
            at = (names.index(name), adapters.index(adapter))
            axes.text(
                *at,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share > 0.6 else "black",
            )


DRAW: dict[str, Callable[[Any, Sheet, dict[str, str]], None]] = {
    "heat": _heat,
    "bars": _bars,
    "lines": _lines,
    "dots": _dots,
    "shares": _shares,
}
"""How each kind of sheet is drawn."""


ATTENTION_FORMATS = ("png", "svg", "pdf")


def draw(records: Mapping[str, AttentionRecord], title: str, path: Path) -> None:
    """Draw what each fusion of a setup attended to, by layer and by language, as in a report.

    Args:
        records: Records by language, as `load_attention` gives them.
        title: The setup.
        path: Where to; its ending says the format.

    Raises:
        ConfigError: If the ending is unknown.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in ATTENTION_FORMATS:
        raise ConfigError(f"cannot draw into {path}", remedy="end its name in .png, .svg or .pdf")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [fusion_sheet(fusion) for fusion in fusions_of(title, "", records)]
    widths, heights = zip(*map(_shares_size, drawn), strict=True)
    figure = Figure(figsize=(max(widths), sum(heights) + 0.5), layout="constrained")
    # Without a canvas of its own a figure would look for a display.
    FigureCanvasAgg(figure)
    panels: Any = figure.subfigures(len(drawn), 1, squeeze=False)[:, 0]
    for panel, sheet in zip(panels, drawn, strict=True):
        _draw_shares(panel, sheet)
    figure.suptitle(f"What {title} attends to, percent")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=form, dpi=150)
