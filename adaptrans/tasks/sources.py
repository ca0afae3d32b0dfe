"""Examples of a split in a language, the same from original files and from the hub. Torch-free."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from adaptrans.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from adaptrans.files import digest
from adaptrans.hashes import cached_sha256
from adaptrans.tasks.examples import KINDS, Example, Rules
from adaptrans.tasks.fields import RowError, compile_fields, path_getter
from adaptrans.tasks.formats import FORMATS
from adaptrans.tasks.locate import Located, find, missing
from adaptrans.tasks.schema import HubSource, Task

# Raised when the same files begin to give other examples.
READING_VERSION = 3

_log = logging.getLogger(__name__)


@dataclass
class Report:
    """What happened while examples were read.

    Args:
        skip_bad_rows: Leave out rows that do not fit instead of stopping at the first.
        skipped: One line per row left out: file, line and reason.
        notes: What a reader should know, such as tags filled in by the task's rule.
        rows: Rows met in each file, those that the task's rules leave out included; None where they are
            not what is counted in the file.
    """

    skip_bad_rows: bool = False
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: dict[Path, int | None] = field(default_factory=dict)

    def problem(self, error: DataError) -> None:
        """Raise the error, or list it when bad rows are skipped."""
        if not self.skip_bad_rows:
            raise error
        self.skipped.append(str(error))


def read_examples(
    task: Task,
    split: str,
    language: str,
    data: Path | None,
    *,
    limit: int | None = None,
    skip_bad_rows: bool = False,
    report: Report | None = None,
) -> list[Example]:
    """All examples of a split in a language, in the order of the data.

    Args:
        task: The task.
        split: Name of the split.
        language: Language code of the task.
        data: Folder of original files, or None for the hub alone.
        limit: At most so many examples from the beginning.
        skip_bad_rows: Leave out rows that do not fit; they are listed in the report and the log.
        report: Filled with counts, notes and what was left out.

    Raises:
        MissingDataError: If the data are nowhere; the message says what to fetch.
        DataError: If a row does not fit, with file and line.
        UnknownNameError: If the task has no such split or language.
    """
    report = report or Report()
    report.skip_bad_rows = report.skip_bad_rows or skip_bad_rows
    before = len(report.skipped)
    if language not in task.languages and language not in task.languages_of(split):
        raise UnknownNameError(f"language of task {task.name}", language, task.languages)
    examples = list(islice(_stream(task, split, language, data, report), limit))
    left_out = report.skipped[before:]
    log_left_out(task, split, language, left_out)
    return examples


def log_left_out(task: Task, split: str, language: str, lines: Sequence[str]) -> None:
    """Write into the log which bad rows were left out, if any."""
    if lines:
        _log.warning("%s.%s [%s]: %d bad rows left out", task.name, split, language, len(lines))
        for line in lines:
            _log.warning("left out: %s", line)


def stream_examples(
    task: Task, split: str, language: str, data: Path | None, report: Report | None = None
) -> Iterator[Example]:
    """The examples of a split one after the other, for splits that are too large for a list.

    Args:
        task: The task.
        split: Name of the split.
        language: Language code of the task.
        data: Folder of original files, or None for the hub alone.
        report: Filled while they are read.

    Raises:
        MissingDataError: If the data are nowhere.
        DataError: If a row does not fit, with file and line.
    """
    return _stream(task, split, language, data, report or Report())


def available_languages(task: Task, split: str, data: Path | None) -> list[str]:
    """Languages whose data are at hand without the network, in the task's order."""
    return [code for code in task.languages_of(split) if is_available(task, split, code, data)]


def is_available(task: Task, split: str, language: str, data: Path | None) -> bool:
    """Whether a split can be read in a language without the network."""
    definition = task.split(split)
    if definition.holdout:
        return is_available(task, definition.holdout.of, language, data)
    if definition.compose:
        parts = _parts(task, split, language)
        return bool(parts) and all(is_available(origin, name, language, data) for origin, name in parts)
    return language in task.languages_of(split) and find(task, split, language, data) is not None


def fingerprint(task: Task, split: str, language: str, data: Path | None, *, limit: int | None = None) -> str:
    """A hash that changes when the examples of a split may change; nothing is parsed.

    It covers the task's name and version, how rows are read, and the contents
    of the files, not their names or places.

    Raises:
        MissingDataError: If the data are nowhere.
    """
    return digest([READING_VERSION, str(task), identity(task, split, language, data), limit], 20)


def identity(task: Task, split: str, language: str, data: Path | None) -> Any:
    """What decides the examples of a split, the task's own name left out: equal values, equal examples."""
    definition = task.split(split)
    held = [[name, s.holdout.share] for name, s in task.splits.items() if s.holdout and s.holdout.of == split]
    if definition.holdout:
        return ["holdout", split, identity(task, definition.holdout.of, language, data)]
    if definition.compose:
        parts = _parts_or_raise(task, split, language, data)
        return ["from", held, [[str(o), identity(o, name, language, data)] for o, name in parts]]
    located = _located(task, split, language, data)
    source = located.source
    reading = source.model_dump(mode="json", include={"fields", "label_map", "drop_labels", "options"})
    rules = [task.kind, task.labels, task.unanswerable, definition.labelled, source.approximate_offsets]
    where = source.where if isinstance(source, HubSource) else {}
    return [split, language, held, rules, reading, where, located.format, cached_sha256(located.paths)]


def _stream(task: Task, split: str, language: str, data: Path | None, report: Report) -> Iterator[Example]:
    """The examples of a split, without those held out for others."""
    definition = task.split(split)
    if definition.holdout:
        begin, end = _intervals(task, definition.holdout.of)[split]
        for example in _whole(task, definition.holdout.of, language, data, report):
            if begin <= _position(task, example) < end:
                yield example
        return
    held = _intervals(task, split)
    taken = max((end for _, end in held.values()), default=0.0)
    for example in _whole(task, split, language, data, report):
        if not held or _position(task, example) >= taken:
            yield example


def _intervals(task: Task, split: str) -> dict[str, tuple[float, float]]:
    """Which part of [0, 1) each holdout of a split takes, one after the other."""
    taken: dict[str, tuple[float, float]] = {}
    begin = 0.0
    for name, other in task.splits.items():
        if other.holdout and other.holdout.of == split:
            taken[name] = (begin, begin + other.holdout.share)
            begin += other.holdout.share
    return taken


# What examples share that must not stand on both sides of a holdout: a passage, a premise, a sentence.
_GROUPS: dict[str, Callable[[Any], str]] = {
    "span_qa": lambda example: example.context,
    "span_qa_null": lambda example: example.context,
    "classification": lambda example: example.text,
    "mlm": lambda example: example.text,
}


def _position(task: Task, example: Example) -> float:
    """A fixed place in [0, 1) for an example, the same for all of its group."""
    group = _GROUPS.get(task.kind, lambda other: other.id)(example)
    return int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest(), "big") / 2**64


def _whole(task: Task, split: str, language: str, data: Path | None, report: Report) -> Iterator[Example]:
    """The examples of a split, holdouts included."""
    if task.split(split).compose:
        yield from _composed(task, split, language, data, report)
        return
    located = _located(task, split, language, data)
    yield from _examples(task, split, language, located, report)


def _composed(task: Task, split: str, language: str, data: Path | None, report: Report) -> Iterator[Example]:
    for origin, name in _parts_or_raise(task, split, language, data):
        prefix = f"{origin.name}.{name}.{language}:"
        for example in _stream(origin, name, language, data, report):
            yield _renamed(example, prefix + example.id)


def _renamed(example: Example, id: str) -> Example:
    """A copy of an example under another id; faster than dataclasses.replace."""
    values = [getattr(example, name) for name in example.__slots__[1:]]
    return type(example)(id, *values)


def _parts(task: Task, split: str, language: str) -> list[tuple[Task, str]]:
    """The splits that a composed split joins in a language."""
    return [
        (task.origin(part), part.split)
        for part in task.split(split).parts()
        if part.language in (None, language) and language in task.origin(part).languages_of(part.split)
    ]


def _parts_or_raise(task: Task, split: str, language: str, data: Path | None) -> list[tuple[Task, str]]:
    parts = _parts(task, split, language)
    if not parts:
        raise missing(task, split, language, data)
    return parts


def _located(task: Task, split: str, language: str, data: Path | None) -> Located:
    if data is not None and not data.is_dir():
        raise MissingDataError(f"{data} is not a folder", remedy="give --data the folder of data files")
    located = find(task, split, language, data, fetch=True) if language in task.languages_of(split) else None
    if located is None:
        raise missing(task, split, language, data)
    return located


def _examples(task: Task, split: str, language: str, located: Located, report: Report) -> Iterator[Example]:
    """Read, map, check and build, row by row."""
    source = located.source
    rules = Rules(
        labels=task.labels,
        label_map=source.label_map or {},
        labelled=task.split(split).labelled,
        approximate_offsets=source.approximate_offsets,
        open_labels=task.labels_from is not None,
    )
    mapped, build = compile_fields(source.fields), KINDS[task.kind].build
    wanted = _row_filter(located)
    ids: dict[str, tuple[Path, int]] | None = {} if "id" in source.fields else None
    index = filled = nowhere = by_rule = 0
    for path, beside in located.files:
        options = _options(located, path, beside)
        report.rows[path], met, others = 0, 0, 0
        before = len(report.skipped)
        for row in FORMATS[located.format](path, report.problem, **options):
            met += 1
            if row.values is None or not wanted(row.values):
                by_rule += row.values is None
                continue
            id = f"{split}-{language}-{index}"
            index += 1
            others += len(row.values.get("pool") or ())
            try:
                fields = mapped(row.values)
                if source.drop_labels and str(fields.get("label")).strip() in source.drop_labels:
                    index -= 1
                    by_rule += 1
                    continue
                if ids is not None:
                    id = _own_id(fields.pop("id"), ids, path, row.line)
                example = build(id, fields, rules)
            except RowError as error:
                where = row.values.get("path") if located.format == "squad" else None
                message = f"{where}: {error.message}" if where else error.message
                report.problem(DataError(message, path, error.line or row.line))
                continue
            filled += row.values.get("filled") or 0
            nowhere += sum(answer.start < 0 for answer in getattr(example, "answers", ()))
            yield example
        if not met and len(report.skipped) == before:
            raise DataError(f'holds no row in "{language}"', path, remedy="fetch the file again")
        report.rows[path] = met if source.counted else None
        if beside is not None:
            report.rows[beside] = others or met
    if by_rule:
        report.notes.append(f"{by_rule:,} row(s) left out by the rules of the task")
    if filled:
        report.notes.append(f"{filled} word(s) without a tag were given one")
    if nowhere:
        report.notes.append(
            f"{nowhere} answer(s) stand nowhere in their passage: scored with, not trained on"
        )


def _own_id(raw: Any, ids: dict[str, tuple[Path, int]], path: Path, line: int) -> str:
    if raw is None or str(raw).strip() == "":
        raise RowError("the row has no id")
    id = str(raw)
    if id in ids:
        first, number = ids[id]
        raise RowError(f'id "{id}" was already used at {first.name}:{number}')
    ids[id] = (path, line)
    return id


def _row_filter(located: Located) -> Callable[[dict[str, Any]], bool]:
    """Keeps the rows of this language in files that hold several."""
    if not isinstance(located.source, HubSource) or not located.source.where:
        return lambda row: True
    tests = [(path_getter(key), text.format_map(located.names)) for key, text in located.source.where.items()]
    return lambda row: all(str(getter(row)).startswith(text) for getter, text in tests)


def _options(located: Located, path: Path, beside: Path | None) -> dict[str, Any]:
    """The reader's options with placeholders filled in; unknown ones are errors."""
    given = located.source.options if located.format != "parquet" else {}
    options = {
        key: value.format_map(located.names) if isinstance(value, str) and "{" in value else value
        for key, value in given.items()
    }
    known = [
        name
        for name in inspect.signature(FORMATS[located.format]).parameters
        if name not in ("path", "problem")
    ]
    for key in options:
        if key not in known:
            raise UnknownNameError(f"option of format {located.format}", key, known)
    if located.gold is not None:
        options["gold"] = located.gold
    if beside is not None:
        options["beside"] = beside
    elif "beside" in known:
        raise ConfigError(f"{path.name}: format {located.format} needs beside, the English side")
    return options
