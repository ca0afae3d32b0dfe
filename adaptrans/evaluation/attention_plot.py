"""A picture of what fusions attend to. Needs matplotlib, which is loaded only here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ConfigError
from adaptrans.evaluation.attention import AttentionRecord, mean_over_languages
from adaptrans.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")


def draw(records: Mapping[str, AttentionRecord], title: str, path: Path) -> None:
    """Draw each fusion as two panels: shares by language as stacked bars, and by layer as a heat map.

    Args:
        records: Records by language, as `load_attention` gives them.
        title: The setup.
        path: Where to; its ending says the format.

    Raises:
        ConfigError: If the ending is unknown, or matplotlib is not installed.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise ConfigError(f"cannot draw into {path}", remedy="end its name in .png, .svg or .pdf")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("a plot needs matplotlib", remedy="pip install matplotlib") from None

    adapters = next(iter(records.values())).adapters
    layers = max(len(mean_over_languages(records, fusion)) for fusion in adapters)
    height = max(2.5, 0.25 * len(records) + 1.2, 0.25 * layers + 1.2)
    figure = Figure(figsize=(11, height * len(adapters)), layout="constrained")
    # Without a canvas of its own a figure would look for a display.
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(len(adapters), 2, squeeze=False)
    for row, (fusion, names) in zip(axes, adapters.items(), strict=True):
        _by_language(row[0], records, fusion, names)
        _by_layer(row[1], records, fusion, names)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=form, dpi=150)


def _by_language(
    axes: Axes, records: Mapping[str, AttentionRecord], fusion: str, names: tuple[str, ...]
) -> None:
    shares = [record.means(fusion) for record in records.values()]
    left = [0.0] * len(shares)
    for place, name in enumerate(names):
        own = [share[place] for share in shares]
        axes.barh(list(records), own, left=left, label=name)
        left = [start + width for start, width in zip(left, own, strict=True)]
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share, mean over layers")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(names), 4), fontsize="small")


def _by_layer(
    axes: Axes, records: Mapping[str, AttentionRecord], fusion: str, names: tuple[str, ...]
) -> None:
    rows = mean_over_languages(records, fusion)
    image = axes.imshow([row["shares"] for row in rows], vmin=0, vmax=1, aspect="auto", cmap="viridis")
    labels = [
        str(row["layer"]) if row["part"] == "output" else f"{row['layer']} {row['part']}" for row in rows
    ]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(rows)), labels)
    axes.set(ylabel="encoder layer", title="by layer, mean over languages")
    for y, row in enumerate(rows):
        for x, share in enumerate(row["shares"]):
            colour = "white" if share < 0.6 else "black"
            axes.text(x, y, f"{share:.2f}", ha="center", va="center", color=colour, fontsize="small")
    axes.figure.colorbar(image, ax=axes, label="share")
