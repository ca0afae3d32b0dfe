"""`adaptrans doctor`: what this installation has and lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from adaptrans_cli import options

if TYPE_CHECKING:
    from adaptrans.doctor import Finding

MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "missing": "[red]missing[/red]"}


def doctor(
    backbone: options.Backbone = None,
    data: options.Data = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    tasks: options.TaskFolders = None,
    as_json: options.Json = False,
) -> None:
    """Show versions, devices, hub, caches, data and backbone, and how to get what is missing.

    Exit code 1 if something is missing without which runs fail.
    """
    from dataclasses import asdict

    from adaptrans.doctor import examine

    findings = examine(store, data, backbone, tasks or ())
    if as_json:
        options.print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.level == "missing" for finding in findings):
        raise typer.Exit(1)


def _print(findings: Sequence[Finding]) -> None:
    try:
        from rich.table import Table
        from rich.text import Text

        from adaptrans_cli.tables import console
    except ImportError:  # rich may be what is missing
        for finding in findings:
            print(
                *(part for part in (finding.level, finding.subject, finding.found, finding.remedy) if part),
                sep="  ",
            )
        return
    table = Table("", "subject", "found", "what to do")
    for finding in findings:
        cells = (finding.subject, finding.found, finding.remedy)
        table.add_row(MARKS[finding.level], *(Text(cell) for cell in cells))
    console().print(table)
