"""Readers of multiple-choice data in their authors' own forms: Winograd schemas, BMLAMA, COPA. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

from adaptrans.errors import DataError
from adaptrans.tasks.readers.files import Problem, Row, damage, parsed_json, read_lines, read_text, strict

GAP = "_"
"""What stands in a sentence in place of what is asked for, as in WinoGrande."""

MIRRORED = 1000
"""What Balanced COPA adds to the number of an item for its mirrored twin."""

_SCHEMA = ("language", "set", "original", "sentence", "tokens", "pronoun", "candidates")


def read_winograd(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """Rows of a file of Winograd schemas, one a line: language, set, sentence, option1, option2, answer.

    A line has seven cells: language, set, the English original, the sentence, its tokens, the pronoun and the
    candidates, the last three as JSON. The sentence of a row has a gap in place of the pronoun, which
    stands there as `pronoun`; the answer is 1 or 2.

    Args:
        path: The file, in the form of XWinograd. Source: github.com/yandex-research/crosslingual_winograd.
        problem: Handler of bad lines.
    """
    for number, line in read_lines(path, problem):
        cells = line.split("\t")
        if len(cells) != len(_SCHEMA):
            problem(DataError(f"expected {len(_SCHEMA)} columns, found {len(cells)}", path, number))
            continue
        try:
            values = _schema(dict(zip(_SCHEMA, cells, strict=True)), path, number)
        except DataError as error:
            problem(error)
            continue
        yield Row(number, values)


def _schema(cells: dict[str, str], path: Path, line: int) -> dict[str, Any]:
    """The row of one schema.

    Raises:
        DataError: If a cell is not what its column holds.
    """
    tokens, pronoun, candidates = (
        parsed_json(cells[name], path, line) for name in ("tokens", "pronoun", "candidates")
    )
    if fault := damage([tokens, pronoun, candidates]):
        raise DataError(fault, path, line)
    try:
        word, (first, past), _ = pronoun
        found = [(str(text), right) for text, _, _, right in candidates]
    except (TypeError, ValueError):
        raise DataError("the pronoun or a candidate is not [text, [from, to], tokens]", path, line) from None
    right = [number for number, (_, is_right) in enumerate(found, 1) if is_right is True]
    if len(found) != 2 or len(right) != 1:
        raise DataError(
            f"expected two candidates, one of them right; found {len(found)}, {len(right)} right", path, line
        )
    start, end = _between(cells["sentence"], tokens, first, past, path, line)
    if cells["sentence"][start:end] != word:
        message = f'tokens {first} to {past} are "{cells["sentence"][start:end]}", not the pronoun "{word}"'
        raise DataError(message, path, line)
    return {
        "language": cells["language"],
        "set": cells["set"],
        "sentence": cells["sentence"][:start] + GAP + cells["sentence"][end:],
        "pronoun": word,
        "option1": found[0][0],
        "option2": found[1][0],
        "answer": right[0],
    }


def _between(text: str, tokens: Any, first: Any, past: Any, path: Path, line: int) -> tuple[int, int]:
    """Where some tokens of a text begin and end; quotes may be written as two backquotes or apostrophes.

    Raises:
        DataError: If a token does not follow the one before it in the text.
    """
    places: list[tuple[int, int]] = []
    position = 0
    for token in tokens if isinstance(tokens, list) else ():
        forms = [str(token).strip(), *(['"'] if token in ("``", "''") else [])]
        found = [(text.find(form, position), len(form)) for form in forms]
        start, length = min((pair for pair in found if pair[0] >= 0), default=(-1, 0))
        if start < 0:
            raise DataError(f'the token "{token}" is not where it should be in the sentence', path, line)
        position = start + length
        places.append((start, position))
    if not isinstance(first, int) or not isinstance(past, int) or not 0 <= first < past <= len(places):
        raise DataError(f"the sentence has no tokens {first} to {past}", path, line)
    return places[first][0], places[past - 1][1]


_FACT = ("prompt", "answer", "candidates", "subject")
_MASK = "<mask>"


def read_bmlama(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """Rows of a file of BMLAMA, one fact a line: prompt with a gap, choices, label, subject.

    The first line is a header, passed over: not every file names its four columns right. The id is the number
    of the fact, the same in every language.

    Args:
        path: The file. Source: github.com/Betswish/Cross-Lingual-Consistency.
        problem: Handler of bad lines.
    """
    for number, line in read_lines(path, problem):
        if number == 1:
            continue
        cells = line.split("\t")
        if len(cells) != len(_FACT):
            problem(DataError(f"expected {len(_FACT)} columns, found {len(cells)}", path, number))
            continue
        fact = dict(zip(_FACT, cells, strict=True))
        choices = fact["candidates"].split(", ")
        if fault := _fact_fault(fact, choices):
            problem(DataError(fault, path, number))
            continue
        yield Row(
            number,
            {
                "id": number - 1,
                "prompt": fact["prompt"].replace(_MASK, GAP),
                "choices": choices,
                "label": choices.index(fact["answer"]),
                "subject": fact["subject"],
            },
        )


def _fact_fault(fact: Mapping[str, str], choices: Sequence[str]) -> str | None:
    masks, times = fact["prompt"].count(_MASK), choices.count(fact["answer"])
    if masks != 1:
        return f"the prompt has {masks} {_MASK}, expected one"
    return None if times == 1 else f'the answer "{fact["answer"]}" is {times} of the candidates, expected one'


class _Items(list[Row]):
    """What a parser of COPA's XML has read."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.parser = parser
        self.item: dict[str, str] = {}
        self.line = 0
        self.text: str | None = None
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "item":
            self.item, self.line = dict(attributes), self.parser.CurrentLineNumber
        self.text = "" if name in ("p", "a1", "a2") else None

    def characters(self, text: str) -> None:
        """Text inside an element."""
        if self.text is not None:
            self.text += text

    def end(self, name: str) -> None:
        """An element ends."""
        if self.text is not None:
            self.item[name] = self.text
            self.text = None
        elif name == "item":
            self.append(Row(self.line, dict(self.item)))


_ITEM = {"asks-for": "question", "p": "premise", "a1": "choice1", "a2": "choice2"}


def read_copa_xml(path: Path, problem: Problem = strict) -> Iterator[Row]:
    """Rows of a file in COPA's XML: id, question, premise, choice1, choice2, label, twin.

    `twin` is "mirrored" for the twin that Balanced COPA adds to an item, with the two choices of the item and
    another premise, and "original" for all others.

    Args:
        path: The file.
        problem: Handler of bad items.

    Raises:
        DataError: If the file is not well-formed XML, or declares entities, which these files do not.
    """
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _no_entities(path, parser)
    items = _Items(parser)
    try:
        parser.Parse(read_text(path), True)
    except expat.ExpatError as error:
        raise DataError(f"not valid XML: {expat.ErrorString(error.code)}", path, error.lineno) from None
    for line, values in items:
        found = values or {}
        lacking = next((name for name in ("id", *_ITEM) if not found.get(name, "").strip()), None)
        answer = found.get("most-plausible-alternative")
        if lacking is not None or answer not in ("1", "2") or not found["id"].isdecimal():
            fault = f'no "{lacking}"' if lacking else "no number as id, or no 1 or 2 as its right choice"
            problem(DataError(f"the item has {fault}", path, line))
            continue
        row = {name: " ".join(found[cell].split()) for cell, name in _ITEM.items()}
        twin = "mirrored" if int(found["id"]) > MIRRORED else "original"
        yield Row(line, {"id": found["id"], "label": int(str(answer)) - 1, "twin": twin, **row})


def _no_entities(path: Path, parser: expat.XMLParserType) -> Any:
    def refuse(*_: Any) -> None:
        raise DataError("declares an entity", path, parser.CurrentLineNumber)

    return refuse
