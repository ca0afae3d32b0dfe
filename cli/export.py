"""`adaptrans export`: a trained run for plain transformers, or plain adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import options


def export(
    run: Annotated[str, typer.Argument(help="Key of a trained run, or folder of a run or an artifact.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    format_: Annotated[
        str,
        typer.Option("--format", help="transformers, adapters, or auto: the first where possible."),
    ] = "auto",
    head: Annotated[str | None, typer.Option("--head", help="The head of a run of several tasks.")] = None,
    languages: Annotated[
        str | None, typer.Option("--languages", help="Language adapters that go along; comma-separated.")
    ] = None,
    with_backbone: Annotated[
        bool, typer.Option("--with-backbone", help="For adapters: write the encoder too.")
    ] = False,
    backbone: options.Backbone = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Write a trained run so that transformers or adapters loads it without adaptrans."""
    from adaptrans.exporting.transformers import export as write

    made = write(
        run,
        out=out,
        format=format_,
        store=store,
        backbone=backbone,
        head=head,
        languages=[code.strip() for code in (languages or "").split(",") if code.strip()],
        with_backbone=with_backbone,
    )
    if as_json:
        options.print_json(
            {
                "folder": str(made.folder),
                "format": made.format,
                "reason": made.reason,
                "lines": list(made.lines),
            }
        )
        return
    if made.reason and format_ == "auto":
        options.say(f"for adapters: {made.reason}")
    print(f"{made.folder}, for {made.format}; its README.md says how to load it:")
    print("\n".join(made.lines))
