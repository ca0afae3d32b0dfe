"""Scores of a folder of prediction files: languages, tasks, groups and overall of a benchmark. No torch.

What is missing is named and leaves every mean it belongs to empty. A file that does not fit its
labels is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaptrans.benchmarks import Benchmark, BenchmarkTask
from adaptrans.errors import AdaptransError, DataError, MissingDataError, UnknownNameError
from adaptrans.evaluation import xtreme_format
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.xtreme_format import (
    FOLDERS,
    Layout,
    columns,
    layout_of,
    line_of_key,
    prediction_path,
    read_file,
    shown,
)
from adaptrans.stats.aggregate import TaskScore, task_score
from adaptrans.tasks import catalogue
from adaptrans.tasks.tag_schemes import label_notes

SUFFIXES = ("tsv", "json", "jsonl")
_PREDICTED = "predict this language first"
_LABELED = "get the label file of this language"


@dataclass(frozen=True)
class ScoredLanguage:
    """One file of predictions.

    Attributes:
        values: Values x 100 of all parts of the task's score.
        n: What it was scored on: lines, sentences, questions, or sentences with a gold or extracted pair.
        notes: What the reader has to know, such as questions without an answer.
    """

    values: dict[str, float]
    n: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoredTask:
    """One task of a benchmark.

    Attributes:
        languages: Scored languages, in the order of the task.
        mean: The task score over the scored languages, None if there are none.
        missing: Reason why a language has no value, by language.
        ours: What of its definition is not the reference's.
    """

    task: str
    score: str
    languages: dict[str, ScoredLanguage]
    mean: TaskScore | None
    missing: dict[str, str]
    ours: str = ""

    @property
    def complete(self) -> bool:
        """Whether every language has a value."""
        return not self.missing


@dataclass(frozen=True)
class Mean:
    """The mean of some tasks.

    Attributes:
        value: Plain mean x 100 of the task scores; None if one is missing or incomplete.
        lacking: The tasks that are missing or incomplete.
    """

    value: float | None
    tasks: tuple[str, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """A whole folder.

    Attributes:
        benchmark: Name and version of the benchmark.
        tasks: Its tasks in their order.
        overall: The mean of all its tasks.
        notes: What the reader has to know: own definitions, folders and files of no task.
    """

    benchmark: str
    tasks: dict[str, ScoredTask]
    groups: dict[str, Mean]
    overall: Mean
    notes: tuple[str, ...] = field(default=())


def score_folder(
    benchmark: Benchmark,
    predictions: Path,
    labels: Path,
    tick: Callable[[str], None] = lambda what: None,
    folders: Sequence[Path] = (),
) -> Scores:
    """Score every file of a folder in XTREME's layout.

    Args:
        benchmark: Tasks, languages and means.
        predictions: Folder with one folder per task that holds `test-LANG.tsv` or `.json`.
        labels: Folder of the same form with the labels.
        tick: Called with a short text after each language of each task.
        folders: Folders of own task files, and of the types of a benchmark of one's own.

    Raises:
        MissingDataError: If a folder is missing, or there is nothing to score.
        DataError: If a file does not fit, with file and line.
    """
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise MissingDataError(f"{folder} is not a folder", remedy="give one folder per task in it")
    known = catalogue.names(folders)
    tasks = {}
    for name, task in benchmark.tasks.items():
        own = task.task or name
        label_names = catalogue.get(own, folders).labels if own in known else ()
        tasks[name] = _scored_task(name, task, predictions, labels, tick, label_names)
    if not any(task.languages for task in tasks.values()):
        raise MissingDataError(
            f"{predictions} and {labels} have no file of {benchmark.name} in common",
            remedy=f"expected for instance {next(iter(tasks))}/test-en.tsv in both",
        )
    groups = {group: _mean(members, tasks) for group, members in benchmark.groups.items()}
    overall = _mean(tuple(tasks), tasks)
    return Scores(str(benchmark), tasks, groups, overall, tuple(_notes(benchmark, tasks, predictions)))


def score_file(
    task: BenchmarkTask, language: str, predictions: Path, labels: Path, known: Collection[str] = ()
) -> ScoredLanguage:
    """Score one file of predictions against its labels.

    Args:
        task: What its kind and score are.
        language: Its language.
        predictions: The file of predictions.
        labels: The file of labels.
        known: Names of labels that may be predicted though this language's labels have none of them.

    Raises:
        DataError: If a file cannot be read or the two do not fit, with file and line.
    """
    layout = layout_of(task.kind)
    texts = read_file(labels, _LABELED), read_file(predictions, _PREDICTED)
    gold = layout.decode_gold(texts[0], labels)
    found = layout.decode(texts[1], predictions)
    for path, text, values in ((labels, texts[0], gold), (predictions, texts[1], found)):
        _refuse_columns(layout, path, text, values, known)
    if layout.by_line:
        gold, found = _same_number(gold, found, labels, predictions)
    if layout.by_word:
        _check_sentences(layout, gold, found, texts[1], predictions)
    notes = _never_right(layout, gold, found, known, texts[1], labels, predictions)
    golds, answers = layout.align(gold, found)
    if layout.names is not None:
        notes += label_notes([task.score], {*known, *layout.names(gold)})
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            counts = SCORES[task.score].counts(golds, answers, language)
        warned = [str(warning.message) for warning in told] or _missing(gold, found)
        notes = [*warned, *notes]
        return ScoredLanguage(SCORES[task.score].values(counts), len(counts), tuple(notes))
    except AdaptransError as error:
        raise DataError(error.message, predictions, remedy=error.remedy) from None


def _refuse_columns(layout: Layout, path: Path, text: str, values: Any, known: Collection[str]) -> None:
    """Labels with a word beside them would be scored as labels of another name."""
    odd = None if layout.names is None else xtreme_format.of_columns(layout.names(values), known)
    if odd is not None:
        raise columns(odd[1], path, layout.line_of(text, odd[0]))


def _same_number(gold: Any, found: Any, labels: Path, predictions: Path) -> tuple[Any, Any]:
    """As many predictions as labels; blank lines at the end, and between sentences, make no difference."""
    numbers = len(found), len(gold)
    if len(gold) != len(found):
        gold, found = _without_blank_end(gold), _without_blank_end(found)
    empty = [] in (*gold, *found)
    if empty and list(map(len, gold)) != list(map(len, found)):
        without = [[tags for tags in rows if tags != []] for rows in (gold, found)]
        gold, found = without if len(without[0]) == len(without[1]) else (gold, found)
    if len(gold) != len(found):
        raise DataError(
            f"holds {numbers[0]:,} predictions for the {numbers[1]:,} labels of {labels}",
            predictions,
            remedy="predict the same examples in the same order",
        )
    return gold, found


def _without_blank_end(rows: Sequence[Any]) -> Sequence[Any]:
    end = len(rows)
    while end and rows[end - 1] in ("", []):
        end -= 1
    return rows[:end]


def _never_right(
    layout: Layout,
    gold: Any,
    found: Any,
    known: Collection[str],
    text: str,
    labels: Path,
    predictions: Path,
) -> list[str]:
    """Notes on predictions that can never be right, and an error if that is all of them."""
    odd = layout.never_right(gold, found, known)
    if odd.places:
        place, value = odd.places[0]
        line = layout.line_of(text, place)
        if len(odd.places) == odd.of:
            message = f"{shown(value)} {odd.why} {labels}, so that it can never be right, nor can any other"
            raise DataError(message, predictions, line, remedy="predict the labels as that file writes them")
        return [
            f"{len(odd.places):,} of {odd.of:,} predictions can never be right: "
            f"the first, {shown(value)} in line {line}, {odd.why} {labels}"
        ]
    if isinstance(gold, Mapping) and isinstance(found, Mapping):
        return _of_other_ids(gold, found, text, labels, predictions)
    return []


def _missing(gold: Any, found: Any) -> list[str]:
    """A note on labels by id that have no prediction."""
    if not isinstance(gold, Mapping) or not isinstance(found, Mapping):
        return []
    missing = [name for name in gold if name not in found]
    return [f"{len(missing)} of {len(gold)} labels have no prediction"] if missing else []


def _of_other_ids(
    gold: Mapping[str, Any], found: Mapping[str, Any], text: str, labels: Path, predictions: Path
) -> list[str]:
    """A note on predictions by id that belong to no label, which the scores leave out."""
    others = [name for name in found if name not in gold]
    if not others:
        return []
    if len(others) == len(found):
        message = f"{shown(others[0])} is no id of {labels}, nor is any other"
        line = line_of_key(text, others[0])
        raise DataError(message, predictions, line, remedy="predict the examples of that file")
    return [f"{len(others)} predictions belong to no label, the first is {shown(others[0])}"]


def _check_sentences(
    layout: Layout, golds: Sequence[Any], predictions: Sequence[Any], text: str, path: Path
) -> None:
    """Every sentence must have as many tags as its gold."""
    place = 0
    for number, (gold, found) in enumerate(zip(golds, predictions, strict=True), start=1):
        if len(gold) != len(found):
            raise DataError(
                f"sentence {number} has {len(found)} tags, its label has {len(gold)}",
                path,
                layout.line_of(text, place) if found else None,
                remedy="predict one tag per word, and close every sentence by one blank line",
            )
        place += len(found)


def _scored_task(
    name: str,
    task: BenchmarkTask,
    predictions: Path,
    labels: Path,
    tick: Callable[[str], None],
    known: Collection[str],
) -> ScoredTask:
    found: dict[str, ScoredLanguage] = {}
    missing: dict[str, str] = {}
    for language in task.languages:
        tick(f"{name} {language}")
        files = [_file(folder, name, task.kind, language) for folder in (predictions, labels)]
        absent = [what for what, file in zip(("predictions", "labels"), files, strict=True) if file is None]
        if files[0] is None or files[1] is None:
            missing[language] = f"no {' and no '.join(absent)}"
            continue
        found[language] = score_file(task, language, files[0], files[1], known)
    values = {language: scored.values for language, scored in found.items()}
    mean = task_score(values, task.languages) if found else None
    return ScoredTask(name, task.score, found, mean, missing, task.ours)


def _file(folder: Path, task: str, kind: str, language: str) -> Path | None:
    """The file of a language, by the suffix of its kind or else by another one."""
    own = prediction_path(folder, task, kind, language)
    names = [own, *(own.with_suffix(f".{suffix}") for suffix in SUFFIXES)]
    places = [*names, *(path.with_name(f"{path.name}.gz") for path in names)]
    return next((path for path in places if path.is_file()), None)


def _mean(names: Sequence[str], tasks: Mapping[str, ScoredTask]) -> Mean:
    lacking = tuple(name for name in names if not tasks[name].complete)
    values = [found.value for name in names if (found := tasks[name].mean) is not None]
    return Mean(None if lacking else sum(values) / len(names), tuple(names), lacking)


def _notes(benchmark: Benchmark, tasks: Mapping[str, ScoredTask], predictions: Path) -> list[str]:
    notes = [f"{task.task}: {task.ours}" for task in tasks.values() if task.ours and task.languages]
    if benchmark.ours:
        notes.append(f"overall: {benchmark.ours}")
    for task in tasks.values():
        for language, scored in task.languages.items():
            notes += [f"{task.task} {language}: {note}" for note in scored.notes]
    known = {FOLDERS.get(name, name): task for name, task in benchmark.tasks.items()}
    for folder in sorted(path for path in predictions.iterdir() if path.is_dir()):
        if folder.name not in known:
            notes.append(f"not scored: {UnknownNameError('task folder', folder.name, known)}")
            continue
        expected = {f"test-{language}" for language in known[folder.name].languages}
        files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        others = [name for name in files if name.partition(".")[0] not in expected]
        if others:
            notes.append(f"not scored: {', '.join(others)} in {folder}, of no language of the task")
    return notes
