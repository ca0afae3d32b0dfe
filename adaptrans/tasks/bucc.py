"""Two corpora in which some sentences translate each other, in the files of BUCC 2018. Torch-free.

A corpus has lines `id TAB sentence`, the gold file lines `id TAB id`. Source of the form: the shared
task, https://comparable.limsi.fr/bucc2018/bucc2018-task.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adaptrans.errors import DataError
from adaptrans.tasks.formats import Row
from adaptrans.tasks.lines import Problem, read_lines, strict


def read_bucc(
    path: Path, problem: Problem = strict, *, beside: Path, gold: Path | None = None
) -> Iterator[Row]:
    """One row per sentence of a corpus: id, text, golds; `pool` of the first is the other corpus.

    Args:
        path: The language's corpus.
        problem: Handler of bad lines.
        beside: The English corpus.
        gold: The pairs that translate each other; without it `golds` is None.

    Raises:
        DataError: If no line of the English corpus is good.
    """
    pool = tuple((id, text) for _, id, text in _sentences(beside, problem))
    if not pool:
        raise DataError("holds no sentence", beside)
    sentences = list(_sentences(path, problem))
    partners = None
    if gold is not None:
        own, others = {id for _, id, _ in sentences}, {id for id, _ in pool}
        partners = _pairs(gold, own, others, problem)
    for place, (number, id, text) in enumerate(sentences):
        yield Row(
            number,
            {
                "id": id,
                "text": text,
                "golds": None if partners is None else partners.get(id, ()),
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


def _pairs(gold: Path, own: set[str], others: set[str], problem: Problem) -> dict[str, tuple[str, ...]]:
    """Partners of each sentence; a repeated pair counts once."""
    found: dict[str, tuple[str, ...]] = {}
    for number, line in read_lines(gold, problem):
        cells = line.split("\t")
        if len(cells) != 2:
            problem(DataError(f"expected two ids, found {len(cells)} columns", gold, number))
            continue
        unknown = next((id for id, known in zip(cells, (own, others), strict=True) if id not in known), None)
        if unknown is not None:
            problem(DataError(f'no sentence has the id "{unknown}"', gold, number))
            continue
        before = found.get(cells[0], ())
        found[cells[0]] = before if cells[1] in before else (*before, cells[1])
    return found
