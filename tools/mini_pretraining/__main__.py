"""`python -m mini_pretraining CONFIG`: train a small multilingual encoder from text, or go on with one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def pretrain(
    config: Annotated[Path, typer.Argument(help="YAML file, such as the mini configuration.")],
    text: Annotated[
        Path | None,
        typer.Option(
            "--data", "--text", help="Text folder, or data folder with text/ in it.", envvar="ADAPTRANS_DATA"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; resumed if it has a checkpoint.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the configuration's.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps in all, instead of the configuration's.")
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0, help="Stop this session after so many hours.")] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:1, ...")] = "cpu",
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume under a changed configuration or text.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be read, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress line.")] = False,
) -> None:
    """Pretrain an encoder in the form of XLM-R on a folder of text.

    The run resumes from its last checkpoint: give the same command again after a stop
    of any kind. The model is in OUT/model, and is renewed while the run goes on.
    """
    from adaptrans.errors import MissingDataError
    from mini_pretraining.config import changed, load_config
    from mini_pretraining.text import inventory, locate, read

    plan = changed(load_config(config), seed=seed, steps=steps)
    if text is None:
        raise MissingDataError("no text folder given", remedy="add --data FOLDER or set ADAPTRANS_DATA")
    folder = locate(text)
    if dry_run:
        _show(inventory(read(folder, plan)), plan.text.sources, as_json=as_json)
        return
    from mini_pretraining import run

    _check_device(device)
    going = run.prepare(
        plan, folder, out or Path("runs") / plan.name, device=device, accept_changes=accept_changes
    )
    run.train(going, hours=hours, quiet=quiet or as_json or "CI" in os.environ)
    result = {
        "model": str(going.out / "model"),
        "step": going.position.step,
        "tokens": going.position.tokens,
        "hours": going.position.seconds / 3600,
        **going.measures,
    }
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
        return
    found = going.measures.get("retrieval", {})
    print(f"{result['model']}: step {result['step']} of {plan.steps}, {result['tokens']} tokens", end="")
    print(f", retrieval {100 * sum(found.values()) / len(found):.1f} %" if found else "")


def _check_device(device: str) -> None:
    import torch

    from adaptrans.errors import ConfigError

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'--device "{device}": {reason}', remedy="use --device cpu") from None


def _show(rows: list[dict[str, str | int]], sources: dict[str, Any], *, as_json: bool) -> None:
    for row in rows:
        stated = sources.get(str(row["source"]))
        row["licence"] = stated.licence if stated else ""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    columns = ("part", "source", "language", "lines", "characters", "licence")
    table = Table(*columns, title="What would be read")
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    Console(file=sys.stdout).print(table)


def main() -> None:
    """Run the command: an expected failure is one line on standard error and exit code 2."""
    from adaptrans.errors import one_line

    try:
        typer.run(pretrain)
    except Exception as error:
        line = one_line(error)
        if line is None or os.environ.get("ADAPTRANS_DEBUG"):
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
