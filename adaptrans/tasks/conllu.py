"""Universal Dependencies files as XTREME reads them: words and UPOS tags. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adaptrans.errors import DataError
from adaptrans.tasks.formats import Row
from adaptrans.tasks.lines import Problem, read_lines, strict

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
