"""`adaptrans compare`: setups beside the baseline."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptrans.hub.store import DEFAULT_STORE
from adaptrans_cli import common


def compare(
    target: Annotated[str | None, typer.Argument(help="Only this target.")] = None,
    store: common.StoreFolder = DEFAULT_STORE,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Setup that differences are taken to; full, if it is there."),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Compare all evaluated setups of a store: intervals, and paired differences to the baseline."""
    from dataclasses import asdict

    from adaptrans import api
    from adaptrans_cli import tables

    found = api.compare(store, target=target, baseline=baseline)
    if as_json:
        common.print_json([asdict(table) for table in found])
        return
    for table in found:
        tables.by_language(table, baseline or "full")
