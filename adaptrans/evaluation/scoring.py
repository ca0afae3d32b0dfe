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
from adaptrans.evaluation.averages import TaskScore, task_score
from adaptrans.evaluation.layouts import LAYOUTS
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.submission import FOLDERS, prediction_path, read_file
from adaptrans.tasks import catalogue

SUFFIXES = ("tsv", "json", "jsonl")
_PREDICTED = "predict this language first"
_LABELLED = "get the label file of this language"


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
        task: Its name.
        score: Name of the score.
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
        tasks: The tasks.
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
        groups: Its groups.
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
) -> Scores:
    """Score every file of a folder in XTREME's layout.

    Args:
        benchmark: Tasks, languages and means.
        predictions: Folder with one folder per task that holds `test-LANG.tsv` or `.json`.
        labels: Folder of the same form with the labels.
        tick: Called with a short text after each language of each task.

    Raises:
        MissingDataError: If a folder is missing, or there is nothing to score.
        DataError: If a file does not fit, with file and line.
    """
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise MissingDataError(f"{folder} is not a folder", remedy="give one folder per task in it")
    tasks = {
        name: _scored_task(name, task, predictions, labels, tick) for name, task in benchmark.tasks.items()
    }
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
    layout = LAYOUTS[task.kind]
    gold = layout.decode_gold(read_file(labels, _LABELLED), labels)
    found = layout.decode(read_file(predictions, _PREDICTED), predictions)
    if layout.by_line and len(gold) != len(found):
        raise DataError(
            f"holds {len(found):,} predictions for the {len(gold):,} labels of {labels}",
            predictions,
            remedy="predict the same examples in the same order",
        )
    if task.kind == "tagging":
        _check_sentences(gold, found, predictions)
    for place in layout.never_right(gold, found, known):
        message = f"{found[place]!r} is no label of {labels}, so that it can never be right"
        raise DataError(message, predictions, place + 1, remedy="predict the labels as that file writes them")
    golds, answers = layout.align(gold, found)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            counts = SCORES[task.score].counts(golds, answers, language)
        notes = (*(str(warning.message) for warning in told), *_unasked(gold, found))
        return ScoredLanguage(SCORES[task.score].values(counts), len(counts), notes)
    except AdaptransError as error:
        raise DataError(error.message, predictions, remedy=error.remedy) from None


def _unasked(gold: Any, found: Any) -> list[str]:
    """A note on predictions by id that belong to no label, which the scores leave out."""
    if not isinstance(gold, Mapping) or not isinstance(found, Mapping):
        return []
    others = [name for name in found if name not in gold]
    return [f"{len(others)} predictions belong to no label, the first is {others[0]!r}"] if others else []


def _check_sentences(golds: Sequence[Any], predictions: Sequence[Any], path: Path) -> None:
    """Every sentence must have as many tags as its gold."""
    line = 1
    for number, (gold, found) in enumerate(zip(golds, predictions, strict=True), start=1):
        if len(gold) != len(found):
            raise DataError(
                f"sentence {number} has {len(found)} tags, its label has {len(gold)}",
                path,
                line,
                remedy="predict one tag per word, and close every sentence by one blank line",
            )
        line += len(found) + 1


def _scored_task(
    name: str, task: BenchmarkTask, predictions: Path, labels: Path, tick: Callable[[str], None]
) -> ScoredTask:
    found: dict[str, ScoredLanguage] = {}
    missing: dict[str, str] = {}
    own = task.task or name
    known = catalogue.get(own).labels if own in catalogue.names() else ()
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
    places = [own, *(own.with_suffix(f".{suffix}") for suffix in SUFFIXES)]
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
        others = sorted(path.name for path in folder.iterdir() if path.stem not in expected)
        if others:
            notes.append(f"not scored: {', '.join(others)} in {folder}, of no language of the task")
    return notes
