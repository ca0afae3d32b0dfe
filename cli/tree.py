"""What an experiment would compute, as a tree: every run below what it builds on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.tree import Tree

    from adaptrans.experiments.engine import Work


def show_tree(name: str, items: Sequence[Work], left_out: Sequence[str] = ()) -> None:
    """Print the runs of an experiment, with what exists already.

    Args:
        name: Name of the experiment.
        items: Its runs, each after those it builds on.
        left_out: Cells that cannot be, each with its reason.
    """
    from rich.text import Text
    from rich.tree import Tree

    from adaptrans_cli.tables import console

    to_do = sum(not item.done for item in items)
    root = Tree(Text(f"{name}: {len(items)} runs, {to_do} to compute", "bold"))
    branches: dict[Path, Tree] = {}
    for item in items:
        needs = [path for path in sorted(item.needs) if path in branches]
        others = f" (and {len(needs) - 1} more)" if len(needs) > 1 else ""
        below = branches[needs[-1]] if needs else root
        mark = "done " if item.done else "to do"
        label = Text(f"{mark} {item.what}{others} [{item.run.key}]", "green" if item.done else "")
        branches[item.run.path] = below.add(label)
    out = console()
    out.print(root)
    for line in left_out:
        out.print(Text(f"note: {line}"))
