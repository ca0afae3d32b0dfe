"""Prediction and label files in XTREME's layout, by task type. Torch-free."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from adaptrans.errors import AdaptransError, DataError
from adaptrans.evaluation.metrics import retrieval
from adaptrans.evaluation.metrics.question_answering import answered
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks.readers.files import IdLines, open_bytes, parsed_json
from adaptrans.tasks.tag_schemes import OUTSIDE, last_part
from adaptrans.utils.io import atomic_write
from adaptrans.utils.registry import Registry


class Impossible(NamedTuple):
    """What of a file can never be right.

    Attributes:
        places: Place of each such prediction, from 0, and the prediction.
        of: Number of predictions that say anything.
        why: What is said of one, followed by the label file.
    """

    places: Sequence[tuple[int, Any]] = ()
    of: int = 0
    why: str = ""


Rule: TypeAlias = Callable[[Any, Any, Collection[str]], Impossible]
"""Labels, predictions and the task's label names to what can never be right."""


def nothing(golds: Any, found: Any, known: Collection[str]) -> Impossible:  # noqa: ARG001
    """Every prediction can be right."""
    return Impossible()


def labels(golds: Sequence[str], found: Sequence[str], known: Collection[str]) -> Impossible:
    """Labels that neither the label file nor the task has.

    Example:
        >>> labels(["no"], ["yes", "Yes"], ["yes", "no"]).places
        [(1, 'Yes')]
    """
    possible = {*golds, *known}
    odd = [(place, label) for place, label in enumerate(found) if label not in possible]
    return Impossible(odd, len(found), "is no label of")


def tags(
    golds: Sequence[Sequence[str]], found: Sequence[Sequence[str]], known: Collection[str]
) -> Impossible:
    """Tags whose type neither the label file nor the task has; places count words over all sentences.

    A chunk counts by its type alone, so that `S-PER` can be right where `B-PER` is the label.

    Example:
        >>> tags([["B-PER"], ["O"]], [["S-PER"], ["B-per"]], ()).places
        [(1, 'B-per')]
    """
    possible = {last_part(tag) for tag in chain(known, *golds)}
    said = [(place, tag) for place, tag in enumerate(chain(*found)) if tag != OUTSIDE]
    odd = [(place, tag) for place, tag in said if last_part(tag) not in possible]
    return Impossible(odd, len(said), "has the type of no label of")


def choices(golds: Sequence[int], found: Sequence[int], known: Collection[str]) -> Impossible:  # noqa: ARG001
    """Choices beyond the largest that is right anywhere, and beyond the second.

    Example:
        >>> choices([0, 0], [1, 2], ()).places
        [(1, 2)]
    """
    last = max([*golds, 1])
    odd = [(place, choice) for place, choice in enumerate(found) if not 0 <= choice <= last]
    return Impossible(odd, len(found), "is no label of")


def line_numbers(golds: Sequence[int], found: Sequence[int], known: Collection[str]) -> Impossible:  # noqa: ARG001
    """Numbers beyond the last line of the other language, where the labels are those of a whole file.

    Labels that go beyond their own number are a part of a larger file, whose last line nobody knows.

    Example:
        >>> line_numbers([1, 0], [1, 2], ()).places, line_numbers([7, 2, 9], [7, 5, 12], ()).places
        ([(1, 2)], [])
    """
    whole = max(golds, default=0) < len(golds)
    odd = [(place, line) for place, line in enumerate(found) if line < 0 or (whole and line >= len(golds))]
    return Impossible(odd, len(found), "is the number of no line by")


def swapped_pairs(
    golds: Iterable[tuple[str, str]],
    found: Sequence[tuple[str, str]],
    known: Collection[str],  # noqa: ARG001
) -> Impossible:
    """Pairs whose two ids stand in the other order than in the labels.

    Example:
        >>> swapped_pairs([("de-1", "en-1")], [("en-1", "de-1"), ("de-2", "en-1")], ()).places
        [(0, ('en-1', 'de-1'))]
    """
    pairs = set(golds)
    firsts, seconds = {first for first, _ in pairs}, {second for _, second in pairs}
    odd = [
        (place, (first, second))
        for place, (first, second) in enumerate(found)
        if first not in firsts and second not in seconds and (first in seconds or second in firsts)
    ]
    return Impossible(odd, len(found), "has its ids in the other order than")


def of_columns(values: Iterable[str], known: Collection[str]) -> tuple[int, str] | None:
    """The first value that is a label beside something else, such as `word label`, and its place.

    Args:
        values: Labels or tags as they stand in a file.
        known: The task's label names.

    Example:
        >>> of_columns(["O", "Nairobi B-LOC"], ["O", "B-LOC"]), of_columns(["not so"], ["so", "not so"])
        ((1, 'Nairobi B-LOC'), None)
    """
    names = set(known)
    for place, value in enumerate(values):
        cells = value.split()
        if len(cells) > 1 and value not in names and not names.isdisjoint((cells[0], cells[-1])):
            return place, value
    return None


Aligned = tuple[Sequence[Any], Sequence[Any]]
"""Golds and predictions side by side, as scores take them."""


def collect_rows(examples: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:  # noqa: ARG001
    """The content of a file with a line for each example: the values themselves."""
    return values


def collect_by_id(examples: Sequence[Any], values: Sequence[Any]) -> dict[str, Any]:
    """The content of a file that names each example."""
    return {example.id: value for example, value in zip(examples, values, strict=True)}


def side_by_side(golds: Sequence[Any], predictions: Sequence[Any]) -> Aligned:
    """Golds and predictions as they stand, line by line."""
    return golds, predictions


def _row_line(text: str, place: int) -> int:  # noqa: ARG001
    """The line of a place where every line is one."""
    return place + 1


def _filled_line(text: str, place: int) -> int:
    """The line of a place where blank lines do not count.

    Example:
        >>> _filled_line("B-PER\\n\\nO\\n", 1)
        3
    """
    filled = (number for number, line in enumerate(_lines(text), start=1) if line)
    return next(islice(filled, place, None))


@dataclass(frozen=True)
class Layout:
    """How one kind of task looks in files.

    Attributes:
        suffix: Suffix of the file name, without dot.
        encode: Predictions to the text of a file.
        decode: Text of a file, and its path for messages, to predictions.
        encode_gold: Labels to the text of a file.
        decode_gold: Text of a file, and its path for messages, to labels.
        collect: Examples and one prediction (or reference) each, to what `encode` (or `encode_gold`) takes.
        align: Labels and predictions as read, to golds and predictions side by side.
        by_line: Whether there must be as many predictions as labels.
        by_word: Whether a prediction has a tag for every word.
        never_right: Labels, predictions and the task's label names to the predictions that can never
            be right, whatever the label.
        line_of: Text of a file, and a place as `never_right` counts them, to its line.
        names: What is read, to the labels in it one after the other; None for kinds without label names.
    """

    suffix: str
    encode: Callable[[Any], str]
    decode: Callable[[str, Path], Any]
    encode_gold: Callable[[Any], str]
    decode_gold: Callable[[str, Path], Any]
    collect: Callable[[Sequence[Any], Sequence[Any]], Any] = collect_rows
    align: Callable[[Any, Any], Aligned] = side_by_side
    by_line: bool = True
    by_word: bool = False
    never_right: Rule = nothing
    line_of: Callable[[str, int], int] = _row_line
    names: Callable[[Any], Iterable[str]] | None = None


LAYOUTS: Registry[Layout] = Registry("layout of prediction files")
"""By name, as `TaskType.layout` gives it."""


def layout_of(kind: str) -> Layout:
    """The layout of the files of a type.

    Raises:
        UnknownNameError: If there is no such type.
    """
    return LAYOUTS[TASK_TYPES[kind].layout]


def tatoeba_in_xtreme_order(english: Sequence[str], predictions: Sequence[int]) -> list[int]:
    """Predictions for Tatoeba in the order of XTREME's label files.

    The original files pair line i of the language with line i of English. XTREME
    has sorted the English side and left the language as it is, so the queries
    change places while the line numbers that they are answered with stay.

    Args:
        english: The English sentences in the order of the original file.
        predictions: For each of them the line of the language, from 0.

    Returns:
        The same line numbers, in the order of the sorted English sentences.

    Raises:
        AdaptransError: If the numbers of sentences and predictions differ.

    Source: google-research/xtreme says no more than that the English side is sorted
    alphabetically. This sort is by code point, and equal sentences keep their order.

    Example:
        >>> tatoeba_in_xtreme_order(["Who?", "Go!", "No."], [0, 1, 2])
        [1, 2, 0]
    """
    if len(english) != len(predictions):
        raise AdaptransError(
            f"{len(predictions)} predictions for {len(english)} English sentences",
            remedy="give one prediction for each sentence",
        )
    return [predictions[row] for row in sorted(range(len(english)), key=english.__getitem__)]


def _lines(text: str) -> list[str]:
    """Stripped lines; only a line feed ends one, and the last may lack it."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.strip() for line in lines]


def _each_on_a_line(encode: Callable[[Any], str], items: Iterable[Any]) -> str:
    return "".join(f"{encode(item)}\n" for item in items)


def _line(label: str) -> str:
    """A label or tag that comes back unchanged from a line of a file."""
    if not label or label != label.strip() or set(label) & set("\n\r\t"):
        raise AdaptransError(
            f"label {label!r} cannot be written on a line of its own",
            remedy="use labels without tabs, line breaks and surrounding whitespace",
        )
    return label


def _decode_labels(text: str, path: Path) -> list[str]:
    """The lines, none of which may hold a tab."""
    lines = _lines(text)
    for number, line in enumerate(lines, start=1):
        if "\t" in line:
            raise columns(line, path, number)
    return lines


def columns(line: str, path: Path, number: int) -> DataError:
    """The error for a line that holds more than its label, for instance the word before it."""
    message = f"holds columns, {shown(line)}, where one label is expected"
    return DataError(message, path, number, remedy="keep the column of labels alone")


SHOWN = 80
"""Characters of a value that a message holds at most."""


def shown(value: Any) -> str:
    """A value in a message, cut if it is long.

    Example:
        >>> shown("B-PER"), len(shown("B" * 1000))
        ("'B-PER'", 84)
    """
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


_NUMBER = re.compile(r"-?[0-9]{1,18}")


def _decode_numbers(text: str, path: Path) -> list[int]:
    lines = _lines(text)
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not _NUMBER.fullmatch(line):
            raise DataError(f"expected a line number, found {shown(line)}", path, number)
    return [int(line) for line in lines]


def _decode_gold_numbers(text: str, path: Path) -> list[int]:
    numbers = _decode_numbers(text, path)
    for number, value in enumerate(numbers, start=1):
        if value < 0:
            raise DataError(f"expected a line number, found {value}", path, number)
    return numbers


def _encode_tags(predictions: Sequence[Sequence[str]]) -> str:
    return "".join(_each_on_a_line(_line, tags) + "\n" for tags in predictions)


def _decode_tags(text: str, path: Path) -> list[list[str]]:
    """Sentences; every blank line closes one, so doubled blank lines make empty sentences."""
    sentences: list[list[str]] = []
    current: list[str] = []
    for line in _decode_labels(text, path):
        if line:
            current.append(line)
        else:
            sentences.append(current)
            current = []
    return [*sentences, current] if current else sentences


def _encode_answers(predictions: Mapping[str, str]) -> str:
    for key, answer in predictions.items():
        if not isinstance(key, str) or not isinstance(answer, str):
            raise AdaptransError(
                f"question {key!r} has the answer {answer!r}",
                remedy="give text for both; leave unanswered questions out",
            )
    return _as_json(dict(predictions))


def _decode_answers(text: str, path: Path) -> dict[str, str | None]:
    """Answers by question; null is none."""
    answers = _load_object(text, path, "answered")
    for key, answer in answers.items():
        if answer is not None and not isinstance(answer, str):
            message = f"the answer to {shown(key)} is not text but {shown(answer)}"
            raise DataError(message, path, line_of_key(text, key))
    return answers


def _decode_choices(text: str, path: Path) -> list[int]:
    choices = []
    for number, line in enumerate(_lines(text), start=1):
        if not line:
            continue
        row = parsed_json(line, path, number)
        choice = row.get("label") if isinstance(row, dict) else None
        if type(choice) is not int:
            raise DataError('expected an object whose field "label" is a whole number', path, number)
        choices.append(choice)
    return choices


def _collect_answers(examples: Sequence[Any], values: Sequence[Any]) -> dict[str, Any]:
    """Answer texts by question, empty for no answer; reference answers stay lists."""
    shown = [value if isinstance(value, list | tuple) else answered(value) for value in values]
    return collect_by_id(examples, shown)


def _collect_in_xtreme_order(examples: Sequence[Any], values: Sequence[int]) -> list[int]:
    return tatoeba_in_xtreme_order([example.english for example in examples], values)


def _collect_pairs(examples: Sequence[Any], values: Sequence[Iterable[str]]) -> list[tuple[str, str]]:
    rows = zip(examples, values, strict=True)
    return [(example.id, partner) for example, partners in rows for partner in partners]


def _align_by_id(golds: Mapping[str, Any], predictions: Mapping[str, Any], absent: Any = None) -> Aligned:
    """In the order of the labels; what has no prediction gets `absent`, what has no label is left out."""
    return list(golds.values()), [predictions.get(name, absent) for name in golds]


def _align_pairs(golds: Sequence[tuple[str, str]], predictions: Sequence[tuple[str, str]]) -> Aligned:
    return retrieval.aligned(retrieval.by_source(golds), retrieval.by_source(predictions))


def _encode_pair(pair: tuple[str, str]) -> str:
    return "\t".join(map(_line, pair))


def _decode_pairs(text: str, path: Path) -> list[tuple[str, str]]:
    found = []
    for number, line in enumerate(_lines(text), start=1):
        if not line:
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 2 or not all(cells):
            raise DataError(f"expected two ids with a tab between them, found {shown(line)}", path, number)
        found.append((cells[0], cells[1]))
    return found


def _load_object(text: str, path: Path, what: str) -> dict[str, Any]:
    """The one object of a file, in which no key may stand twice."""

    def refuse_doubles(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"{shown(twice)} is {what} twice", path, line_of_key(text, twice, 2))
        return dict(items)

    found = parsed_json(text, path, pairs=refuse_doubles)
    if not isinstance(found, dict):
        raise DataError("expected one object {id: ...}", path)
    return found


def _encode_object(values: Mapping[str, Any]) -> str:
    shown = {key: value if isinstance(value, str) else list(value) for key, value in values.items()}
    return _as_json(shown)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _decode_rankings(text: str, path: Path) -> dict[str, list[str]]:
    """Ids by query; numbers are ids as well, and the same as their digits."""
    found = _load_object(text, path, "ranked")
    for key, ids in found.items():
        if not isinstance(ids, list) or not all(type(item) in (str, int) for item in ids):
            message = f"the ranking of {shown(key)} is no list of ids"
            raise DataError(message, path, line_of_key(text, key))
    return {key: [str(item) for item in ids] for key, ids in found.items()}


def _decode_gold_rankings(text: str, path: Path) -> dict[str, list[str]]:
    found = _decode_rankings(text, path)
    for key, ids in found.items():
        if not ids:
            raise DataError(f"{shown(key)} has no gold", path, line_of_key(text, key))
    return found


def _encode_gold_answers(golds: Mapping[str, Sequence[str]]) -> str:
    """Questions with their answers in SQuAD's form, without texts that are not needed to score."""
    questions = [{"id": key, "answers": [{"text": text} for text in texts]} for key, texts in golds.items()]
    return _as_json({"version": "1.1", "data": [{"paragraphs": [{"qas": questions}]}]})


def _decode_gold_answers(text: str, path: Path) -> dict[str, list[str]]:
    golds, lines = _gold_answers(text, path)
    for id, answers in golds.items():
        if not answers:
            raise DataError(f"question {shown(id)} has no right answer", path, lines[id])
    return golds


def _decode_gold_answers_or_none(text: str, path: Path) -> dict[str, list[str]]:
    """As `_decode_gold_answers`; no answer in the file is an empty one, as in SQuAD 2.0."""
    return {id: answers or [""] for id, answers in _gold_answers(text, path)[0].items()}


def _gold_answers(text: str, path: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Answers of every question of a file in SQuAD's form, and the line of its id."""
    document = parsed_json(text, path)
    lines = IdLines(text)
    articles: Any = document.get("data") if isinstance(document, dict) else document
    if not isinstance(articles, list):
        raise DataError('not in SQuAD\'s form: there is no list "data"', path)
    golds: dict[str, list[str]] = {}
    at: dict[str, int] = {}
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    id, line = str(question["id"]), lines(question["id"])
                    if id in golds:
                        raise DataError(f"question {shown(id)} is there twice", path, line)
                    golds[id] = [str(answer["text"]) for answer in question["answers"]]
                    at[id] = line
    except (KeyError, TypeError) as error:
        message = f"not in SQuAD's form ({type(error).__name__}: {error})"
        raise DataError(message, path, lines.line) from None
    return golds, at


def _decode_gold_labels(text: str, path: Path) -> list[str]:
    labels = _decode_labels(text, path)
    while labels and not labels[-1]:
        labels.pop()
    if "" in labels:
        raise DataError("a label is missing", path, 1 + labels.index(""), remedy="get the file again")
    return labels


def line_of_key(text: str, key: str, occurrence: int = 1) -> int | None:
    """Line of a key of a JSON object, as it is written here or with escapes."""
    for shown in (json.dumps(key, ensure_ascii=False), json.dumps(key)):
        places = [match.start() for match in re.finditer(re.escape(shown) + r"\s*:", text)]
        if len(places) >= occurrence:
            return 1 + text.count("\n", 0, places[occurrence - 1])
    return None


def _same(
    suffix: str, encode: Callable[[Any], str], decode: Callable[[str, Path], Any], **more: Any
) -> Layout:
    """A layout whose labels look like its predictions, but for what is said otherwise."""
    return replace(Layout(suffix, encode, decode, encode, decode), **more)


LAYOUTS.add(
    "labels",
    _same(
        "tsv",
        partial(_each_on_a_line, _line),
        _decode_labels,
        decode_gold=_decode_gold_labels,
        never_right=labels,
        names=list,
    ),
)
LAYOUTS.add(
    "tags",
    _same(
        "tsv",
        _encode_tags,
        _decode_tags,
        by_word=True,
        never_right=tags,
        line_of=_filled_line,
        names=chain.from_iterable,
    ),
)
LAYOUTS.add(
    "choices",
    _same(
        "jsonl",
        partial(_each_on_a_line, lambda choice: json.dumps({"label": int(choice)})),
        _decode_choices,
        never_right=choices,
        line_of=_filled_line,
    ),
)
LAYOUTS.add(
    "line_numbers",
    _same(
        "tsv",
        partial(_each_on_a_line, lambda number: str(int(number))),
        _decode_numbers,
        decode_gold=_decode_gold_numbers,
        collect=_collect_in_xtreme_order,
        never_right=line_numbers,
    ),
)
LAYOUTS.add(
    "pairs",
    _same(
        "tsv",
        partial(_each_on_a_line, _encode_pair),
        _decode_pairs,
        collect=_collect_pairs,
        align=_align_pairs,
        by_line=False,
        never_right=swapped_pairs,
        line_of=_filled_line,
    ),
)
_QUESTIONS = Layout(
    "json",
    _encode_answers,
    _decode_answers,
    _encode_gold_answers,
    _decode_gold_answers,
    _collect_answers,
    _align_by_id,
    by_line=False,
)
LAYOUTS.add("answers", _QUESTIONS)
LAYOUTS.add("answers_or_none", replace(_QUESTIONS, decode_gold=_decode_gold_answers_or_none))
LAYOUTS.add(
    "rankings",
    _same(
        "json",
        _encode_object,
        _decode_rankings,
        decode_gold=_decode_gold_rankings,
        collect=collect_by_id,
        align=partial(_align_by_id, absent=()),
        by_line=False,
    ),
)


# Tasks whose folder in XTREME's layout is not their name.
FOLDERS: Mapping[str, str] = {
    "tydiqa_goldp": "tydiqa",
    # The wider language lists of XTREME-R.
    "panx_r": "panx",
    "tatoeba_r": "tatoeba",
    "udpos_r": "udpos",
    "xquad_r": "xquad",
}


def prediction_path(folder: Path, task: str, kind: str, language: str) -> Path:
    """Where the predictions of a task in a language lie.

    Raises:
        UnknownNameError: If no file layout is known for the kind.

    Example:
        >>> prediction_path(Path("out"), "tydiqa", "span_qa", "sw").as_posix()
        'out/tydiqa/test-sw.json'
    """
    for name in (task, language):
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise AdaptransError(
                f'"{name}" cannot be part of a file name', remedy="rename the task or language"
            )
    return Path(folder) / FOLDERS.get(task, task) / f"test-{language}.{layout_of(kind).suffix}"


def write_predictions(
    folder: Path, task: str, kind: str, language: str, contents: Iterable[Any], *, gold: bool = False
) -> Path:
    """Write the predictions, or the labels, of one task in one language, and return the path.

    Args:
        folder: Folder of the whole submission, or of the labels; made if need be.
        task: Name of the task.
        kind: Kind of the task.
        language: Language code.
        contents: What the file holds, in one or several parts that are written one after the other: labels
            (classification), sequences of tags (tagging), a mapping of question id to answer (span_qa),
            choices (multiple_choice), line numbers (bitext_retrieval), pairs of ids (bitext_mining) or a
            mapping of query id to the ids of what was found (passage_ranking).
        gold: Whether they are labels.

    Raises:
        AdaptransError: If a prediction cannot be read back from such a file, for instance a
            label with a line break.
    """
    path, layout = prediction_path(folder, task, kind, language), layout_of(kind)
    encode = layout.encode_gold if gold else layout.encode
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for content in contents:
            file.write(_encoded(path, encode(content)))
    return path


def collected(kind: str, examples: Iterable[Any], values: Iterable[Sequence[Any]]) -> Iterable[Any]:
    """Parts of a file as `write_predictions` takes them; memory is flat where a file is line by line.

    Args:
        kind: Kind of the task.
        examples: The examples, gone through only where the layout names them.
        values: A prediction or a reference for each, some at a time.
    """
    collect = layout_of(kind).collect
    return values if collect is collect_rows else [collect(list(examples), [*chain.from_iterable(values)])]


def read_file(path: Path, remedy: str) -> str:
    """The text of a file, \\r\\n and \\r as \\n, as in the reference.

    A byte order mark at its beginning is left out, and a file whose name ends in `.gz` is unpacked.

    Raises:
        DataError: If it is missing, damaged, not UTF-8, or holds a NUL.
    """
    if not path.exists():
        raise DataError("no such prediction file", path, remedy=remedy)
    try:
        with open_bytes(path) as stream:
            content = stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the gzip file is damaged ({error})", path, remedy="pack it again") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path) from None
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        remedy = "save the file as UTF-8"
        raise DataError(f"not UTF-8 text ({error.reason})", path, line, remedy=remedy) from None
    if "\0" in text:
        raise DataError("holds a NUL character", path, 1 + text.count("\n", 0, text.index("\0")))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoded(path: Path, text: str) -> bytes:
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AdaptransError(
            f"predictions for {path} hold {text[error.start]!r}, which is no character",
            remedy="decode the predicted text anew",
        ) from None
    odd = "begin with a byte order mark" if text.startswith("\ufeff") else "hold a NUL character"
    if text.startswith("\ufeff") or "\0" in text:
        raise AdaptransError(f"predictions for {path} {odd}", remedy="clean the predicted text")
    return content
