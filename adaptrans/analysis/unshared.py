"""Setups that cannot stand in one table: they share no scored language, or not the same data. Torch-free.

Nothing that was scored is left out of sight: such setups stand in tables of their own, which say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptrans.analysis.comparison import SHARED, Entry, TargetTable, compared
from adaptrans.runs.store import Run


def tables_of(entries: Sequence[Entry], baseline: str, cache: Path) -> list[TargetTable]:
    """The tables of one target and regime; empty if nothing of it has a score.

    Args:
        entries: One per setup.
        baseline: The setup that differences are taken to; it stands in the first table.
        cache: Folder in which tables are kept.
    """
    groups, notes = together(entries, baseline)
    made = [(group, compared(group, baseline, cache)) for group in groups]
    known = {code for _, table in made if table is not None for code in table.scored}
    found = []
    for group, table in made:
        if table is not None:
            said = dict.fromkeys([*table.notes, *notes])
            which = scored_in(group) if len(groups) > 1 else ""
            missing = tuple(code for code in table.missing if code not in known)
            found.append(replace(table, notes=tuple(said), which=which, missing=missing))
    return found


def together(entries: Sequence[Entry], baseline: str) -> tuple[list[list[Entry]], list[str]]:
    """Setups that share a scored language on the same data, and why they are not all in one table.

    Each setup joins the first group that it shares a language with, the baseline's before others.

    Args:
        entries: One per setup, all of the same target.
        baseline: The setup that differences are taken to.
    """
    notes: list[str] = []
    rows: list[Entry] = []
    for entry in entries:
        own = _seeds_together(entry)
        if len(own) > 1:
            notes.append(f"seeds of {entry.setup} share no scored language: they stand in rows of their own")
        rows += own
    order = sorted(rows, key=lambda entry: entry.setup != baseline)
    groups: list[list[Entry]] = []
    for entry in order:
        if not data_of(entry):
            notes.append(f"{entry.setup} has no score: its data have no reference labels")
            continue
        group = next((group for group in groups if _shared([*group, entry])), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    places = {id(entry): place for place, entry in enumerate(rows)}
    groups = [sorted(group, key=lambda entry: places[id(entry)]) for group in groups]
    if len(groups) > 1:
        parts = " and ".join(
            f"{', '.join(entry.setup for entry in group)} ({scored_in(group)})" for group in groups
        )
        target = entries[0].run.result()["target"]
        notes.append(
            f"{target}: {parts} share no language that was scored on the same data; they stand in tables "
            "of their own, and no difference is taken between these"
        )
    return groups, notes


def scored_in(entries: Sequence[Entry]) -> str:
    """The languages that some setups share, in words."""
    codes = sorted(code for code, _ in _shared(entries))
    more = f" and {len(codes) - 6} more" if len(codes) > 6 else ""
    return f"in {', '.join(codes[:6])}{more}"


def data_of(entry: Entry) -> frozenset[tuple[str, str]]:
    """The languages that every seed was scored in, each with its data."""
    return frozenset((code, entry.results[0][code].data) for code in entry.scored)


def _shared(entries: Sequence[Entry]) -> frozenset[tuple[str, str]]:
    return frozenset.intersection(*map(data_of, entries))


def _seeds_together(entry: Entry) -> list[Entry]:
    """A setup, or its seeds apart where they share no language; controls go with all seeds alone."""
    alone = [replace(entry, runs=(run,), controls=()) for run in entry.runs]
    if data_of(entry) or len(alone) == 1 or not any(map(data_of, alone)):
        return [entry]
    groups: list[list[Entry]] = []
    for one in alone:
        group = next((group for group in groups if _shared([*group, one])), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    found = []
    for group in groups:
        seeds = ", ".join(str(one.run.config().get("seed")) for one in group)
        word = "seed" if len(group) == 1 else "seeds"
        runs = tuple(one.run for one in group)
        # What has no training has no seed.
        found.append(replace(entry, setup=f"{entry.setup} {word} {seeds}", runs=runs, controls=()))
    return found


NAMES = {
    "max_length": "maximum length",
    "definition": "task definition",
    "backbone": "weights of the backbone",
}
"""Options whose name in a run says little."""


def told_apart(tables: Sequence[TargetTable], runs: Mapping[str, Run]) -> list[TargetTable]:
    """Tables of one target, backbone and regime, each with the options in which it differs from the others.

    Args:
        tables: The tables.
        runs: The store's runs by key.
    """
    places = [(table.target, table.backbone, table.regime) for table in tables]
    found = []
    for table, place in zip(tables, places, strict=True):
        same = [other for other, at in zip(tables, places, strict=True) if at == place]
        configs = [_options(other, runs) for other in same]
        own = _options(table, runs)
        differ = [name for name in SHARED if len({repr(config.get(name)) for config in configs}) > 1]
        which = [said for name in differ if (said := _said(name, own.get(name)))]
        found.append(replace(table, which=", ".join(filter(None, [table.which, *which]))))
    return found


def _options(table: TargetTable, runs: Mapping[str, Run]) -> Mapping[str, Any]:
    run = runs.get(table.rows[0].run.rpartition("-")[2])
    return {} if run is None else run.config()


def _said(name: str, value: Any) -> str:
    """An option in few words.

    Example:
        >>> _said("limit", 100), _said("limit", None), _said("backbone", "0123456789abcdef")
        ('limit 100', 'no limit', 'weights of the backbone 01234567')
    """
    words = NAMES.get(name, name)
    if value is None:
        return f"no {words}"
    return f"{words} {str(value)[:8] if name in ('definition', 'backbone') else value}"
