"""The charts of a report, drawn by matplotlib: within the page, and as files. matplotlib is loaded only here.

Every chart is drawn from a `Sheet`, whose numbers also lie beside it as CSV. One unit of a drawing is a pixel
of a page. Within the page the colors are those of its style sheet, in a file the light ones.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from adaptrans.errors import ConfigError
from adaptrans.evaluation.fusion_attention import AttentionRecord
from adaptrans.report.content import Content, fusions_of
from adaptrans.report.tables import Sheet, fusion_sheet, sheets
from adaptrans.utils.io import atomic_write
from adaptrans.utils.progress import duration, size, thousands

COLORS = ("#4b5563", "#d0680a", "#1f78b8", "#12876a", "#b5488f", "#7a5bd0", "#9a7b00", "#b3352c")
"""Those of setups in their order; in the page `--s0` to `--s7`."""

TEXT, SOFT, LINE, FAINT, PAGE = "#1b1f27", "#59616e", "#d5d9e0", "#e9ebef", "#ffffff"
IN_PAGE = {TEXT: "text", SOFT: "soft", LINE: "line", FAINT: "faint", PAGE: "page"}
IN_PAGE |= {color: f"s{place}" for place, color in enumerate(COLORS)}
"""Variables of the page's style sheet, by the color that is drawn with."""

STYLE: Any = {
    "font.size": 12,
    "text.color": TEXT,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
PIXEL = 1 / 72
"""Inches of a pixel: SVG is drawn with 72 units to an inch."""


def color_of(setup: str, setups: Sequence[str]) -> int:
    """Number of a setup's color: its place among the setups; others follow."""
    return (setups.index(setup) if setup in setups else len(setups) + len(setup)) % len(COLORS)


def write_figures(page: Content, folder: Path) -> list[Path]:
    """Write everything of a page into a folder.

    Args:
        page: What the page says.
        folder: The folder; it is made.

    Returns:
        The files, in the order of the page.
    """
    return write_sheets(sheets(page), page.setups, folder)


def write_sheets(found: Iterable[Sheet], setups: Sequence[str], folder: Path) -> list[Path]:
    """Write tables as CSV and LaTeX, and figures as PNG and SVG beside their numbers.

    Args:
        found: The sheets, in order.
        setups: Setups in the order of their colors.
        folder: The folder; it is made.
    """
    written: list[Path] = []
    names: Counter[str] = Counter()
    for sheet in found:
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
            figure, legend = _drawn(sheet, setups)
            if legend:
                figure.set_figheight(figure.get_figheight() + 18 * PIXEL * len(legend))
                figure.legend(handles=legend, loc="outside lower left", fontsize="small", frameon=False)
            letters = max(30, int(10 * figure.get_figwidth()))
            figure.suptitle("\n".join(textwrap.wrap(sheet.title, letters)), fontsize="medium")
            written += [_saved(figure, folder / f"{sheet.name}.{form}") for form in ("png", "svg")]
    return written


def inline(sheet: Sheet, setups: Sequence[str], label: str) -> str:
    """A chart as SVG that stands in the page, with what it shows as its name for those who do not see it.

    Args:
        sheet: Its numbers.
        setups: Setups in the order of their colors.
        label: What it shows.
    """
    figure, _ = _drawn(sheet, setups)
    text = _svg(figure, f"{sheet.name} {label}", transparent=True)
    text = text[text.index("<svg") :].partition(">")[2]
    # The library's styles would hold on the whole page, and names of its groups stand there several times.
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*;?", "", re.sub(r"font: ([0-9.]+px)[^;\"]*", r"font-size: \1", text))
    text = re.sub(r"\s*\n\s*", "\n", text)
    text = re.sub("|".join(IN_PAGE), lambda color: f"var(--{IN_PAGE[color[0]]})", text)
    width, height = (round(side / PIXEL, 1) for side in figure.get_size_inches())
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" style="max-width: {1.3 * width:.0f}px" '
        f'role="img" aria-label="{escape(label)}">{text}'
    )


def _drawn(sheet: Sheet, setups: Sequence[str]) -> tuple[Any, list[Any]]:
    """The figure of a sheet, and the marks that a legend has to explain."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    # Without a canvas of its own a figure would look for a display.
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE):
        return figure, DRAW[sheet.kind](figure, sheet, lambda setup: COLORS[color_of(setup, setups)])


def _svg(figure: Any, salt: str, **options: Any) -> str:
    """A figure as SVG: text stays text, the same numbers give the same file, and marks say what they are."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None}, **options)
    return re.sub(r'<g id="said: ([^"]*)">', r"<g><title>\1</title>", file.getvalue())


def _saved(figure: Any, path: Path) -> Path:
    form = path.suffix.removeprefix(".").lower()
    with atomic_write(path) as temporary:
        if form == "svg":
            temporary.write_text(_svg(figure, path.stem), encoding="utf-8")
        else:
            figure.savefig(temporary, format=form, dpi=200)
    return path


def _say(artist: Any, text: str) -> None:
    """What is shown where the pointer rests on a mark."""
    artist.set_gid(f"said: {text}")


def _names(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _room(names: Sequence[str]) -> float:
    """Inches that the longest of some names needs."""
    return 0.1 * max(map(len, names))


def _key(sheet: Sheet, color: Callable[[str], str]) -> list[Any]:
    """A legend of the setups."""
    from matplotlib.patches import Patch

    return [Patch(color=color(setup), label=setup) for setup in _names([row[0] for row in sheet.rows])]


def _heat(figure: Any, sheet: Sheet, _: Callable[[str], str]) -> list[Any]:
    """Setups by targets: blue is better, orange worse, as on the page."""
    from matplotlib.colors import LinearSegmentedColormap

    across, down = _names([row[1] for row in sheet.rows]), _names([row[0] for row in sheet.rows])
    figure.set_size_inches(2.2 + _room(down) + 1.05 * len(across), 1.9 + 0.42 * len(down))
    axes = figure.subplots()
    top = max(1.0, *(abs(row[4]) for row in sheet.rows))
    cells = {
        (down.index(row[0]), across.index(row[1])): (row[4], f"{row[4]:+.1f}{'*' if row[9] else ''}")
        for row in sheet.rows
    }
    shades = LinearSegmentedColormap.from_list("adaptrans", ["#ce6016", "#ffffff", "#227aba"])
    image = _cells(axes, cells, down, across, 0.7 * top, cmap=shades, vmin=-top, vmax=top)
    axes.set_xticks(range(len(across)), across, rotation=30, ha="right")
    figure.colorbar(image, ax=axes, label="points")
    return []


def _cells(
    axes: Any,
    cells: Mapping[tuple[int, int], tuple[float, str]],
    down: Sequence[str],
    across: Sequence[str],
    dark: float,
    **colors: Any,
) -> Any:
    """Colored cells with their text, white on those beyond a value."""
    grid = [[cells.get((y, x), (math.nan, ""))[0] for x in range(len(across))] for y in range(len(down))]
    image = axes.imshow(grid, aspect="auto", **colors)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    for (y, x), (value, text) in cells.items():
        color = "white" if abs(value) > dark else "black"
        axes.text(x, y, text, ha="center", va="center", color=color, fontsize=10)
    return image


BAR = 11
"""Pixels from one bar to the next."""


def _bars(figure: Any, sheet: Sheet, color: Callable[[str], str]) -> list[Any]:
    """Languages with a bar and interval per setup, chance, and the shuffled-weights baseline."""
    codes, setups = _names([row[1] for row in sheet.rows]), _names([row[0] for row in sheet.rows])
    group = BAR * len(setups) + 10
    figure.set_size_inches(360 * PIXEL, (group * len(codes) + 34) * PIXEL)
    axes = figure.subplots()
    marks: dict[str, Any] = {}
    for setup, code, value, low, high, _, chance, control, _ in sheet.rows:
        y = group * codes.index(code) + BAR * setups.index(setup)
        (bar,) = axes.barh(y, value, 8, color=color(setup))
        _say(bar, f"{setup}, {code}: {value:.1f} ({low:.1f} to {high:.1f})")
        marks["95 % interval"] = axes.plot([low, high], [y, y], color=TEXT, lw=1.3)
        if control is not None:
            marks["shuffled weights"] = axes.plot(
                control, y, "o", ms=6, mfc=PAGE, mec=TEXT, mew=1.2, clip_on=False
            )
        if chance is not None and setup == setups[0]:
            ends = [y - 7, y + BAR * (len(setups) - 1) + 7]
            marks["chance"] = axes.plot([chance, chance], ends, color=TEXT, lw=1.2, ls=(0, (2.5, 1.7)))
    axes.set(xlim=(0, min(100.0, 1.03 * max(row[4] for row in sheet.rows)) or 1.0))
    axes.set(ylim=(group * len(codes) - BAR + 3, -BAR - 3))
    axes.set_yticks([group * at + BAR * (len(setups) - 1) / 2 for at in range(len(codes))], codes)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(axis="x")
    for label, (mark,) in marks.items():
        mark.set_label(label)
    return [*_key(sheet, color), *(mark for (mark,) in marks.values())]


def _lines(figure: Any, sheet: Sheet, color: Callable[[str], str]) -> list[Any]:
    """Loss by step, means of neighbors, and scores on the dev set where there are any."""
    parts = [what for what in ("loss", "dev_score") if any(row[2] == what for row in sheet.rows)]
    figure.set_size_inches(250 * PIXEL * len(parts), 165 * PIXEL)
    for axes, what in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        for setup, run in _names([(row[0], row[1]) for row in sheet.rows]):
            points = [(row[3], row[4]) for row in sheet.rows if row[:3] == (setup, run, what)]
            if points:
                shown = smooth(points) if what == "loss" else points
                marker = "o" if what == "dev_score" else None
                (line,) = axes.plot(*zip(*shown, strict=True), color=color(setup), marker=marker, lw=1.8)
                _say(line, setup)
        axes.set(xlabel="step", ylabel=what.replace("_", " "))
        axes.locator_params(nbins=4)
    return _key(sheet, color)


def smooth(points: Sequence[tuple[int, float]], most: int = 120) -> list[tuple[int, float]]:
    """Means of neighbors, so that there are at most so many points.

    Example:
        >>> smooth([(1, 2.0), (2, 4.0), (3, 6.0)], most=2)
        [(2, 3.0), (3, 6.0)]
    """
    step = math.ceil(len(points) / most)
    parts = [points[start : start + step] for start in range(0, len(points), step or 1)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _dots(figure: Any, sheet: Sheet, color: Callable[[str], str]) -> list[Any]:
    """Trained weights, training time and memory against the score, a row of panels per target."""
    targets = _names([row[1] for row in sheet.rows])
    parts = [(3, "trained weights", thousands), (4, "training time", duration), (5, "memory", size)]
    parts = [part for part in parts if any(row[part[0]] is not None for row in sheet.rows)]
    figure.set_size_inches(220 * PIXEL * len(parts), 160 * PIXEL * len(targets))
    panels = figure.subplots(len(targets), len(parts), squeeze=False)
    for line, target in zip(panels, targets, strict=True):
        for axes, (place, name, say) in zip(line, parts, strict=True):
            own = [row for row in sheet.rows if row[1] == target and row[place] is not None]
            amounts = [max(row[place], 1e-3) for row in own]
            for row, amount in zip(own, amounts, strict=True):
                dot = axes.scatter(amount, row[2], s=70, color=color(row[0]))
                _say(dot, f"{row[0]}: {say(row[place])}, {row[2]:.1f}")
            axes.set(xscale="log", xlabel=name, ylabel=target if len(targets) > 1 else "")
            axes.margins(0.25)
            least, most = min(amounts, default=1.0), max(amounts, default=1.0)
            ticks = [least, most] if most > 1.5 * least else [least]
            axes.set_xticks(ticks, [say(tick) for tick in ticks])
            axes.set_xticks([], minor=True)
            axes.locator_params(axis="y", nbins=3)
    return _key(sheet, color)


def _shares(figure: Any, sheet: Sheet, _: Callable[[str], str]) -> list[Any]:
    """Adapters by layer and by language."""
    parts = {
        part: [row for row in sheet.rows if row[0] == part] for part in _names([row[0] for row in sheet.rows])
    }
    down = [_names([row[2] for row in own]) for own in parts.values()]
    across = [_names([row[1] for row in own]) for own in parts.values()]
    heights = [0.9 + 0.35 * len(adapters) for adapters in down]
    width = 1.0 + _room([row[2] for row in sheet.rows]) + max(3.0, 0.5 * max(map(len, across)))
    figure.set_size_inches(width, 0.9 + sum(heights))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, part, adapters, names in zip(panels, parts, down, across, strict=True):
        cells = {
            (adapters.index(adapter), names.index(name)): (share, f"{100 * share:.0f}")
            for _, name, adapter, share in parts[part]
        }
        _cells(axes, cells, adapters, names, 0.6, cmap="Purples", vmin=0, vmax=1)
        axes.set(xlabel=part)
    return []


def _forest(figure: Any, sheet: Sheet, color: Callable[[str], str]) -> list[Any]:
    """Effects with their intervals, a line each, and a line at no effect."""
    rows = sheet.rows
    names = [" · ".join(filter(None, (row[1], row[2]))) for row in rows]
    figure.set_size_inches(3.4 + 0.065 * max(map(len, names)), 0.7 + 0.26 * len(rows))
    axes = figure.subplots()
    axes.axvline(0, color=LINE, lw=1.2)
    for y, row in enumerate(rows):
        value, low, high, marked = row[3], row[4], row[5], row[9]
        axes.plot([low, high], [y, y], color=color(row[0]), lw=1.6)
        (dot,) = axes.plot(value, y, "o", ms=6, color=color(row[0]), mfc=color(row[0]) if marked else PAGE)
        _say(dot, f"{names[y]}: {value:+.2f} ({low:+.2f} to {high:+.2f})")
    axes.set_yticks(range(len(rows)), names)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="effect, 95 % interval")
    axes.tick_params(length=0)
    axes.grid(axis="x")
    return []


def _bands(figure: Any, sheet: Sheet, color: Callable[[str], str]) -> list[Any]:
    """Curves with their bands."""
    figure.set_size_inches(380 * PIXEL, 240 * PIXEL)
    axes = figure.subplots()
    for name in _names([row[0] for row in sheet.rows]):
        own = sorted(row[1:5] for row in sheet.rows if row[0] == name)
        x, y, low, high = zip(*own, strict=True)
        axes.fill_between(x, low, high, color=color(name), alpha=0.15, lw=0)
        (line,) = axes.plot(x, y, marker="o", ms=4, lw=1.8, color=color(name))
        _say(line, name)
    axes.set(xlabel=sheet.columns[1], ylabel="score")
    axes.grid(axis="y")
    return _key(sheet, color)


DRAW: dict[str, Callable[[Any, Sheet, Callable[[str], str]], list[Any]]] = {
    "heat": _heat,
    "bars": _bars,
    "lines": _lines,
    "dots": _dots,
    "shares": _shares,
    "forest": _forest,
    "bands": _bands,
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
    if path.suffix.removeprefix(".").lower() not in ATTENTION_FORMATS:
        raise ConfigError(f"cannot draw into {path}", remedy="end its name in .png, .svg or .pdf")
    found = [fusion_sheet(fusion) for fusion in fusions_of(title, "", records)]
    rows = tuple(
        (f"{by} of fusion {number}" if len(found) > 1 else by, *rest)
        for number, sheet in enumerate(found, start=1)
        for by, *rest in sheet.rows
    )
    figure, _ = _drawn(replace(found[0], rows=rows), ())
    figure.suptitle(f"What {title} attends to, percent")
    _saved(figure, path)
