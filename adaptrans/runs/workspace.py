"""Where runs work: backbone, data, store, tasks, device. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from adaptrans import samples
from adaptrans.errors import MissingDataError, UnknownNameError
from adaptrans.hub.store import Store
from adaptrans.models.backbone import Backbone
from adaptrans.tasks import catalogue, sources, subset
from adaptrans.tasks.examples import Example
from adaptrans.tasks.open_labels import with_labels
from adaptrans.tasks.schema import Task

T = TypeVar("T")

SAMPLES = "samples"
"""What `--data` calls the bundled sample suite."""


def data_places(data: Path | None, folders: Sequence[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """The data folder and the folders of task files; `samples` brings its own of both.

    Example:
        >>> data_places(Path("my-data"), [Path("my-tasks")])
        (PosixPath('my-data'), (PosixPath('my-tasks'),))
    """
    if data == Path(SAMPLES) and not data.is_dir():
        return samples.DATA, (*folders, samples.TASKS)
    return data, tuple(folders)


@dataclass(frozen=True)
class Workspace:
    """The surroundings that all runs of a command share.

    Args:
        backbone: The pretrained encoder.
        data: Folder of original files or hub copies; None for the hub alone.
        store: Where runs are kept.
        tasks: Tasks defined inline by an experiment, which win over all others.
        folders: Folders of the user's own task files, which win over the catalogue.
        device: Device name as given, for instance `auto`.
        skip_bad_rows: Leave out rows that do not fit, and list them, instead of stopping at the first.
        seen: Where the data lay when they were first asked for, so that a large plan looks once; None to
            look every time.
    """

    backbone: Backbone
    data: Path | None
    store: Store
    tasks: Mapping[str, Task] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    device: str = "auto"
    skip_bad_rows: bool = False
    seen: dict[tuple[str, ...], Any] | None = field(default=None, compare=False, repr=False)

    def remembering(self) -> Workspace:
        """The same workspace for one plan, whose data stay as they are while it is made and carried out."""
        return replace(self, seen={})

    def _once(self, what: tuple[str, ...], look: Callable[[], T]) -> T:
        if self.seen is None:
            return look()
        if what not in self.seen:
            self.seen[what] = look()
        found: T = self.seen[what]
        return found

    def examples(
        self, task: Task, split: str, language: str, limit: int | None, notes: list[str]
    ) -> list[Example]:
        """The examples of a split, or `limit` of them, see `adaptrans.tasks.subset`.

        Args:
            task: The task.
            split: Name of the split.
            language: Language code.
            limit: How many at most.
            notes: Receives a line if bad rows were left out.

        Raises:
            MissingDataError: If the data are nowhere; says what to fetch.
            DataError: If a row does not fit, with file and line, unless bad rows are skipped.
        """
        report = sources.Report(skip_bad_rows=self.skip_bad_rows)
        examples = sources.read_examples(task, split, language, self.data, report=report)
        if report.skipped:
            notes.append(f"{task.name} {split} {language}: {len(report.skipped)} bad rows left out")
        return subset.part(examples, limit)

    def data_key(self, task: Task, split: str, language: str) -> str:
        """Fingerprint of a split as this workspace reads it; nothing is parsed.

        Raises:
            MissingDataError: If the data are nowhere; says what to fetch.
        """
        what = ("key", str(task), split, language)
        key = self._once(what, lambda: sources.fingerprint(task, split, language, self.data))
        return f"{key}-bad-rows-skipped" if self.skip_bad_rows else key

    def languages_here(self, task: Task, split: str) -> tuple[str, ...]:
        """Languages in which the data folder has a split; none without a folder."""
        if self.data is None:
            return ()
        data = self.data
        what = ("languages", str(task), split)
        return self._once(what, lambda: tuple(sources.available_languages(task, split, data)))

    def languages_with(self, task: Task, split: str) -> tuple[str, ...]:
        """Languages in which a split can be read.

        Those that the data folder has; where it has none of the split, or no folder is given, those
        that the hub offers.
        """
        return self.languages_here(task, split) or task.languages_of(split)

    def task(self, name: str) -> Task:
        """The task of this name.

        Raises:
            UnknownNameError: If there is none; the nearest name is suggested.
            MissingDataError: If the data folder was given but does not exist.
        """
        if self.data is not None and not self.data.is_dir():
            raise MissingDataError(
                f"the data folder {self.data} does not exist", remedy="give an existing folder with --data"
            )
        if name in self.tasks:
            return with_labels(self.tasks[name], self.data)
        known = [*self.tasks, *catalogue.names(self.folders)]
        if name not in known:
            raise UnknownNameError("task", name, known, remedy="adaptrans tasks list shows all")
        return with_labels(catalogue.get(name, self.folders), self.data)
