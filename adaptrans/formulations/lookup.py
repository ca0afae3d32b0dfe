"""All kinds of formulations, and the formulation of a task by what is written. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adaptrans.errors import ConfigError, SetupError, UnknownNameError
from adaptrans.formulations.base import Formulation
from adaptrans.formulations.prompts import ENGLISH, book_kind, files, read_book
from adaptrans.formulations.written import HEAD, OWN, SWITCHED, Written
from adaptrans.task_types.base import TaskType
from adaptrans.utils.registry import Registry

FORMULATIONS: Registry[type[Formulation]] = Registry("formulation")
"""All kinds of formulations by name."""
for _name, _target in {
    "cloze": "cloze:Cloze",
    "entailment": "entailment:Entailment",
    "question": "question:Question",
}.items():
    FORMULATIONS.add(_name, f"adaptrans.formulations.{_target}")


def names(folders: Iterable[Path] = ()) -> list[str]:
    """What a formulation may begin with: `head`, the kinds, and the names of the user's prompt files."""
    own = [path.stem for path in files(folders) if path.parent.parent in {Path(item) for item in folders}]
    return [HEAD, *FORMULATIONS.names(), *own]


def formulation_of(
    text: str, task: str, inner: TaskType, labels: tuple[str, ...], folders: Iterable[Path] = ()
) -> Formulation | None:
    """A formulation of a task; None for `head`, which every task has of itself.

    Args:
        text: How it is written.
        task: Name of the task.
        inner: Its type.
        labels: Its labels.
        folders: Folders of the user's own task files, in which prompt files are looked for first.

    Raises:
        UnknownNameError: If there is no such formulation, option or language.
        SetupError: If it has no prompts for the task, or cannot put a task of its type.
        ConfigError: If its file is broken, or lacks words for a label.
    """
    written = Written.parse(text)
    if written.name == HEAD:
        if str(written) != f"{HEAD}:{ENGLISH}":
            raise ConfigError("the formulation head has no prompt and no options", remedy="say head")
        return None
    paths = files(folders)
    own = [path for path in paths if path.stem == written.name]
    if own:
        path = own[0]
    else:
        if written.name not in FORMULATIONS:
            raise UnknownNameError("formulation", written.name, names(folders))
        fitting = [
            path for path in paths if written.name == book_kind(path)[0] and task in book_kind(path)[1]
        ]
        if not fitting:
            raise SetupError(
                f"{written.name} has no prompts for {task}",
                remedy=f"write a file of kind: {written.name} in FOLDER/formulations, with --tasks FOLDER",
            )
        path = fitting[0]
    kind = FORMULATIONS[book_kind(path)[0]]
    if inner.name not in kind.TYPES:
        raise SetupError(
            f"{kind.NAME} puts tasks of type {' or '.join(kind.TYPES)}, {task} is of type {inner.name}",
            remedy="leave the formulation out",
        )
    for option in written.options:
        if option not in kind.OPTIONS:
            raise UnknownNameError(f"option of {kind.NAME}", option, kind.OPTIONS)
    book = read_book(path, {*kind.MUST, *kind.FIELDS}, kind.MUST)
    for wording in written.wordings:
        for language in (wording.template, wording.words):
            if language not in (*book.languages, OWN, SWITCHED):
                raise UnknownNameError(f"language of {path.name}", language, [*book.languages, OWN, SWITCHED])
    own_labels = set(book.of(ENGLISH).words)
    if labels and own_labels != set(labels):
        raise ConfigError(
            f"{path}: has words for {', '.join(sorted(own_labels))}; the labels of {task} are "
            f"{', '.join(labels)}",
            remedy="give every label a word",
        )
    return kind(written, inner, labels, book)
