"""From a plan whose cells are done to its tables: one per target, regime and backbone. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adaptrans.experiments.apart import tables_of
from adaptrans.experiments.compare import Entry, TargetTable, corrected
from adaptrans.experiments.plan import Cell, Plan
from adaptrans.models.control import control_name, control_of
from adaptrans.models.setup import parse


def filled_tables(
    planned: Plan, targets: Sequence[str], baseline: str, cache: Path
) -> tuple[list[TargetTable], list[str]]:
    """The tables of a plan, p-values corrected over them, and the targets without one.

    Rows that are not zero-shot stand in tables of their own, beside the baseline of their own kind.

    Args:
        planned: The plan; its cells are done.
        targets: The targets, in order.
        baseline: The setup that differences are taken to.
        cache: Folder in which tables are kept.
    """
    names = {_backbone(cell) for cell in planned.cells}
    own = [cell for cell in planned.cells if control_of(_backbone(cell)) not in names]
    tables, unscored = [], []
    for backbone in dict.fromkeys(map(_backbone, own)):
        for regime in dict.fromkeys(cell.regime for cell in own):
            for target in targets:
                found = [
                    cell
                    for cell in planned.cells
                    if (cell.target, cell.regime) == (target, regime)
                    and _backbone(cell) in (backbone, control_name(backbone))
                ]
                entries = row_entries(found, backbone)
                if not entries:
                    continue
                made = tables_of(entries, regime.row(str(parse(baseline))), cache)
                tables += made
                if not made:
                    unscored.append(regime.row(target))
    lacking = [name for name in targets if name not in {cell.target for cell in own}]
    return corrected(tables), list(dict.fromkeys([*unscored, *lacking]))


def row_entries(cells: Sequence[Cell], backbone: str) -> list[Entry]:
    """The rows of one target on a backbone: all seeds of a setup, each with its control."""
    rows: dict[str, list[Cell]] = {}
    controls: dict[str, list[Cell]] = {}
    for cell in cells:
        (rows if _backbone(cell) == backbone else controls).setdefault(cell.row, []).append(cell)
    found = []
    for row, own in rows.items():
        languages = set.intersection(*(set(cell.evaluation.wanted_languages) for cell in own))
        order = tuple(code for code in own[0].evaluation.wanted_languages if code in languages)
        others = tuple(cell.evaluation.run for cell in controls.get(row, []))
        found.append(Entry(row, tuple(cell.evaluation.run for cell in own), order, others))
    return found


def _backbone(cell: Cell) -> str:
    return cell.evaluation.workspace.backbone.name
