"""Where runs work: backbone, data, store, tasks, device. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from adaptrans import samples
from adaptrans.errors import ArtifactError, MissingDataError
from adaptrans.formulations.written import split_name
from adaptrans.modeling.backbone import ABSENT, Backbone, tokenizer_fingerprint
from adaptrans.modeling.manifest import NAME
from adaptrans.runs.store import RunRef, Store
from adaptrans.task_types.rows import Example
from adaptrans.tasks import catalogue, loading
from adaptrans.tasks.catalogue import load_types
from adaptrans.tasks.loading import MissingData, missing_data, with_labels
from adaptrans.tasks.schema import Task
from adaptrans.tasks.tag_schemes import changed_rules
from adaptrans.utils.io import digest

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


def definition(task: Task) -> str:
    """Hash of what a task file says of scoring and labels; the data have fingerprints of their own."""
    said = task.model_dump(
        mode="json",
        include={"kind", "labels", "label_map", "tag_on", "scores", "parallel", "languages", "max_length"},
    )
    own = {"type_source": task.type.source} if task.type.source else {}
    return digest(said | own | changed_rules(task.scores, task.labels))


@dataclass(frozen=True)
class Workspace:
    """The surroundings that all runs of a command share.

    Args:
        data: Folder of original files or hub copies; None for the hub alone.
        tasks: Tasks defined inline by an experiment, which win over all others.
        folders: Folders of the user's own task files, which win over the catalogue.
        device: Device name as given, for instance `auto`.
        skip_bad_rows: Leave out rows that do not fit, and list them, instead of stopping at the first.
        seen: Where the data lay when they were first asked for, so that a large plan looks once; None to
            look every time.
        absent: For a plan that is only shown: what it needs and is not here is noted in it, and something
            stands for it; None where that is an error.
    """

    backbone: Backbone
    data: Path | None
    store: Store
    tasks: Mapping[str, Task] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    device: str = "auto"
    skip_bad_rows: bool = False
    seen: dict[tuple[str, ...], Any] | None = field(default=None, compare=False, repr=False)
    absent: dict[MissingData, None] | None = field(default=None, compare=False, repr=False)

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
        """The examples of a split, at most `limit` of them, see `adaptrans.tasks.loading`.

        Bad rows that were left out are said in a line of `notes`.

        Raises:
            MissingDataError: If the data are nowhere; says what to fetch.
            DataError: If a row does not fit, with file and line, unless bad rows are skipped.
        """
        return list(self.stream(task, split, language, limit, notes))

    def stream(
        self, task: Task, split: str, language: str, limit: int | None, notes: list[str]
    ) -> Iterator[Example]:
        """The same examples one after the other, so that their number needs no memory.

        A line on bad rows that were skipped comes into `notes` after the last one, unless it is there.
        """
        report = loading.Report(skip_bad_rows=self.skip_bad_rows)
        yield from loading.part(loading.stream_examples(task, split, language, self.data, report), limit)
        note = f"{task.name} {split} {language}: {loading.skipped_rows(len(report.skipped))}"
        if report.skipped and note not in notes:
            notes.append(note)
            loading.log_left_out(task, split, language, report.skipped)

    def data_key(self, task: Task, split: str, language: str) -> str:
        """Fingerprint of a split as this workspace reads it; nothing is parsed.

        Raises:
            MissingDataError: If the data are nowhere; says what to fetch.
        """
        what = ("key", str(task), split, language)
        key = self._once(what, lambda: self._fingerprint(task, split, language))
        return f"{key}-bad-rows-skipped" if self.skip_bad_rows else key

    def _fingerprint(self, task: Task, split: str, language: str) -> str:
        """Fingerprint of a split; where a plan is only shown, nothing is fetched for it."""
        published = self.absent is not None and language in task.languages_of(split)
        if self.absent is None or not published or loading.is_available(task, split, language, self.data):
            return loading.fingerprint(task, split, language, self.data)
        self.absent.update(dict.fromkeys(missing_data(task, split, language, self.data)))
        return f"{ABSENT}{task}.{split}.{language}"

    def definition(self, task: Task) -> str:
        """Hash of what a task file says of scoring and labels, see `definition`."""
        return self._once(("definition", str(task)), lambda: definition(task))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A process that is handed a workspace knows the task types of its folders."""
        self.__dict__.update(state)
        for folder in self.folders:
            load_types(folder)

    @property
    def tokenizer_key(self) -> str:
        """Fingerprint of the backbone's tokenizer."""
        what = ("tokenizer", self.backbone.name, self.backbone.fingerprint)
        return self._once(what, lambda: tokenizer_fingerprint(self.backbone))

    def languages_here(self, task: Task, split: str) -> tuple[str, ...]:
        """Languages in which the data folder has a split; none without a folder."""
        if self.data is None:
            return ()
        data = self.data
        what = ("languages", str(task), split)
        return self._once(what, lambda: tuple(loading.available_languages(task, split, data)))

    def languages_with(self, task: Task, split: str) -> tuple[str, ...]:
        """Languages in which a split can be read.

        Those that the data folder has; where it has none of the split, or no folder is given, those
        that the hub offers.
        """
        return self.languages_here(task, split) or task.languages_of(split)

    def task(self, name: str) -> Task:
        """The task of this name, with the labels of its data; a plan that is only shown does without those.

        A formulation may stand in brackets behind the name: `xnli[cloze:en]`.

        Raises:
            UnknownNameError: If there is none; the nearest name is suggested.
            MissingDataError: If the data folder was given but does not exist.
        """
        if self.data is not None and not self.data.is_dir():
            raise MissingDataError(
                f"the data folder {self.data} does not exist", remedy="give an existing folder with --data"
            )
        return self._once(("task", name), lambda: self._task(name))

    def _task(self, name: str) -> Task:
        plain, formulation = split_name(name)
        if formulation:
            return self.task(plain).put(formulation, self.folders)
        if name not in (*self.tasks, *catalogue.names(self.folders)):
            raise catalogue.unknown(name, self.folders, self.tasks)
        task = self.tasks[name] if name in self.tasks else catalogue.get(name, self.folders)
        source, shown = task.labels_from, self.absent is not None
        if shown and source and not loading.available_languages(task, source.split, self.data):
            return task
        return with_labels(task, self.data)


def artifact_folder(text: str, store: Store) -> Path:
    """The folder of a trained artifact: the one named, that of its run, or that of a run of the store.

    Args:
        text: A folder, or the key, or start of a key, of a finished run.
        store: Where keys are looked up.

    Raises:
        ArtifactError: If there is none.
    """
    folder = Path(text).expanduser()
    for found in (folder, folder / "artifact"):
        if (found / NAME).is_file():
            return found
    if folder.is_dir():
        raise ArtifactError(
            f"{text} holds no {NAME}", remedy="give the folder of a trained run, or of an artifact"
        )
    if "/" in text:
        raise ArtifactError(f"there is no folder {text}", remedy="give a folder, or the key of a run")
    run = store.find(RunRef.parse(text).key)
    if (run.artifact / NAME).is_file():
        return run.artifact
    trained = run.config().get("trained") if run.phase == "evaluate" else None
    raise ArtifactError(
        f"{run.name} is of the phase {run.phase} and has no artifact of a setup",
        remedy=f"name the run that it evaluates: {trained}" if trained else "name a run that trained a setup",
    )
