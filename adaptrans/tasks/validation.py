"""Reads every split of a task and compares what it finds with what was promised. Torch-free.

Promised are the rows of a manifest `FILES.tsv` in the data folder (columns
`file`, `count`, `sha256`; others are ignored), which must be met exactly, and
the published sizes in the task file, from which a difference is only noted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from adaptrans import mini
from adaptrans.errors import AdaptransError, DataError
from adaptrans.tasks.loading import Report, identity, is_available, read_examples, with_labels
from adaptrans.tasks.locate import missing
from adaptrans.tasks.readers.files import read_lines
from adaptrans.tasks.schema import Task
from adaptrans.tasks.tag_schemes import label_notes
from adaptrans.utils.io import digest, sha256

MANIFEST = "FILES.tsv"


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one file; None where it says nothing."""

    count: int | None
    sha256: str | None
    line: int


@dataclass(frozen=True)
class SplitCheck:
    """The result for one split in one language.

    Args:
        task: The task, as `name@version`.
        split: Name of the split.
        language: Language code.
        examples: Number of examples read; None if the data are absent.
        published: Published number of examples, if the task states it.
        verified: Number of files whose manifest count and checksum were met.
        notes: Differences and rows left out, one line each.
        remedy: What to fetch, if the data are absent.
    """

    task: str
    split: str
    language: str
    examples: int | None
    published: int | None
    verified: int = 0
    notes: tuple[str, ...] = ()
    remedy: str | None = None


class _Reading(NamedTuple):
    """What was found when a split was read: examples, files verified, notes."""

    examples: int
    verified: int
    notes: tuple[str, ...]


@dataclass
class Checker:
    """Checks the splits of tasks against a data folder.

    Args:
        data: The data folder.
        skip_bad_rows: Note bad rows instead of raising at the first.
        longest: Pieces beyond which a maximum length is noted.
    """

    data: Path
    skip_bad_rows: bool = False
    longest: int = mini.LONGEST
    _manifest: dict[str, Entry] = field(init=False)
    _hashed: dict[Path, str] = field(init=False, default_factory=dict)
    _read: dict[str, _Reading] = field(init=False, default_factory=dict)
    _labels: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._manifest = read_manifest(self.data)

    def check(self, task: Task, split: str, language: str) -> SplitCheck:
        """Read one split in one language and compare.

        Raises:
            DataError: If a row does not fit or a file differs from the manifest.
        """
        published = task.split(split).count(language)
        if not is_available(task, split, language, self.data):
            return SplitCheck(
                str(task),
                split,
                language,
                None,
                published,
                remedy=str(missing(task, split, language, self.data)),
            )
        reading = self._reading(task, split, language)
        notes = [*reading.notes, *self._label_notes(task), *length_notes(task, self.longest)]
        if published is not None and reading.examples != published:
            notes.append(f"{reading.examples:,} examples, published are {published:,}")
        return SplitCheck(
            str(task), split, language, reading.examples, published, reading.verified, tuple(notes)
        )

    def _label_notes(self, task: Task) -> list[str]:
        """Where the scores of a task do not tell its labels apart."""
        if str(task) not in self._labels:
            try:
                labels = with_labels(task, self.data).labels
            except AdaptransError:
                # Labels in data that are absent or do not fit: that is said where they are read.
                labels = ()
            self._labels[str(task)] = label_notes(task.scores, labels)
        return self._labels[str(task)]

    def _reading(self, task: Task, split: str, language: str) -> _Reading:
        """Read a split, once for all tasks that read the same files in the same way."""
        key = digest(identity(task, split, language, self.data))
        if key in self._read:
            return self._read[key]
        report = Report(skip_bad_rows=self.skip_bad_rows)
        count = len(read_examples(task, split, language, self.data, report=report))
        notes = (*report.notes, *report.hints, *(f"left out: {line}" for line in report.skipped))
        if not count:
            raise DataError(f"{task.name}.{split} has no examples", next(iter(report.rows), self.data))
        # Rows left out are known not to be counted: only the checksum can still be compared.
        whole = not report.skipped
        verified = sum(self._verify(path, rows if whole else None) for path, rows in report.rows.items())
        self._read[key] = _Reading(count, verified, notes)
        return self._read[key]

    def _verify(self, path: Path, rows: int | None) -> bool:
        """Compare one file with its entry in the manifest; whether there is one."""
        entry = self._manifest.get(_name_in(self.data, path))
        if entry is None:
            return False
        if rows is not None and entry.count is not None and entry.count != rows:
            message = f"holds {rows:,} rows, {MANIFEST}:{entry.line} says {entry.count:,}"
            raise DataError(message, path, remedy="fetch the file again")
        if entry.sha256 is not None:
            if path not in self._hashed:
                self._hashed[path] = sha256(path)
            if self._hashed[path] != entry.sha256:
                raise DataError(
                    f"its SHA-256 is not that of {MANIFEST}:{entry.line}", path, remedy="fetch the file again"
                )
        return True


def length_notes(task: Task, longest: int = mini.LONGEST) -> list[str]:
    """A line on a maximum length that most encoders do not have the positions for.

    Args:
        task: The task.
        longest: Pieces of the longest input; by default that of XLM-R.

    Example:
        >>> from adaptrans.tasks import catalogue
        >>> length_notes(catalogue.get("xnli"))
        []
    """
    if task.max_length <= longest:
        return []
    return [
        f"max_length {task.max_length} is beyond the {longest} positions of XLM-R and mini, which refuse it"
    ]


def _name_in(data: Path, path: Path) -> str:
    return path.relative_to(data).as_posix() if path.is_relative_to(data) else str(path)


def read_manifest(data: Path) -> dict[str, Entry]:
    """The entries of `FILES.tsv` by file name; empty if there is no such file.

    Raises:
        DataError: If a count in it is not a number, or columns are missing.
    """
    path = data / MANIFEST
    if not path.is_file():
        return {}
    found: dict[str, Entry] = {}
    names: list[str] = []
    for line, text in read_lines(path):
        cells = text.split("\t")
        if not names:
            names = cells
            if "file" not in names:
                raise DataError('the manifest has no column "file"', path, line)
            continue
        row = dict(zip(names, cells, strict=False))
        count, hashed = row.get("count", "").strip(), row.get("sha256", "").strip().lower()
        if count and not count.isdecimal():
            raise DataError(f'count "{count}" is not a number', path, line)
        if name := row.get("file"):
            # As `sha256sum` and `find` write it: ./train.tsv, and hashes of other tools in capitals.
            name = PurePosixPath(name).as_posix()
            found[name] = Entry(int(count) if count else None, hashed or None, line)
    return found


def check_tasks(
    tasks: Sequence[Task],
    data: Path,
    *,
    skip_bad_rows: bool = False,
    longest: int = mini.LONGEST,
    advance: Callable[[str], None] = lambda note: None,
) -> list[SplitCheck]:
    """Check every split of tasks in every language they are published in.

    Args:
        tasks: The tasks.
        data: The data folder.
        skip_bad_rows: Note bad rows instead of raising at the first.
        longest: Pieces beyond which a task's maximum length is noted.
        advance: Called with a short text after each split in a language.

    Raises:
        DataError: If a row does not fit, a file differs from the manifest, or the languages of a
            parallel task have different numbers of examples.
    """
    checker = Checker(data, skip_bad_rows, longest)
    results: list[SplitCheck] = []
    for task in tasks:
        for split in task.splits:
            found = []
            for language in task.languages_of(split):
                found.append(checker.check(task, split, language))
                advance(f"{task.name}.{split} {language}")
            items = all(source.counted for source in task.file_sources(split))
            if task.parallel and items and not skip_bad_rows:
                _same_size(task, split, found, data)
            results += found
    return results


def _same_size(task: Task, split: str, found: list[SplitCheck], data: Path) -> None:
    sizes = {result.language: result.examples for result in found if result.examples is not None}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{language} {size:,}" for language, size in sizes.items())
        raise DataError(f"{task.name}.{split} is parallel, but its languages differ in size: {shown}", data)


def steps(tasks: Sequence[Task]) -> int:
    """Number of split and language pairs that `check_tasks` goes through."""
    return sum(len(task.languages_of(split)) for task in tasks for split in task.splits)
