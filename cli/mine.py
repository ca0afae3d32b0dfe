"""`adaptrans mine`: translations in two text files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans_cli import options as common


def mine(
    source: Annotated[Path, typer.Argument(help="Text file, plain or .gz, one sentence per line.")],
    target: Annotated[Path, typer.Argument(help="Text file of the other language.")],
    out: Annotated[Path, typer.Option("--out", help="File of pairs: score, both lines, both sentences.")],
    backbone: common.Backbone = None,
    setup: common.SetupText = "full",
    artifact: Annotated[
        Path | None, typer.Option("--artifact", help="Folder of a trained artifact, in place of --setup.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Least margin of a pair, such as 1.06; by default all."),
    ] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Write the best N pairs at most.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="exact or IVF (approximate); by default by size.")
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer", help="hidden_states\\[LAYER], 0 = embeddings; by default the backbone's or 14 of 24."
        ),
    ] = None,
    pooling: Annotated[str, typer.Option("--pooling", help="mean or cls.")] = "mean",
    max_length: Annotated[int, typer.Option("--max-length", min=3, help="Tokens per sentence.")] = 128,
    data: common.Data = None,
    store: common.StoreFolder = common.DEFAULT_STORE,
    tasks: common.TaskFolders = None,
    method: common.Method = common.DEFAULT_METHOD,
    seed: common.Seed = 1,
    device: common.Device = "auto",
    precision: common.Precision = None,
    as_json: common.Json = False,
) -> None:
    """Find sentences that translate each other in two unaligned files, by ratio margin."""
    from dataclasses import asdict

    from adaptrans.evaluation.bitext_mining.files import Options, artifact_model, mine_files, setup_model
    from adaptrans.experiments.commands import plan_mining

    where = common.workspace(backbone, data, store, tasks, device)
    options = Options(
        layer=layer,
        pooling=pooling,
        max_length=max_length,
        precision=precision or "auto",
        search=search,
        threshold=threshold,
        top=top,
    )
    if artifact is None:
        model = setup_model(where, *plan_mining(setup, where=where, method=method, seed=seed), method, seed)
    else:
        model = artifact_model(where, artifact)
    found = mine_files(source, target, out, where=where, model=model, options=options)
    if as_json:
        common.print_json(asdict(found))
        return
    for path, side in ((source, found.sources), (target, found.targets)):
        left_out = f"{side['repeated']:,} repeated and {side['blank']:,} blank lines left out"
        print(f"{path}: {side['sentences']:,} sentences, {left_out}")
    how = "exact" if found.search == "exact" else "approximate (IVF)"
    print(f"vectors: {found.vectors}; {how} search; kept in {found.work}")
    print(f"{found.out}: {found.written:,} of {found.candidates:,} candidate pairs")
