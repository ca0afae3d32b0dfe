"""Readers of tagged sentences: a word a line, a character a line, `word|POS|tag`, CCGbank's derivations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptrans.errors import DataError
from adaptrans.tasks.formats import Row
from adaptrans.tasks.kinds.letters import continues
from adaptrans.tasks.lines import Problem, read_lines, strict


def read_columns(
    path: Path,
    problem: Problem = strict,
    *,
    separator: str = "\t",
    prefix: bool = False,
    missing_tag: str | None = None,
    empty_words: bool = False,
) -> Iterator[Row]:
    """Sentences of a file with `word TAB tag` lines and blank lines between sentences.

    Args:
        path: The file.
        problem: Handler of bad rows; a bad line spoils its sentence.
        separator: What stands between word and tag; a space inside a word is an error either way.
        prefix: Whether words carry a `lang:` prefix, removed up to the first colon.
        missing_tag: Tag of a line without one, in a sentence that has tags; how many were
            given it stands in the row as `filled`.
        empty_words: Keep a word of no characters, which the model sees as the unknown token.

    Source: XTREME's preprocessing of PAN-X and UD-POS.
    """
    words: list[str] = []
    tags: list[str | None] = []
    start, bad = 1, False

    def spoil(error: DataError) -> None:
        nonlocal bad
        bad = True
        problem(error)

    for number, line in read_lines(path, spoil):
        if not line or line.isspace():
            if words and not bad:
                yield _sentence(start, words, tags, missing_tag)
            words, tags, bad = [], [], False
            continue
        if not words:
            start = number
        cells = line.split(separator)
        word = cells[0].strip()
        if prefix:
            before, colon, word = word.partition(":")
            if not colon:
                spoil(DataError(f'word "{before}" has no language prefix', path, number))
        if len(cells) > 2 or not (word or empty_words):
            found = "an empty word" if not word else f"{len(cells)} columns"
            spoil(DataError(f"expected a word and a tag, found {found}", path, number))
        words.append(word)
        tags.append((cells[1].strip() or None) if len(cells) == 2 else None)
    if words and not bad:
        yield _sentence(start, words, tags, missing_tag)


def _sentence(start: int, words: list[str], tags: list[str | None], missing: str | None) -> Row:
    values: dict[str, Any] = {"words": words, "tags": tags, "lines": range(start, start + len(words))}
    if None in tags and any(tags):
        values["tags"] = [tag or missing or "" for tag in tags]
        values["filled"] = tags.count(None) if missing else 0
    return Row(start, values)


def read_characters(path: Path, problem: Problem = strict, *, comment: str = "##") -> Iterator[Row]:
    """Sentences of a file with `character TAB tag` lines, joined to words at white space.

    A character may be a letter with its combining marks.

    A word has the tag of its first character that is not `O`, so that a name
    with a particle behind it, or a bracket before it, is one tagged word.

    Args:
        path: The file.
        problem: Handler of bad rows; a bad line spoils its sentence.
        comment: What a line of no character begins with.

    Source: the layout of KLUE-NER.
    """
    characters: list[tuple[int, str, str]] = []
    bad = False

    def spoil(error: DataError) -> None:
        nonlocal bad
        bad = True
        problem(error)

    for number, line in read_lines(path, spoil):
        if not line:
            if characters and not bad:
                yield _joined(characters)
            characters, bad = [], False
        elif not line.startswith(comment):
            character, tab, tag = line.rpartition("\t")
            one = bool(character) and all(continues(character, place) for place in range(1, len(character)))
            if not tab or not one or not tag.strip():
                spoil(DataError("expected a character, a tab and a tag", path, number))
            characters.append((number, character, tag.strip()))
    if characters and not bad:
        yield _joined(characters)


def _joined(characters: list[tuple[int, str, str]]) -> Row:
    words: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    inside = False
    for number, character, tag in characters:
        if not character.strip():
            inside = False
        elif inside:
            words[-1] += character
            tags[-1] = tag if tags[-1] == "O" else tags[-1]
        else:
            words.append(character)
            tags.append(tag)
            lines.append(number)
            inside = True
    return Row(characters[0][0], {"words": words, "tags": tags, "lines": lines})


def read_supertags(path: Path, problem: Problem = strict, *, separator: str = "|") -> Iterator[Row]:
    """Sentences of a file with one sentence a line, as `word|POS|supertag word|POS|supertag ...`.

    Args:
        path: The file.
        problem: Handler of bad lines.
        separator: What stands between the parts of a token.

    Source: the input of the C&C supertagger; lines beginning with `#` are its preamble.
    """
    for number, line in read_lines(path, problem):
        tokens = [token.rsplit(separator, 2) for token in line.split()]
        # A word may begin with # as well.
        if not tokens or (line.startswith("#") and len(tokens[0]) == 1):
            continue
        odd = next((token for token in tokens if len(token) != 3 or not all(token)), None)
        if odd is not None:
            shown = separator.join(odd)
            message = f'expected word{separator}POS{separator}supertag, found "{shown}"'
            problem(DataError(message, path, number))
            continue
        words, _, tags = (list(column) for column in zip(*tokens, strict=True))
        yield Row(number, {"words": words, "tags": tags, "lines": [number] * len(words)})


_LEAF = re.compile(r"\(<L (\S+) \S+ \S+ (\S+) \S+>\)")


def read_derivations(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """Sentences of CCGbank's `.auto` files: the words and categories of each derivation's leaves.

    A derivation is the line after one that begins with `ID=`; its leaves are
    `(<L category POS POS word category>)`. Without a derivation there is no sentence.

    Args:
        path: The file.
        problem: Handler of lines that hold no derivation.

    Source: Hockenmaier and Steedman, CCGbank manual, 2005, section on machine-readable derivations.
    """
    for number, line in read_lines(path, problem):
        if not line.strip() or line.startswith("ID="):
            continue
        leaves = _LEAF.findall(line)
        if not line.startswith("(<") or len(leaves) != line.count("<L "):
            problem(DataError("expected a derivation whose leaves are (<L ...>)", path, number))
            continue
        tags, words = (list(column) for column in zip(*leaves, strict=True))
        yield Row(number, {"words": words, "tags": tags, "lines": [number] * len(words)})
