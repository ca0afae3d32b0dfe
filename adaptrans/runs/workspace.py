"""Where runs work: backbone, data, store, tasks, device. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adaptrans import samples
from adaptrans.errors import MissingDataError, UnknownNameError
from adaptrans.hub.store import Store
from adaptrans.models.backbone import Backbone
from adaptrans.tasks import catalogue, sources
from adaptrans.tasks.examples import Example
from adaptrans.tasks.open_labels import with_labels
from adaptrans.tasks.schema import Task

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
    """

    backbone: Backbone
    data: Path | None
    store: Store
    tasks: Mapping[str, Task] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    device: str = "auto"
    skip_bad_rows: bool = False

    def examples(
        self, task: Task, split: str, language: str, limit: int | None, notes: list[str]
    ) -> list[Example]:
        """The examples of a split, or `limit` of them, evenly spaced.

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
        if limit is None or limit >= len(examples):
            return examples
        return [examples[place * len(examples) // limit] for place in range(limit)]

    def data_key(self, task: Task, split: str, language: str) -> str:
        """Fingerprint of a split as this workspace reads it; nothing is parsed.

        Raises:
            MissingDataError: If the data are nowhere; says what to fetch.
        """
        key = sources.fingerprint(task, split, language, self.data)
        return f"{key}-bad-rows-skipped" if self.skip_bad_rows else key

    def languages_with(self, task: Task, split: str) -> tuple[str, ...]:
        """Languages in which a split can be read.

        Those that the data folder has; where it has none of the split, or no folder is given, those
        that the hub offers.
        """
        here = () if self.data is None else sources.available_languages(task, split, self.data)
        return tuple(here) or task.languages_of(split)

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
