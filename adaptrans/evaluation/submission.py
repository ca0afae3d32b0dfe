"""Prediction files in XTREME's layout: one folder per task, one file `test-LANG` per language. No torch.

| kind | suffix | content |
|---|---|---|
| classification | tsv | one label per line |
| bitext_retrieval | tsv | one line number, from 0, per line |
| tagging | tsv | one tag per line, a blank line after each sentence |
| span_qa | json | `{id: answer text}` |
| multiple_choice | jsonl | `{"label": choice}` per line, choices from 0 |

Files appear whole or not at all. XTREME's label files of Tatoeba follow its own order of the
English sentences; `tatoeba_in_xtreme_order` brings predictions into it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrans.errors import AdaptransError, DataError
from adaptrans.files import written_whole
from adaptrans.registry import Registry

# Tasks whose folder in XTREME's layout is not their name.
FOLDERS: Mapping[str, str] = {"tydiqa_goldp": "tydiqa"}


@dataclass(frozen=True)
class Layout:
    """How the predictions of one kind of task look in a file.

    Attributes:
        suffix: Suffix of the file name, without dot.
        encode: Predictions to the text of a file.
        decode: Text of a file, and its path for messages, to predictions.
    """

    suffix: str
    encode: Callable[[Any], str]
    decode: Callable[[str, Path], Any]


LAYOUTS: Registry[Layout] = Registry("kind")


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
    return Path(folder) / FOLDERS.get(task, task) / f"test-{language}.{LAYOUTS[kind].suffix}"


def write_predictions(folder: Path, task: str, kind: str, language: str, predictions: Any) -> Path:
    """Write the predictions of one task in one language, and return the path.

    Args:
        folder: Folder of the whole submission; made if need be.
        task: Name of the task.
        kind: Kind of the task, see the module's table.
        language: Language code.
        predictions: Labels (classification), sequences of tags (tagging), a mapping of
            question id to answer (span_qa), choices (multiple_choice) or line numbers
            (bitext_retrieval).

    Raises:
        AdaptransError: If a prediction cannot be read back from such a file, for instance a
            label with a line break.
    """
    path = prediction_path(folder, task, kind, language)
    _write(path, LAYOUTS[kind].encode(predictions))
    return path


def read_predictions(folder: Path, task: str, kind: str, language: str) -> Any:
    """Read what `write_predictions` or the reference scripts have written.

    Raises:
        DataError: If the file is missing or a line does not fit the kind.
    """
    path = prediction_path(folder, task, kind, language)
    try:
        # Opened as text, so that \r\n and \r count as \n, as in the reference.
        with path.open(encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise DataError("no such prediction file", path, remedy="predict this language first") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 text ({error.reason})", path, remedy="convert the file to UTF-8"
        ) from None
    return LAYOUTS[kind].decode(text, path)


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


def _one_per_line(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _line(label: str) -> str:
    """A label or tag that comes back unchanged from a line of a file."""
    if not label or label != label.strip() or "\n" in label or "\r" in label:
        raise AdaptransError(
            f"label {label!r} cannot be written on a line of its own",
            remedy="use labels without line breaks and surrounding whitespace",
        )
    return label


def _encode_labels(predictions: Sequence[str]) -> str:
    return _one_per_line(_line(label) for label in predictions)


def _decode_labels(text: str, _path: Path) -> list[str]:
    return _lines(text)


def _encode_numbers(predictions: Sequence[int]) -> str:
    return _one_per_line(str(int(number)) for number in predictions)


def _decode_numbers(text: str, path: Path) -> list[int]:
    numbers = []
    for number, line in enumerate(_lines(text), start=1):
        if not (line.isascii() and line.isdigit()):
            raise DataError(f"expected a line number, found {line!r}", path, number)
        numbers.append(int(line))
    return numbers


def _encode_tags(predictions: Sequence[Sequence[str]]) -> str:
    return "".join(_one_per_line(_line(tag) for tag in tags) + "\n" for tags in predictions)


def _decode_tags(text: str, _path: Path) -> list[list[str]]:
    """Sentences; every blank line closes one, so doubled blank lines make empty sentences."""
    sentences: list[list[str]] = []
    current: list[str] = []
    for line in _lines(text):
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
    return json.dumps(dict(predictions), ensure_ascii=False, indent=1) + "\n"


def _decode_answers(text: str, path: Path) -> dict[str, str]:
    def refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"question {twice!r} is answered twice", path)
        return dict(pairs)

    try:
        answers = json.loads(text, object_pairs_hook=refuse_doubles)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON ({error.msg})", path, error.lineno) from None
    if not isinstance(answers, dict):
        raise DataError("expected one object {id: answer}", path)
    for key, answer in answers.items():
        if not isinstance(answer, str):
            raise DataError(f"the answer to {key!r} is not text but {answer!r}", path)
    return answers


def _encode_choices(predictions: Sequence[int]) -> str:
    return _one_per_line(json.dumps({"label": int(choice)}) for choice in predictions)


def _decode_choices(text: str, path: Path) -> list[int]:
    choices = []
    for number, line in enumerate(_lines(text), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"not JSON ({error.msg})", path, number) from None
        choice = row.get("label") if isinstance(row, dict) else None
        if type(choice) is not int:
            raise DataError('expected an object whose field "label" is a whole number', path, number)
        choices.append(choice)
    return choices


def _write(path: Path, text: str) -> None:
    """Write a whole file, or leave what was there."""
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AdaptransError(
            f"predictions for {path} hold {text[error.start]!r}, which is no character",
            remedy="decode the predicted text anew",
        ) from None
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


LAYOUTS.add("classification", Layout("tsv", _encode_labels, _decode_labels))
LAYOUTS.add("bitext_retrieval", Layout("tsv", _encode_numbers, _decode_numbers))
LAYOUTS.add("tagging", Layout("tsv", _encode_tags, _decode_tags))
LAYOUTS.add("span_qa", Layout("json", _encode_answers, _decode_answers))
LAYOUTS.add("multiple_choice", Layout("jsonl", _encode_choices, _decode_choices))
