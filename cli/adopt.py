"""`adaptrans adopt`: an adapter that the adapters library, or PEFT, made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import options


def adopt(
    folder: Annotated[Path, typer.Argument(help="Folder of save_adapter, or of a LoRA of PEFT.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What setups call it; by default its own name.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="For a language adapter: its language, such as sw.")
    ] = None,
    above_language: Annotated[
        bool, typer.Option("--above-language", help="It was trained above a language adapter.")
    ] = False,
    allow_bin: Annotated[
        bool, typer.Option("--allow-bin", help="Read pytorch_adapter.bin, a pickle, as bare tensors.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option("--method", help="direft or noreft, where the file does not tell which; else noreft."),
    ] = None,
    backbone: options.Backbone = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Take an adapter made with the adapters library, or a LoRA of PEFT, for setups to use."""
    from adaptrans.hub.import_adapterhub import adopt as take

    where = options.workspace(backbone, None, store, None, "cpu")
    run = take(
        folder,
        where.store,
        where.backbone,
        name=name,
        language=language,
        above_language=above_language,
        pickles=allow_bin,
        method=method,
    )
    called = "{lang}" if language else f"{run.config()['task']}#{run.key}"
    made, notes = run.result()["method"], run.result()["notes"]
    if as_json:
        values = {"run": run.name, "folder": str(run.path), "name": called, "method": made}
        options.print_json({**values, "notes": notes})
        return
    for note in notes[1:]:
        options.say(f"note: {note}")
    print(f"{run.path}: {made}; setups call it {called}")
