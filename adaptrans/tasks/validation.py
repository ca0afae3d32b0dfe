"""Looks at a task's data before they are used: splits, examples as the model sees them, lengths. Torch-free.

`check_tasks` reads every split and compares what it finds with what was promised.

Promised are the rows of a manifest `FILES.tsv` in the data folder (columns
`file`, `count`, `sha256` and `unit`, which is `lines` where a count is one of
lines instead of rows; others are ignored), which must be met exactly, and the
published sizes in the task file, from which a difference is only noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from adaptrans import mini
from adaptrans.errors import AdaptransError, DataError
from adaptrans.task_types.base import Input
from adaptrans.tasks.loading import Report, identity, is_available, read_examples, with_labels
from adaptrans.tasks.locate import missing
from adaptrans.tasks.readers.files import open_bytes, read_lines
from adaptrans.tasks.schema import Task
from adaptrans.tasks.tag_schemes import label_notes
from adaptrans.utils.io import digest, sha256

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MANIFEST = "FILES.tsv"

UNCUT = 1_000_000
"""A maximum length that nothing reaches, to see how long examples are."""


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one file; None where it says nothing.

    Args:
        count: How many of something the file holds.
        sha256: The checksum.
        line: Line of the manifest.
        lines: Whether lines are counted, a header and blank ones included, and not rows.
    """

    count: int | None
    sha256: str | None
    line: int
    lines: bool = False


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
    _read: dict[str, tuple[int, int, list[str]]] = field(init=False, default_factory=dict)
    _labels: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._manifest = read_manifest(self.data)

    def check(self, task: Task, split: str, language: str) -> SplitCheck:
        """Read one split in one language and compare.

        Raises:
            DataError: If a row does not fit or a file differs from the manifest.
        """
        published = task.split(split).count(language)
        result = SplitCheck(str(task), split, language, None, published)
        if not is_available(task, split, language, self.data):
            return replace(result, remedy=str(missing(task, split, language, self.data)))
        examples, verified, notes = self._reading(task, split, language)
        notes = [*notes, *self._label_notes(task), *length_notes(task, self.longest)]
        if published is not None and examples != published:
            notes.append(f"{examples:,} examples, published are {published:,}")
        return replace(result, examples=examples, verified=verified, notes=tuple(notes))

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

    def _reading(self, task: Task, split: str, language: str) -> tuple[int, int, list[str]]:
        """Examples, files verified and notes of a split, read once for all tasks that read it alike."""
        key = digest(identity(task, split, language, self.data))
        if key in self._read:
            return self._read[key]
        report = Report(skip_bad_rows=self.skip_bad_rows)
        count = len(read_examples(task, split, language, self.data, report=report))
        notes = [*report.notes, *report.hints, *(f"left out: {line}" for line in report.skipped)]
        if not count:
            raise DataError(f"{task.name}.{split} has no examples", next(iter(report.rows), self.data))
        # Rows left out are known not to be counted: only the checksum can still be compared.
        whole = not report.skipped
        verified = sum(self._verify(path, rows if whole else None) for path, rows in report.rows.items())
        self._read[key] = (count, verified, notes)
        return self._read[key]

    def _verify(self, path: Path, rows: int | None) -> bool:
        """Compare one file with its entry in the manifest; whether there is one."""
        entry = self._manifest.get(_name_in(self.data, path))
        if entry is None:
            return False
        found = _lines_of(path) if entry.lines and entry.count is not None else rows
        if found is not None and entry.count is not None and entry.count != found:
            what = "lines" if entry.lines else "rows"
            message = f"holds {found:,} {what}, {MANIFEST}:{entry.line} says {entry.count:,}"
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


def _lines_of(path: Path) -> int:
    """The lines of a file, the last one whether or not a line feed ends it."""
    with open_bytes(path) as stream:
        last, count = b"\n", 0
        while block := stream.read(1 << 16):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


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
            lines = row.get("unit", "").strip() == "lines"
            found[name] = Entry(int(count) if count else None, hashed or None, line, lines)
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


@dataclass(frozen=True)
class Shown:
    """One example.

    Args:
        id: Its id.
        fields: Its texts and references, by field.
        inputs: What the model gets for it.
    """

    id: str
    fields: dict[str, Any]
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Lengths:
    """How many sub-words examples have, special tokens included, before anything is cut.

    Args:
        examples: Number of examples measured.
        median: Half of them are at most this long.
        percentile_95: 95 % of them are at most this long.
        longest: The longest.
        max_length: The task's maximum length.
        longer: How many are longer than it.
        then: What happens to those.
        bins: Lengths from, to (inclusive) and the number of examples, in order.
    """

    examples: int
    median: int
    percentile_95: int
    longest: int
    max_length: int
    longer: int
    then: str
    bins: tuple[tuple[int, int, int], ...]

    @property
    def share_longer(self) -> float:
        """Share of the examples that are longer than the maximum length, between 0 and 1."""
        return self.longer / self.examples if self.examples else 0.0


def shown(
    task: Task, examples: Sequence[Any], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> list[Shown]:
    """Examples with their fields and the inputs the model gets for them in training.

    Args:
        task: The task.
        examples: A few of its examples.
        tokenizer: The backbone's tokenizer.
        max_length: Sub-words per input.
    """
    examples = [example.shortened() for example in examples]
    # Running text is joined to blocks in training; here each example is shown alone.
    features = task.type.encode(examples, tokenizer, task, max_length, not task.type.plain_text)
    found = []
    for index, example in enumerate(examples):
        own = [feature for feature in features if feature["example"] == index]
        found.append(
            Shown(example.id, example.shown(), tuple(task.type.preview(example, own, tokenizer, task)))
        )
    return found


def lengths(
    task: Task,
    examples: Sequence[Any],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    tick: Callable[[int], None] = lambda done: None,
) -> Lengths:
    """Measure examples, each by its longest input.

    Args:
        task: The task.
        examples: Examples, one or more.
        tokenizer: The backbone's tokenizer.
        max_length: Sub-words per input.
        tick: Called with the number of examples measured.
    """
    longest: list[int] = []
    for start in range(0, len(examples), 500):
        part = examples[start : start + 500]
        of_part = [0] * len(part)
        for feature in task.type.encode(part, tokenizer, task, UNCUT, False):
            ids = feature["input_ids"]
            rows = ids if ids and isinstance(ids[0], list) else [ids]
            of_part[feature["example"]] = max(of_part[feature["example"]], *map(len, rows))
        longest += of_part
        tick(len(longest))
    ordered = sorted(longest)
    return Lengths(
        examples=len(ordered),
        median=ordered[(len(ordered) - 1) // 2],
        percentile_95=ordered[math.ceil(0.95 * len(ordered)) - 1],
        longest=ordered[-1],
        max_length=max_length,
        longer=sum(length > max_length for length in ordered),
        then=task.type.too_long,
        bins=histogram(ordered),
    )


def histogram(values: Sequence[int], most: int = 12) -> tuple[tuple[int, int, int], ...]:
    """Bins of equal width, a power of two of 4 or more, that cover all values.

    Args:
        values: Lengths, one or more.
        most: Most bins there may be.

    Returns:
        First and last length of a bin and how many values are in it.

    Example:
        >>> histogram([3, 5, 9], most=3)
        ((0, 3, 1), (4, 7, 1), (8, 11, 1))
    """
    width = 4
    while max(values) // width - min(values) // width >= most:
        width *= 2
    first = min(values) // width
    counts = [0] * (max(values) // width - first + 1)
    for value in values:
        counts[value // width - first] += 1
    return tuple(
        ((first + place) * width, (first + place + 1) * width - 1, count)
        for place, count in enumerate(counts)
    )
