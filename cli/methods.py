"""`adaptrans methods`: what can be trained, what composes how, and what it costs on a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options

if TYPE_CHECKING:
    from adaptrans.modeling.efficiency.memory_estimation import Size

SHOWN = ("a > target", "fuse(a, b)", "fuse(a, b) > target", "average(a, b) > target", "a + b - c > target")


def methods(
    backbone: options.Backbone = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="Also one with options, as seq_bn\\[reduction_factor=8]; repeatable."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show every adapter method: which setups take it, and with --backbone its parameters and bytes."""
    from adaptrans.modeling import adapter_methods as known

    further = [str(known.parse(text)) for text in method or ()]
    found: dict[str, Size] = {}
    if backbone is not None:
        from adaptrans.modeling.backbone import identify
        from adaptrans.modeling.efficiency.memory_estimation import sizes

        found = {size.name: size for size in sizes(identify(backbone), further)}
    rows = [_row(name, found) for name in (*known.names(), *further)]
    others = [_cost(name, found) for name in ("full", "fusion") if name in found]
    if as_json:
        options.print_json({"backbone": backbone, "methods": rows, "others": others})
        return
    _print(rows, others, bool(found))


def _row(name: str, found: dict[str, Size]) -> dict[str, Any]:
    return {**_cost(name, found), "refused": {setup: _refusal(setup, name) for setup in SHOWN}}


def _refusal(setup: str, method: str) -> str | None:
    """Why a setup does not run with a method, None if it does."""
    from adaptrans.errors import SetupError
    from adaptrans.modeling.setup.parser import parse
    from adaptrans.modeling.setup.validation import check

    try:
        check(parse(setup), method)
    except SetupError as refusal:
        return str(refusal)
    return None


def _cost(name: str, found: dict[str, Size]) -> dict[str, Any]:
    if name not in found:
        return {"method": name}
    size = found[name]
    return {"method": name, "trained": size.trained, "bytes": size.stored, "problem": size.problem}


def _print(rows: list[dict[str, Any]], others: list[dict[str, Any]], sized: bool) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from adaptrans_cli.tables import console

    table = Table(box=SIMPLE)
    table.add_column("method")
    for name in SHOWN:
        table.add_column(name, justify="center")
    for name in ("trained parameters", "on disk") if sized else ():
        table.add_column(name, justify="right")
    for row in rows:
        marks = ["-" if row["refused"][setup] else "yes" for setup in SHOWN]
        table.add_row(Text(row["method"]), *marks, *_amounts(row, sized))
    if others:
        table.add_section()
    for row in others:
        table.add_row(row["method"], *[""] * len(SHOWN), *_amounts(row, sized))
    out = console()
    out.print(table)
    out.print(
        Text("'adapter' and 'continue(a)' take every method; options as in 'seq_bn[reduction_factor=8]'")
    )
    out.print(Text("- is refused; --json says why, with the nearest setup that runs"))


def _amounts(row: dict[str, Any], sized: bool) -> list[str]:
    if not sized:
        return []
    if row["trained"] is None:
        return ["does not fit", "-"]
    return [f"{row['trained']:,}", f"{row['bytes'] / 1e6:,.2f} MB"]
