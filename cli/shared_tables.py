"""Tables of shared artefacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptrans.hub.package import Package, Row

GIB = 1 << 30
SHOWN = 100
"""Rows of a table; the rest is counted."""


def shared_rows(place: str, found: Sequence[Row]) -> None:
    """Print the versions of a hub."""
    from rich.table import Table
    from rich.text import Text

    from adaptrans.hub.refusals import printable
    from adaptrans_cli.tables import console

    table = Table(title=Text(f"{place}: {len(found)} versions"), title_justify="left")
    for name in ("artefact", "tags", "base", "task", "setup", "method", "languages", "scores", "size"):
        table.add_column(name, justify="right" if name == "size" else "left")
    for row in found[:SHOWN]:
        shown = ", ".join(f"{name} {value:.1f}" for name, value in list(row.scores.items())[:2])
        more = f" +{len(row.languages) - 6}" if len(row.languages) > 6 else ""
        cells = (
            f"{row.name}@v{row.version}" if row.version else row.name,
            " ".join(row.tags),
            row.base,
            row.task,
            row.setup,
            row.method,
            " ".join(row.languages[:6]) + more,
            shown or "-",
            size(row.size) if row.size else "-",
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(table)
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} more: name filters, or print all with --json")


def shared_package(package: Package, title: str) -> None:
    """Print what one version is."""
    from rich.table import Table
    from rich.text import Text

    from adaptrans.hub.refusals import printable
    from adaptrans_cli.tables import console

    table = Table(title=Text(title), title_justify="left", show_header=False)
    base = package.base
    lines = [
        ("setup", package.setup),
        ("task", package.task),
        ("method", package.method),
        ("labels", ", ".join(package.labels[:20]) or "-"),
        ("base", f"{base.id}, {base.depth} layers x {base.width}, {base.vocabulary} pieces"),
        ("fingerprint", base.fingerprint[:12]),
        ("licence", package.licence),
        *(("training data", f"{item.task}: {item.licence}") for item in package.training_data),
        *(
            (
                "built on",
                f"{item.reference}: {item.name or 'not shared'}{f'@v{item.version}' if item.version else ''}",
            )
            for item in package.parents
        ),
        *(("score", f"{name} {value:.1f}") for name, value in package.means().items()),
        ("run", package.run.folder),
        ("files", f"{len(package.files)}, {size(package.size)}"),
    ]
    for name, value in lines:
        table.add_row(name, Text(printable(value)))
    console().print(table)


def size(number: int) -> str:
    """Bytes as a reader takes them in."""
    if number < 1 << 20:
        return f"{number / 1024:.0f} KiB"
    return f"{number / (1 << 20):.1f} MiB" if number < GIB else f"{number / GIB:.2f} GiB"
