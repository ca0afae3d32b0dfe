"""`adaptrans inspect`: which of its adapters a fusion uses, per layer and language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptrans_cli import options

if TYPE_CHECKING:
    from rich.table import Table

    from adaptrans.evaluation.fusion_attention import AttentionRecord
    from adaptrans.runs.store import Run, Store


def inspect(
    run: Annotated[str, typer.Argument(help="Key, or start of a key, of an evaluated run.")],
    store: options.StoreFolder = options.DEFAULT_STORE,
    languages: Annotated[
        str | None, typer.Option("--languages", help="Comma-separated; by default all evaluated ones.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw it: a file that ends in .png, .svg or .pdf.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show how much attention a fusion gives to each of its adapters, by language and by layer."""
    from adaptrans.evaluation.fusion_attention import load_attention
    from adaptrans.runs.store import Store

    found = _evaluation(Store(store), run)
    chosen = [code.strip() for code in (languages or "").split(",") if code.strip()]
    records = load_attention(found, chosen)
    if plot is not None:
        from adaptrans.report.charts import draw

        draw(records, found.config()["setup"], plot)
    if as_json:
        from dataclasses import asdict

        values = {code: asdict(record) for code, record in records.items()}
        options.print_json({"run": found.name, "setup": found.config()["setup"], "languages": values})
        return
    _print(found, records)
    if plot is not None:
        options.say(f"drawn: {plot}")


def _evaluation(store: Store, key: str) -> Run:
    """The evaluation that a key names: its own, or that of the trained run that the key names.

    Raises:
        ArtifactError: If there is none, or more than one.
    """
    from adaptrans.errors import ArtifactError
    from adaptrans.runs.store import RunRef

    # A folder's name may stand for its key.
    run = store.find(RunRef.parse(key).key)
    if run.phase == "evaluate":
        return run
    found = [other for other in store.runs("evaluate") if other.config().get("trained") == run.key]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ArtifactError(
            f"{run.name} was not evaluated yet", remedy=f"run adaptrans evaluate TASK --run {run.key}"
        )
    names = ", ".join(other.name for other in found)
    raise ArtifactError(f"{run.name} was evaluated several times: {names}", remedy="name one of them")


def _print(run: Run, records: Mapping[str, AttentionRecord]) -> None:
    from rich.text import Text

    from adaptrans.evaluation.fusion_attention import mean_over_languages
    from adaptrans_cli.tables import console

    out = console()
    out.print(Text(f"{run.config()['setup']} on {run.config()['task']}  [{run.name}]", "bold"))
    first = next(iter(records.values()))
    for fusion, adapters in first.adapters.items():
        by_language = _table("language", adapters)
        for code, record in records.items():
            by_language.add_row(code, *(f"{share:.3f}" for share in record.means(fusion)))
        out.print("share of each adapter, mean over tokens and layers")
        out.print(by_language)
        by_layer = _table("layer", adapters)
        for row in mean_over_languages(records, fusion):
            name = str(row["layer"]) if row["part"] == "output" else f"{row['layer']} {row['part']}"
            by_layer.add_row(name, *(f"{share:.3f}" for share in row["shares"]))
        out.print("by encoder layer, mean over languages")
        out.print(by_layer)
        out.print(f"{1 / len(adapters):.3f} each would be no preference")


def _table(first: str, adapters: tuple[str, ...]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE)
    table.add_column(first)
    for name in adapters:
        table.add_column(Text(name), justify="right")
    return table
