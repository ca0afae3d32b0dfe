"""Readers of retrieval data: BUCC 2018, LAReQA and Mewsli-X, from their authors' files. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from adaptrans.errors import DataError, UnknownNameError
from adaptrans.tasks.readers.files import (
    IdLines,
    Problem,
    Row,
    damage,
    may_be_damaged,
    parsed_json,
    read_jsonl,
    read_lines,
    read_text,
    strict,
)
from adaptrans.utils.registry import Registry


def read_bucc(
    path: Path, problem: Problem = strict, *, beside: Path, references: Path | None = None
) -> Iterator[Row]:
    """One row per sentence of a corpus: id, text, references; `pool` of the first is the other corpus.

    Args:
        path: The language's corpus.
        problem: Handler of bad lines.
        beside: The English corpus.
        references: The pairs that translate each other; without them those of a sentence are None.

    Raises:
        DataError: If no line of the English corpus is good.
    """
    pool = tuple((id, text) for _, id, text in _sentences(beside, problem))
    if not pool:
        raise DataError("holds no sentence", beside)
    sentences = list(_sentences(path, problem))
    partners = None
    if references is not None:
        own, others = {id for _, id, _ in sentences}, {id for id, _ in pool}
        partners = _bucc_pairs(references, own, others, problem)
    for place, (number, id, text) in enumerate(sentences):
        yield Row(
            number,
            {
                "id": id,
                "text": text,
                "references": None if partners is None else partners.get(id, ()),
                "pool": pool if place == 0 else (),
            },
        )


def _sentences(path: Path, problem: Problem) -> Iterator[tuple[int, str, str]]:
    """Line, id and sentence of every line; white space around a sentence is kept."""
    lines: dict[str, int] = {}
    for number, line in read_lines(path, problem):
        id, tab, text = line.partition("\t")
        if not tab or "\t" in text:
            columns = line.count("\t") + 1
            problem(DataError(f"expected an id and a sentence, found {columns} columns", path, number))
        elif not id.strip() or not text.strip():
            problem(DataError(f"the {'sentence' if id.strip() else 'id'} is empty", path, number))
        elif id in lines:
            problem(DataError(f'id "{id}" was already used in line {lines[id]}', path, number))
        else:
            lines[id] = number
            yield number, id, text


def _bucc_pairs(path: Path, own: set[str], others: set[str], problem: Problem) -> dict[str, tuple[str, ...]]:
    """Partners of each sentence; a repeated pair counts once."""
    found: dict[str, tuple[str, ...]] = {}
    for number, line in read_lines(path, problem):
        cells = line.split("\t")
        if len(cells) != 2:
            problem(DataError(f"expected two ids, found {len(cells)} columns", path, number))
            continue
        unknown = next((id for id, known in zip(cells, (own, others), strict=True) if id not in known), None)
        if unknown is not None:
            problem(DataError(f'no sentence has the id "{unknown}"', path, number))
            continue
        before = found.get(cells[0], ())
        found[cells[0]] = before if cells[1] in before else (*before, cells[1])
    return found


# A sentence ends at a full stop, question or exclamation mark before white space and a capital or digit.
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9])")

PARTS = ("questions", "candidates", "pairs")
"""What is taken of a paragraph of XQuAD-R."""


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """First and one past last character of each English sentence, for files that do not say it.

    Example:
        >>> sentence_spans("It rained. We left at 5. Why?")
        [(0, 10), (11, 24), (25, 29)]
    """
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(text))]
    ends = [*(match.start() for match in _SENTENCE_END.finditer(text)), len(text)]
    return list(zip(starts, ends, strict=True))


def read_lareqa(
    path: Path, problem: Problem = strict, *, part: str = "questions", language: str = "en"
) -> Iterator[Row]:
    """Rows of a file in XQuAD-R's form, which is SQuAD's with the sentences of each context.

    Args:
        path: The file.
        problem: Handler of bad paragraphs.
        part: `questions`, `candidates` (the sentences of their contexts), or `pairs` of the two.
        language: Language of the file, the beginning of a candidate's id.

    A question is looked up by its id; a candidate answers the questions whose answer begins in it, or
    in an equal sentence of its context. Questions whose answer begins in no sentence are left out,
    and contexts without any other question.
    """
    if part not in PARTS:
        raise UnknownNameError("part", part, PARTS)
    text = read_text(path)
    document, doubtful = parsed_json(text, path), may_be_damaged(text)
    try:
        numbered = [
            (f"data[{number}].paragraphs[{place}]", paragraph)
            for number, article in enumerate(document["data"])
            for place, paragraph in enumerate(article["paragraphs"])
        ]
    except (KeyError, TypeError):
        raise DataError('the file has no list "data" of articles with paragraphs', path, 1) from None
    lines = IdLines(text)
    for number, (where, item) in enumerate(numbered):
        try:
            if fault := damage(item) if doubtful else None:
                raise ValueError(fault)
            found = _rows(item, lines, f"{language}:{number}")[part]
        except (KeyError, TypeError, IndexError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            problem(DataError(f"{where} is not in XQuAD-R's form ({reason})", path, lines.line))
            continue
        yield from found


def _rows(paragraph: Mapping[str, Any], lines: IdLines, id: str) -> dict[str, list[Row]]:
    """The rows of a paragraph by part; `id` is the beginning of those of its candidates."""
    context = paragraph["context"]
    spans = [tuple(span) for span in paragraph.get("sentence_breaks") or sentence_spans(context)]
    # One Turkish sentence of the published files is spelt otherwise than in its context: it stays so.
    sentences = paragraph.get("sentences") or [context[start:end] for start, end in spans]
    if len(sentences) != len(spans):
        raise ValueError(f"{len(sentences)} sentences, {len(spans)} sentence_breaks")
    # As google-research/xtreme, third_party/ranking, encodes LAReQA: joined as they are, without line breaks.
    passages = [f"{sentence}{context}".replace("\n", "") for sentence in sentences]
    answers: list[list[str]] = [[] for _ in sentences]
    found: dict[str, list[Row]] = {part: [] for part in PARTS}
    first = None
    for question in paragraph["qas"]:
        line, name = lines(question["id"]), str(question["id"])
        for answer in question["answers"]:
            begin, text = answer["answer_start"], answer["text"]
            if context[begin : begin + len(text)] != text:
                raise ValueError(f'answer "{text}" of {name} is not at offset {begin} of its context')
        begin = question["answers"][0]["answer_start"]
        place = next((i for i, (start, end) in enumerate(spans) if start <= begin < end), None)
        values = {"id": name, "query": str(question["question"]), "keys": [name]}
        if place is None:
            found["questions"].append(Row(line, None))
            found["pairs"].append(Row(line, None))
            continue
        found["questions"].append(Row(line, values))
        found["pairs"].append(Row(line, {**values, "passage": passages[place]}))
        first = line if first is None else first
        for sentence, own in zip(sentences, answers, strict=True):
            if sentence == sentences[place]:
                own.append(name)
    if first is not None:
        for place, (passage, keys) in enumerate(zip(passages, answers, strict=True)):
            values = {"id": f"{id}:{place}", "passage": passage, "keys": keys}
            found["candidates"].append(Row(first, values))
    return found


def read_mewsli(
    path: Path, problem: Problem = strict, *, part: str = "mentions", language: str = ""
) -> Iterator[Row]:
    """Rows of Mewsli-X: mentions of entities in one sentence, entities, or pairs of the two.

    Args:
        path: The file of JSON lines.
        problem: Handler of bad lines.
        part: `mentions` of WikiNews, `entities`, or `pairs` of Wikipedia.
        language: Mentions of this language alone; empty for all.
    """
    rows_of = MEWSLI[part]
    for row in read_jsonl(path, problem):
        assert row.values is not None
        try:
            for values in rows_of(row.values, language):
                yield Row(row.line, values)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            problem(DataError(f"not in Mewsli-X's form ({reason})", path, row.line))


MEWSLI: Registry[Callable[[Mapping[str, Any], str], Iterator[dict[str, Any]]]] = Registry("part")


def mention_query(context: Mapping[str, Any], mention: Mapping[str, Any]) -> str:
    """`mention: left { mention } right`, with what stands in the mention's sentence on either side.

    Raises:
        ValueError: If the mention is not where its offsets say.

    Source: google-research/xtreme, the queries of Mewsli-X.

    Example:
        >>> mention_query({"text": "A. I saw Bonn today.", "sentence_spans": [{"start": 3, "end": 20}]},
        ...               {"mention_span": {"start": 9, "end": 13, "text": "Bonn"}})
        'Bonn: I saw { Bonn } today.'
    """
    span, text = mention["mention_span"], context["text"]
    start, end = span["start"], span["end"]
    if not text:
        raise ValueError("the article has no text: run the authors' script that puts it back")
    if text[start:end] != span["text"]:
        raise ValueError(f"{span['text']!r} is not at {start}")
    around = [item for item in context["sentence_spans"] if item["start"] <= start < item["end"]]
    first = around[0]["start"] if around else 0
    last = max(around[0]["end"], end) if around else len(text)
    left, right = text[first:start].strip(), text[end:last].strip()
    return " ".join(f"{span['text']}: {left} {{ {span['text']} }} {right}".split())


@MEWSLI.register("mentions")
def _mentions(values: Mapping[str, Any], language: str) -> Iterator[dict[str, Any]]:
    if language in ("", values["context"]["language"]):
        for mention in values["mentions"]:
            query = mention_query(values["context"], mention)
            yield {"id": mention["example_id"], "query": query, "keys": [mention["entity_id"]]}


@MEWSLI.register("entities")
def _entities(values: Mapping[str, Any], language: str) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    id = values["entity_id"]
    yield {"id": id, "passage": values["description"], "keys": [id]}


@MEWSLI.register("pairs")
def _mention_pairs(values: Mapping[str, Any], language: str) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    inside = values["contextual_mention"]
    query = mention_query(inside["context"], inside["mention"])
    entity = values["entity"]
    yield {
        "id": inside["mention"]["example_id"],
        "query": query,
        "passage": entity["description"],
        "keys": [entity["entity_id"]],
    }
