"""Readers of tagged sentences: columns, characters, CCGbank, Universal Dependencies. Torch-free.

Files of a token a line have blank lines between sentences; a bad line spoils its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adaptrans.errors import DataError
from adaptrans.task_types.letters import continues
from adaptrans.tasks.readers.files import Problem, Row, read_lines, strict

Lines = list[tuple[int, str]]
"""The lines of a sentence, with their numbers."""

Parse = Callable[[Lines, Callable[[int, str], None]], Row | None]
"""Makes a row of the lines of a sentence, and tells of a line, by its number, what is wrong with it."""


def _sentences(
    path: Path, problem: Problem, parse: Parse, *, end: str | None = None, comment: str | None = None
) -> Iterator[Row]:
    """The sentences of a file of a token a line, but for those with a bad line.

    Args:
        path: The file.
        problem: Handler of bad lines.
        parse: What a sentence is made by.
        end: The line between sentences; None for any blank one.
        comment: What a line of no token begins with.
    """
    faults: list[DataError] = []

    def sentence(lines: Lines) -> Iterator[Row]:
        row = parse(lines, lambda number, fault: faults.append(DataError(fault, path, number)))
        if row is not None and not faults:
            yield row
        # Lines that are no text were met before the others of their sentence.
        found = sorted(faults, key=lambda error: error.line or 0)
        faults.clear()
        for fault in found:
            problem(fault)

    lines: Lines = []
    for number, line in read_lines(path, faults.append):
        if line == end or (end is None and not line.strip()):
            yield from sentence(lines)
            lines = []
        elif comment is None or not line.startswith(comment):
            lines.append((number, line))
    yield from sentence(lines)


def _tagged(lines: list[int], words: list[str], tags: list[Any]) -> Row | None:
    """A sentence as a row: words, tags, and the line of each."""
    return Row(lines[0], {"words": words, "tags": tags, "lines": lines}) if words else None


def read_columns(
    path: Path,
    problem: Problem = strict,
    *,
    separator: str = "\t",
    prefix: bool = False,
    missing_tag: str | None = None,
    empty_words: bool = False,
) -> Iterator[Row]:
    """Sentences of a file with `word TAB tag` lines.

    Args:
        path: The file.
        problem: Handler of bad lines.
        separator: What stands between word and tag; a space inside a word is an error either way.
        prefix: Whether words carry a `lang:` prefix, removed up to the first colon.
        missing_tag: Tag of a line without one, in a sentence that has tags; how many were
            given it stands in the row as `filled`.
        empty_words: Keep a word of no characters, which the model sees as the unknown token.

    Source: XTREME's preprocessing of PAN-X and UD-POS.
    """

    def parse(lines: Lines, spoil: Callable[[int, str], None]) -> Row | None:
        words: list[str] = []
        tags: list[str | None] = []
        for number, line in lines:
            cells = line.split(separator)
            word = cells[0].strip()
            if prefix:
                before, colon, word = word.partition(":")
                if not colon:
                    spoil(number, f'word "{before}" has no language prefix')
            if len(cells) > 2 or not (word or empty_words):
                found = "an empty word" if not word else f"{len(cells)} columns"
                spoil(number, f"expected a word and a tag, found {found}")
            words.append(word)
            tags.append((cells[1].strip() or None) if len(cells) == 2 else None)
        row = _tagged([number for number, _ in lines], words, tags)
        if row is not None and row.values and None in tags and any(tags):
            row.values["tags"] = [tag or missing_tag or "" for tag in tags]
            row.values["filled"] = tags.count(None) if missing_tag else 0
        return row

    return _sentences(path, problem, parse)


def read_characters(path: Path, problem: Problem = strict, *, comment: str = "##") -> Iterator[Row]:
    """Sentences of a file with `character TAB tag` lines, joined to words at white space.

    A character may be a letter with its combining marks. A word has the tag of its first character that is
    not `O`, so that a name with a particle behind it, or a bracket before it, is one tagged word.

    Args:
        path: The file.
        problem: Handler of bad lines.
        comment: What a line of no character begins with.

    Source: the layout of KLUE-NER.
    """

    def parse(lines: Lines, spoil: Callable[[int, str], None]) -> Row | None:
        words: list[str] = []
        tags: list[str] = []
        numbers: list[int] = []
        inside = False
        for number, line in lines:
            character, tab, tag = line.rpartition("\t")
            tag = tag.strip()
            one = bool(character) and all(continues(character, place) for place in range(1, len(character)))
            if not tab or not one or not tag:
                spoil(number, "expected a character, a tab and a tag")
            elif not character.strip():
                inside = False
            elif inside:
                words[-1] += character
                tags[-1] = tag if tags[-1] == "O" else tags[-1]
            else:
                words.append(character)
                tags.append(tag)
                numbers.append(number)
                inside = True
        return _tagged(numbers, words, tags)

    return _sentences(path, problem, parse, end="", comment=comment)


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


# Which tag a fused form takes: the first of this order that one of its words has.
# Source: coastalcph/ud-conversion-tools, conllu_to_conll.py, which XTREME runs.
_PREFERENCE = {
    "default": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
_ZERO_WIDTH_NON_JOINER = "\u200c"


def read_conllu(path: Path, problem: Problem = strict, *, lang: str = "default") -> Iterator[Row]:
    """Sentences of a CoNLL-U file in XTREME's form.

    Multi-word tokens stand as their fused form, with the preferred tag of
    their words; empty nodes are left out; U+200C and spaces inside words are
    removed. A sentence is kept if no word is `_`, or fewer than (length - 1)
    words are; one that is not kept is a row without values.

    Args:
        path: The file.
        problem: Handler of bad lines.
        lang: Language code, which decides the tag of fused forms.

    Source: XTREME `utils_preprocess.py`.
    """
    order = _PREFERENCE.get(lang, _PREFERENCE["default"]).split()

    def preferred(*tags: str) -> str:
        """The tag that comes first in the order of preference; unlisted tags come last."""
        ranked = [tag for tag in tags if tag in order]
        return min(ranked, key=order.index) if ranked else next(filter(None, tags), "")

    def parse(lines: Lines, spoil: Callable[[int, str], None]) -> Row | None:
        words: list[str] = []
        tags: list[str] = []
        numbers: list[int] = []
        last = fused_until = 0
        for number, line in lines:
            cells = line.split("\t")
            if len(cells) != 10:
                spoil(number, f"expected 10 columns, found {len(cells)}")
                continue
            token, form, tag = cells[0], cells[1].strip(), cells[3].strip()
            if "." in token:
                continue
            first, dash, until = token.partition("-")
            if not first.isdecimal() or (dash and not until.isdecimal()) or int(first) != last + 1:
                spoil(number, f'token id "{token}" does not follow {last}')
                continue
            last += not dash
            if not dash and last <= fused_until:
                tags[-1] = preferred(tags[-1], tag)
                continue
            fused_until = int(until) if dash else fused_until
            words.append(form.replace(_ZERO_WIDTH_NON_JOINER, "").replace(" ", ""))
            tags.append("" if dash else tag)
            numbers.append(number)
        missing = words.count("_")
        if missing and missing >= len(words) - 1:
            return Row(numbers[0], None)
        return _tagged(numbers, words, tags)

    return _sentences(path, problem, parse, comment="#")
