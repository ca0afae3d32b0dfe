"""All analyses of a table of scores, in order, corrected together. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.covariates import Distances, english_distances, language_columns
from adaptrans.analysis.study.findings import Part, corrected_parts
from adaptrans.analysis.study.score_table import ScoreTable
from adaptrans.errors import AdaptransError, ConfigError, UnknownNameError


@dataclass(frozen=True)
class StudyPage:
    """Everything that the analyses of a study say.

    Args:
        name: Name of the study.
        description: A line for the reader.
        parts: One per analysis, p-values corrected over all of them.
        counts: Numbers of rows, languages and so on of the whole table.
        notes: What the reader of the numbers has to know.
    """

    name: str
    description: str
    parts: tuple[Part, ...]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """A sentence for each finding, those that are marked first."""
        found = [finding for part in self.parts for finding in part.findings]
        return [finding.sentence for finding in sorted(found, key=lambda item: not item.significant)]


def with_covariates(table: ScoreTable, distances: Distances | None, data: Path | None) -> ScoreTable:
    """The table with what is known of its languages, where it has no column of that name itself."""
    if "language" not in table.frame:
        return table
    codes = list(table.texts("language"))
    unique = sorted(set(codes))
    notes = list(table.notes)
    columns = {}
    for name, values in language_columns(unique).items():
        known = dict(zip(unique, values, strict=True))
        columns[name] = [known[code] for code in codes]
    for kind in distances.kinds if distances is not None else ():
        known_distances, said = english_distances(kind, unique, data)
        columns[f"{kind}_distance"] = [known_distances.get(code, float("nan")) for code in codes]
        notes.append(said)
    own = set(table.frame.columns)
    new = {name: values for name, values in columns.items() if name not in own}
    return replace(table.with_columns(new), notes=tuple(notes))


def analyzed(
    name: str,
    description: str,
    analyses: Sequence[Analysis],
    table: ScoreTable,
    advance: Callable[[str], None] = lambda what: None,
) -> StudyPage:
    """Carry out the analyses of a table.

    An analysis that the table is too small for, as that of a part of an experiment may be, is left out and
    said in a note.

    Args:
        name: Name of the study.
        description: A line for the reader.
        analyses: The analyses.
        table: The scores.
        advance: Told the title of each before it is done.

    Raises:
        ConfigError: If none can be carried out.
    """
    parts, notes = [], list(table.notes)
    for analysis in analyses:
        advance(analysis.heading)
        try:
            parts.append(analysis.run(table))
        except UnknownNameError:
            # A column that no table of this study has: a slip in the file, not a lack of runs.
            raise
        except AdaptransError as error:
            notes.append(f"{analysis.heading}: left out: {error}")
    if not parts:
        raise ConfigError(f"{name}: no analysis could be done", remedy="; ".join(notes) or "name some")
    return StudyPage(name, description, tuple(corrected_parts(parts)), table.counts(), tuple(notes))
