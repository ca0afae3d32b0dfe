"""Word lists of the sample suite: one table per language, full inflected forms. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from adaptrans.errors import DataError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Lexicon:
    """The forms of one language.

    Attributes:
        language: ISO code.
        rows: Kind of entry to concept to its forms, as in the columns of the table.
    """

    language: str
    rows: Mapping[str, Mapping[str, tuple[str, ...]]]

    def forms(self, kind: str, concept: str) -> tuple[str, ...]:
        """All forms of a concept.

        Raises:
            KeyError: If the table has no such row.
        """
        return self.rows[kind][concept]

    def form(self, kind: str, concept: str, column: int = 0) -> str:
        """One form of a concept; an empty or absent column means the first one."""
        row = self.rows[kind][concept]
        return (row[column] if column < len(row) else "") or row[0]

    def tag(self, word: str, default: str) -> str:
        """Part of speech of a function word, or the default."""
        return self.rows["tag"].get(word, (default,))[0]


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a table: kind, concept, forms; lines that open with # are comments.

    Raises:
        DataError: If a row has fewer than three columns.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        row = line.split("\t")
        if len(row) < 3:
            raise DataError(f"expected 3 or more columns, found {len(row)}", path, number)
        yield row


@cache
def read_lexicon(language: str) -> Lexicon:
    """Read the table of a language.

    Raises:
        DataError: If a row is malformed or a concept is entered twice.

    Example:
        >>> read_lexicon("en").forms("noun", "boy")
        ('boy', 'boys')
    """
    path = FOLDER / f"{language}.tsv"
    table: dict[str, dict[str, tuple[str, ...]]] = {"tag": {}}
    for kind, concept, *forms in read_rows(path):
        if concept in table.setdefault(kind, {}):
            raise DataError(f"{kind} {concept!r} is entered twice", path)
        table[kind][concept] = tuple(forms)
    return Lexicon(language, MappingProxyType(table))
