"""Tables by group of languages: family, or how much text a language has. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from adaptrans import languages
from adaptrans.errors import UnknownNameError
from adaptrans.experiments.apart import data_of, scored_in, together
from adaptrans.experiments.compare import Entry, TargetTable, compared, corrected

By = Literal["family", "resource"]

UNKNOWN = "not known"


@dataclass(frozen=True)
class GroupTable:
    """The table of one target over the languages of a group.

    Args:
        group: Name of the group.
        languages: Its languages that every setup was scored in.
        table: The table; its means are over these languages.
    """

    group: str
    languages: tuple[str, ...]
    table: TargetTable


def group_of(code: str, by: str) -> str:
    """The group of a language.

    Args:
        code: The language.
        by: `family`, or `resource` for the classes 0 to 5 of Joshi et al. 2020.

    Raises:
        UnknownNameError: If languages are not grouped so.

    Example:
        >>> group_of("sw", "family"), group_of("sw", "resource"), group_of("de", "resource")
        ('Niger-Congo', 'class 2', 'class 5')
    """
    if by not in get_args(By):
        raise UnknownNameError("grouping", by, get_args(By))
    try:
        found = languages.get(code)
    except UnknownNameError:
        return UNKNOWN
    if by == "family":
        return found.family or UNKNOWN
    return UNKNOWN if found.resource_class is None else f"class {found.resource_class}"


def grouped(entries: Sequence[Entry], baseline: str, by: str, cache: Path) -> list[GroupTable]:
    """Compare setups on one target, over the languages of each group apart.

    P-values are corrected over all groups of the target together. Languages that only some setups have are
    named in the notes, and setups that share none stand in groups of their own.

    Args:
        entries: One per setup, all of the same target.
        baseline: The setup that differences are taken to.
        by: How languages are grouped, see `group_of`.
        cache: Folder in which tables are kept.
    """
    parts, notes = together(entries, baseline)
    found = []
    for part in parts:
        shared = {code for code, _ in frozenset.intersection(*map(data_of, part))}
        partial = sorted({code for entry in part for code in entry.scored} - shared)
        lacking = [f"in no group, because not every setup has them: {', '.join(partial)}"] if partial else []
        which = scored_in(part) if len(parts) > 1 else ""
        groups: dict[str, list[str]] = {}
        for code in sorted(shared):
            groups.setdefault(group_of(code, by), []).append(code)
        for name, codes in sorted(groups.items()):
            table = compared([replace(entry, languages=tuple(codes)) for entry in part], baseline, cache)
            if table is not None:
                said = dict.fromkeys([*table.notes, *notes, *lacking])
                found.append((name, replace(table, notes=tuple(said), which=which)))
    tables = corrected([table for _, table in found])
    return [GroupTable(name, table.scored, table) for (name, _), table in zip(found, tables, strict=True)]
