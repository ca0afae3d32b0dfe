"""Examples of a split in a language, the same from original files and from the hub. Torch-free."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from adaptrans.errors import ConfigError, DataError, MissingDataError, NoRowError, UnknownNameError
from adaptrans.languages import unknown
from adaptrans.task_types.rows import Example, RowError, Rules, compile_fields, path_getter
from adaptrans.tasks.locate import Located, filled, find, missing
from adaptrans.tasks.readers.files import FORMATS, Problem, Row, other_separator, separator_remedy
from adaptrans.tasks.schema import Task
from adaptrans.utils.formats import READING, SUBSET_DRAW
from adaptrans.utils.io import cached_sha256, digest

SEED = b"adaptrans subset"


def part(examples: Iterable[Example], limit: int | None) -> Iterator[Example]:
    """The examples that a limit takes, in the order of the data; only those are kept in memory.

    They are those whose places have the smallest hashes. So the choice is random against any order of
    the data, such as labels that go round in a circle; it is the same in every run, whatever its seed,
    and the same items in every language of a parallel set; and a smaller limit takes a part of what a
    larger one takes. What the first example carries for all of them goes to the first that is taken.

    Args:
        examples: The examples of a split in a language.
        limit: How many at most; None for all.
    """
    if limit is None:
        yield from examples
        return
    numbered = enumerate(examples)
    for first in numbered:
        pairs = heapq.nsmallest(limit, chain([first], numbered), key=lambda pair: _hash(pair[0]))
        for number, (_, example) in enumerate(sorted(pairs, key=lambda pair: pair[0])):
            yield example if number else example.in_place_of(first[1])


def _hash(place: int) -> bytes:
    return hashlib.blake2b(place.to_bytes(8, "big"), digest_size=8, key=SEED).digest()


def rule(*limits: int | None) -> dict[str, Any]:
    """What the inputs of a run say of its limits: how they choose, if there is one.

    Example:
        >>> rule(None, None), rule(None, 100)
        ({}, {'subset': 'hash of the place, 1'})
    """
    return {} if all(limit is None for limit in limits) else {"subset": SUBSET_DRAW}


def with_labels(task: Task, data: Path | None) -> Task:
    """The task with the labels that its data have, in alphabetical order; other tasks unchanged.

    Labels that are rarer than the task says are not learned: where one is the
    reference, the answer is wrong.

    Raises:
        MissingDataError: If the split that holds the labels is nowhere.
        DataError: If fewer than two labels are left.
    """
    rule = task.labels_from
    if rule is None or task.labels:
        return task
    published = task.languages_of(rule.split)
    at_hand = available_languages(task, rule.split, data)
    languages = tuple(at_hand or published[:1])
    counts = _counted(task, rule.split, data, languages)
    labels = tuple(sorted(label for label, count in counts.items() if count >= rule.at_least))
    if len(labels) < 2:
        raise DataError(
            f"{task.name}.{rule.split} has {len(labels)} labels that occur {rule.at_least} times or more",
            data or Path(),
            remedy="lower at_least under labels_from",
        )
    return task.model_copy(update={"labels": labels})


_COUNTS: dict[tuple[str, ...], Counter[str]] = {}


def _counted(task: Task, split: str, data: Path | None, languages: tuple[str, ...]) -> Counter[str]:
    """How often each label stands in a split, counted once per content of the data."""
    key = tuple(fingerprint(task, split, language, data) for language in languages)
    if key not in _COUNTS:
        counts: Counter[str] = Counter()
        for language in languages:
            for example in read_examples(task, split, language, data):
                counts.update(task.type.labels_in(example))
        _COUNTS[key] = counts
    return _COUNTS[key]


# Raised when the same files begin to give other examples.
_log = logging.getLogger(__name__)


@dataclass
class Report:
    """What happened while examples were read.

    Args:
        skip_bad_rows: Leave out rows that do not fit instead of stopping at the first.
        skipped: One line per row left out: file, line and reason.
        notes: What a reader should know, such as tags filled in by the task's rule.
        hints: What looks odd in a file that is read as its task says; of use to who writes the task.
        rows: Rows met in each file, those that the task's rules leave out included; None where they are
            not what is counted in the file.
    """

    skip_bad_rows: bool = False
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
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
    examples = list(islice(stream_examples(task, split, language, data, report), limit))
    log_left_out(task, split, language, report.skipped[before:])
    return examples


def skipped_rows(number: int) -> str:
    """How many bad rows were skipped, in words.

    Example:
        >>> skipped_rows(1), skipped_rows(3)
        ('1 bad row skipped', '3 bad rows skipped')
    """
    return f"{number} bad row{'' if number == 1 else 's'} skipped"


def log_left_out(task: Task, split: str, language: str, lines: Sequence[str]) -> None:
    """Write into the log which bad rows were skipped, if any."""
    if lines:
        _log.warning("%s.%s [%s]: %s", task.name, split, language, skipped_rows(len(lines)))
        for line in lines:
            _log.warning("skipped: %s", line)


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
        UnknownNameError: If the task has no such split or language.
    """
    if language not in task.languages and language not in task.languages_of(split):
        raise unknown(f"language of task {task.name}", language, task.languages)
    return iter(task.type.spoken(_stream(task, split, language, data, report or Report()), language))


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
    return digest([READING, str(task), identity(task, split, language, data), limit], 20)


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
    rules = [task.kind, task.labels, task.unanswerable, definition.labeled, source.approximate_offsets]
    rules += [task.type.source] if task.type.source else []
    return [split, language, held, rules, reading, source.where, located.format, cached_sha256(located.paths)]


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


def _position(task: Task, example: Example) -> float:
    """A fixed place in [0, 1) for an example, the same for all of its group."""
    group = task.type.group(example)
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
            yield replace(cast(Any, example), id=prefix + example.id)


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
        labeled=task.split(split).labeled,
        approximate_offsets=source.approximate_offsets,
        open_labels=task.labels_from is not None,
    )
    mapped, build = compile_fields(source.fields), task.type.build
    wanted = _row_filter(located)
    ids: dict[str, tuple[Path, int]] | None = {} if "id" in source.fields else None
    index = given_tags = nowhere = by_rule = quoted = 0
    empty: list[Path] = []
    for path, beside in located.files:
        options = _options(located, path, beside)
        report.rows[path], met, others = 0, 0, 0
        before = len(report.skipped)
        for row in _rows(located.format, path, report.problem, options):
            met += 1
            if row.values is None or not wanted(row.values):
                by_rule += row.values is None
                continue
            id = f"{split}-{language}-{index}"
            index += 1
            others += len(row.values.get("pool") or ())
            try:
                found = mapped(row.values)
                if source.drop_labels and str(found.get("label")).strip() in source.drop_labels:
                    index -= 1
                    by_rule += 1
                    continue
                if ids is not None:
                    id = _own_id(found.pop("id"), ids, path, row.line)
                example = build(id, found, rules)
            except RowError as error:
                where = row.values.get("path") if located.format == "squad" else None
                message = f"{where}: {error.message}" if where else error.message
                remedy = _other_separator(located, row.values)
                report.problem(DataError(message, path, error.line or row.line, remedy=remedy))
                continue
            quoted += located.format == "tsv" and any(map(_is_quoted, row.values.values()))
            given_tags += row.values.get("filled") or 0
            nowhere += sum(answer.start < 0 for answer in getattr(example, "answers", ()))
            yield example
        if not met and len(report.skipped) == before:
            empty.append(path)
        report.rows[path] = met if source.counted else None
        if beside is not None:
            report.rows[beside] = others or met
    if len(empty) == len(located.files):
        raise DataError(f'holds no row in "{language}"', empty[0], remedy="fetch the file again")
    report.notes += [f"{path.name} holds no row" for path in empty]
    if by_rule:
        report.notes.append(f"{by_rule:,} row(s) left out by the rules of the task")
    if quoted * QUOTED_SHARE > index:
        report.hints.append(
            f'{quoted:,} row(s) hold cells between quotes with "" inside, which are read as they stand; of a '
            "file whose quotes are not text, use format csv with the option separator set to a tab"
        )
    if given_tags:
        report.notes.append(f"{given_tags} word(s) without a tag were given one")
    if nowhere:
        report.notes.append(
            f"{nowhere} answer(s) stand nowhere in their passage: scored with, not trained on"
        )


QUOTED_SHARE = 100
"""A file is called quoted if more than one of so many rows has a cell that only a quoting writer makes."""


def _is_quoted(cell: Any) -> bool:
    """Whether a cell stands between quotes and every quote inside is doubled, of which there is one."""
    if not isinstance(cell, str) or len(cell) < 4 or not cell[0] == cell[-1] == '"':
        return False
    return '""' in cell[1:-1] and '"' not in cell[1:-1].replace('""', "")


def _rows(format: str, path: Path, problem: Problem, options: dict[str, Any]) -> Iterator[Row]:
    """The rows of a file; a whole file without any, such as one shard of several, gives none."""
    with contextlib.suppress(NoRowError):
        yield from FORMATS[format](path, problem, **options)


def _other_separator(located: Located, values: dict[str, Any]) -> str | None:
    """A remedy where the only column's name or text holds what divides the columns of other files."""
    if located.format not in ("csv", "tsv") or len(values) != 1:
        return None
    return separator_remedy(other_separator(str(next(iter(values)))))


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
    """Keeps the rows of this language and split in files that hold several."""
    if not located.source.where:
        return lambda row: True
    tests = [(path_getter(key), filled(text, located.names)) for key, text in located.source.where.items()]
    return lambda row: all(str(getter(row)).startswith(text) for getter, text in tests)


def _options(located: Located, path: Path, beside: Path | None) -> dict[str, Any]:
    """The reader's options with placeholders filled in; unknown ones are errors."""
    given = located.source.options if located.format != "parquet" else {}
    options = {
        key: filled(value, located.names) if isinstance(value, str) else value for key, value in given.items()
    }
    known = [
        name
        for name in inspect.signature(FORMATS[located.format]).parameters
        if name not in ("path", "problem")
    ]
    for key in options:
        if key not in known:
            raise UnknownNameError(f"option of format {located.format}", key, known)
    if located.references is not None:
        options["references"] = located.references
    if beside is not None:
        options["beside"] = beside
    elif "beside" in known:
        raise ConfigError(f"{path.name}: format {located.format} needs beside, the English side")
    return options


HUB = "the Hugging Face Hub"


@dataclass(frozen=True)
class MissingData:
    """The files of one split in one language, which are not here.

    Args:
        task: Name of the task that they belong to, also where another one is composed of it.
        split: Name of the split.
        language: Code of the language.
        repository: The hub's repository that has them; None where they have to be put into the data folder.
        files: The first pattern of their names, with placeholders.
        homepage: Where their authors offer them.
    """

    task: str
    split: str
    language: str
    repository: str | None
    files: str
    homepage: str

    @property
    def where(self) -> str:
        """Where they come from, in words."""
        if self.repository is not None:
            return f"{self.repository} of {HUB}"
        return f"{self.files} from {self.homepage}, to be put into the data folder"


def missing_data(task: Task, split: str, language: str, data: Path | None) -> Iterator[MissingData]:
    """What of a split is not here, by the tasks that it is read from.

    Args:
        task: The task.
        split: Name of the split.
        language: Code of the language.
        data: The data folder, if there is one.
    """
    definition = task.split(split)
    if definition.holdout:
        yield from missing_data(task, definition.holdout.of, language, data)
        return
    for part in definition.parts():
        origin = task.origin(part)
        fits = part.language in (None, language) and language in origin.languages_of(part.split)
        if fits and not is_available(origin, part.split, language, data):
            yield from missing_data(origin, part.split, language, data)
    if definition.compose:
        return
    hub = [source for source in task.hub_sources(split) if source.has(language)]
    own = [source for source in task.file_sources(split) if source.has(language)]
    yield MissingData(
        task.name,
        split,
        language,
        str(hub[0].repo) if hub else None,
        (own[0].path if own else hub[0].files if hub else ("",))[0],
        task.homepage,
    )


def listed(found: Iterable[MissingData]) -> list[str]:
    """One line for each place that data come from, with tasks, splits and languages.

    Example:
        >>> listed([MissingData("a", "test", code, "org/a", "a.tsv", "") for code in ("de", "sw")])
        ['org/a of the Hugging Face Hub: a test [de,sw]']
    """
    places: dict[str, dict[str, dict[str, None]]] = {}
    for item in found:
        of_place = places.setdefault(item.where, {})
        of_place.setdefault(f"{item.task} {item.split}", {})[item.language] = None
    return [
        f"{where}: " + "; ".join(f"{what} [{','.join(codes)}]" for what, codes in splits.items())
        for where, splits in places.items()
    ]
