"""Readers of tagged sentences: columns, characters, CCGbank, Universal Dependencies. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptrans.errors import DataError
from adaptrans.task_types.letters import continues
from adaptrans.tasks.readers.tables import Row
from adaptrans.tasks.readers.text import Problem, read_lines, strict


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
        problem: Handler of bad lines; a bad line spoils its sentence.
        lang: Language code, which decides the tag of fused forms.

    Source: XTREME `utils_preprocess.py`.
    """
    sentence = _Sentence(_PREFERENCE.get(lang, _PREFERENCE["default"]).split())
    bad = False

    def spoil(error: DataError) -> None:
        nonlocal bad
        bad = True
        problem(error)

    for number, line in read_lines(path, spoil):
        if not line.strip():
            if sentence.words and not bad:
                yield sentence.row()
            sentence.clear()
            bad = False
        elif not line.startswith("#"):
            fault = sentence.add(number, line)
            if fault:
                spoil(DataError(fault, path, number))
    if sentence.words and not bad:
        yield sentence.row()


class _Sentence:
    """The tokens of one sentence while its lines come in."""

    def __init__(self, preference: list[str]) -> None:
        self.preference = preference
        self.clear()

    def clear(self) -> None:
        """Begin a new sentence."""
        self.words: list[str] = []
        self.tags: list[str] = []
        self.lines: list[int] = []
        self.fused_until = 0
        self.last = 0

    def add(self, number: int, line: str) -> str | None:
        """Take one token line; what is wrong with it, if anything."""
        cells = line.split("\t")
        if len(cells) != 10:
            return f"expected 10 columns, found {len(cells)}"
        token, form, tag = cells[0], cells[1].strip(), cells[3].strip()
        if "." in token:
            return None
        first, dash, until = token.partition("-")
        if not first.isdecimal() or (dash and not until.isdecimal()) or int(first) != self.last + 1:
            return f'token id "{token}" does not follow {self.last}'
        if dash:
            self.fused_until = int(until)
            self._append(number, form, "")
            return None
        self.last += 1
        if self.last <= self.fused_until:
            self.tags[-1] = self._preferred(self.tags[-1], tag)
        else:
            self._append(number, form, tag)
        return None

    def _append(self, number: int, form: str, tag: str) -> None:
        self.words.append(form.replace(_ZERO_WIDTH_NON_JOINER, "").replace(" ", ""))
        self.tags.append(tag)
        self.lines.append(number)

    def _preferred(self, old: str, new: str) -> str:
        """The tag that comes first in the order of preference; unlisted tags come last."""
        order = self.preference
        ranked = [tag for tag in (old, new) if tag in order]
        return min(ranked, key=order.index) if ranked else old or new

    def row(self) -> Row:
        """The sentence as a row, without values if too many of its words are missing."""
        missing = self.words.count("_")
        kept = missing == 0 or missing < len(self.words) - 1
        values = {"words": self.words, "tags": self.tags, "lines": self.lines}
        return Row(self.lines[0], dict(values) if kept else None)
