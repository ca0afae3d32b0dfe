"""From evaluations of a store to rows: what stands side by side, and what are seeds of one. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptrans.analysis.comparison import SHARED, Entry, TargetTable, corrected
from adaptrans.analysis.unshared import tables_of
from adaptrans.errors import ArtifactError, UnknownNameError
from adaptrans.experiments.plan import Cell, Plan
from adaptrans.modeling.setup.nodes import Setup, below_target
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.shuffled_baseline import control_name, control_of
from adaptrans.runs.evaluation import BARE
from adaptrans.runs.store import Run, Store
from adaptrans.utils.io import digest

OF_A_SEED = ("seed", "parents", "trained")
"""Inputs that differ between the seeds of a row; runs among them are compared by what made them."""


def store_entries(runs: Sequence[Run], others: Sequence[Run] = ()) -> dict[str, list[Entry]]:
    """Finished evaluations of a store by target and options, one entry per trained setup.

    Runs that differ in their seed alone are one entry. Retrieval has no training: what answers below
    `target` (`backbone`, `mnli`, ...) stands in a row of its own name. Where two different rows would have
    the same name, their keys tell them apart.

    Args:
        runs: The evaluations.
        others: The runs they build on, by which seeds of the same training are told from other training.
    """
    known = {run.key: run for run in others}
    groups: dict[str, list[Run]] = {}
    for run in runs:
        config = run.config()
        groups.setdefault(digest([config.get(name) for name in SHARED]), []).append(run)
    found = {}
    for members in groups.values():
        config = members[0].config()
        found[f"{config['task']} {config['split']} {members[0].key}"] = _entries(members, known)
    return dict(sorted(found.items()))


def evaluated(root: Store, target: str | None, baseline: str | None) -> list[tuple[list[Entry], str]]:
    """The rows of every table of a store, with the row that is its baseline; empty without one.

    Args:
        root: The store.
        target: Only this target.
        baseline: The setup that differences are taken to; by default `full`.

    Raises:
        ArtifactError: If the store holds no evaluation of the target.
        UnknownNameError: If a baseline is given that no table has.
    """
    groups = list(store_entries(root.runs("evaluate"), root.runs()).values())
    if target is not None:
        groups = [found for found in groups if found[0].run.config()["task"].partition("@")[0] == target]
    if not groups:
        what = f"of {target} " if target else ""
        raise ArtifactError(
            f"{root.root} holds no scored evaluation {what}yet", remedy="run adaptrans evaluate first"
        )
    rows = [baseline_of(found, baseline or "full") for found in groups]
    if baseline is not None and not any(rows):
        labels = {entry.setup for found in groups for entry in found}
        raise UnknownNameError("baseline", baseline, labels, remedy="no evaluated setup has this name")
    return [(found, row or "") for found, row in zip(groups, rows, strict=True)]


def _entries(members: Sequence[Run], known: Mapping[str, Run]) -> list[Entry]:
    """The rows of one table, seeds of the same training together."""
    rows: dict[str, dict[Any, Run]] = {}
    for run in members:
        own = rows.setdefault(signature(run, known), {})
        # The newest of two runs of one seed that differ in nothing that counts here.
        own[run.config().get("seed")] = run
    labels = [row_label(next(iter(own.values())).config(), len(own)) for own in rows.values()]
    found = []
    for label, own in zip(labels, rows.values(), strict=True):
        runs = tuple(own[seed] for seed in sorted(own, key=lambda seed: (seed is not None, seed)))
        alone = labels.count(label) == 1
        found.append(Entry(label if alone else f"{label} #{runs[0].key[:6]}", runs))
    return found


def signature(run: Run, known: Mapping[str, Run]) -> str:
    """Hash of all that went into a run but its seed, and the same of what it builds on."""
    config = run.config()
    own = {name: value for name, value in config.items() if name not in OF_A_SEED}
    before = {"trained": config.get("trained"), **config.get("parents", {})}
    if isinstance(config.get("shots"), dict):
        before |= own.pop("shots")
    below = {
        name: signature(known[key], known) if key in known else key for name, key in before.items() if key
    }
    return digest([own, below])


def row_label(config: Mapping[str, Any], seeds: int = 1) -> str:
    """Name of a row: the setup, with what was seen of the target languages, and method and seed if unusual.

    Args:
        config: Inputs of an evaluation.
        seeds: How many seeds the row has; the seed of one alone is named unless it is the usual one.
    """
    method = "" if config["method"] in ("full", "none") else f" ({config['method']})"
    regime = f" {config['regime']}" if config.get("regime") else ""
    seed = "" if seeds > 1 or config["seed"] in (None, 1) else f" seed {config['seed']}"
    return f"{config['setup']}{method}{regime}{seed}"


def baseline_of(entries: Sequence[Entry], baseline: str) -> str | None:
    """The row that a baseline stands for: by its full name, or by its setup if only one row has it.

    For retrieval a setup stands for what of it answers, so `full` is the bare backbone.
    """
    labels = [entry.setup for entry in entries]
    if baseline in labels:
        return baseline
    setup = parse(baseline)
    below = below_target(setup)
    names = {False: str(setup), True: str(Setup(below)) if below else BARE}
    matches = [
        entry.setup
        for entry in entries
        if entry.run.config()["setup"] == names["layer" in entry.run.config()]
    ]
    return matches[0] if len(matches) == 1 else None


def planned_tables(
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
    """The rows of one target on a backbone: all seeds of a setup, each with its shuffled-weights baseline."""
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
