"""`adaptrans compare`: setups beside the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import options


def compare(
    target: Annotated[str | None, typer.Argument(help="Only this target.")] = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Setup that differences are taken to; full, if it is there."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Means over groups of languages: family, or resource (class 0 to 5)."),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", help="Means of groups and of all tasks: xtreme, xtreme-r.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write all scores as one long table, .csv or .parquet.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Say why published scores are not shown, where they are not.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Compare all evaluated setups of a store: intervals, and paired differences to the baseline."""
    from dataclasses import asdict

    from adaptrans import api
    from adaptrans_cli import tables

    if export is not None:
        print(f"scores: {api.export_results(export, store, target=target)}")
        return
    if by is not None:
        groups = api.compare_by(by, store, target=target, baseline=baseline)
        if as_json:
            options.print_json([asdict(group) for group in groups])
        else:
            tables.by_group(groups, by, baseline or "full")
        return
    found = api.compare(store, target=target, baseline=baseline)
    if benchmark is not None:
        means = api.benchmark_means(benchmark, found, store)
        if as_json:
            options.print_json([asdict(table) for table in means])
        else:
            tables.by_benchmark(means, benchmark, baseline or "full", found)
        return
    beside = api.published(found, store)
    if as_json:
        pairs = zip(found, beside, strict=True)
        options.print_json([{**asdict(table), "published": asdict(other)} for table, other in pairs])
        return
    for table, other in zip(found, beside, strict=True):
        tables.by_language(table, baseline or "full", other.lines)
    if published:
        tables.reasons(beside)
