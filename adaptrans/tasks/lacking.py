"""Data that a plan needs and this machine does not have: where each split would come from. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adaptrans.tasks import sources
from adaptrans.tasks.schema import Task

HUB = "the Hugging Face Hub"


@dataclass(frozen=True)
class Lacking:
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


def lacking(task: Task, split: str, language: str, data: Path | None) -> Iterator[Lacking]:
    """What of a split is not here, by the tasks that it is read from.

    Args:
        task: The task.
        split: Name of the split.
        language: Code of the language.
        data: The data folder, if there is one.
    """
    definition = task.split(split)
    if definition.holdout:
        yield from lacking(task, definition.holdout.of, language, data)
        return
    for part in definition.parts():
        origin = task.origin(part)
        fits = part.language in (None, language) and language in origin.languages_of(part.split)
        if fits and not sources.is_available(origin, part.split, language, data):
            yield from lacking(origin, part.split, language, data)
    if definition.compose:
        return
    hub = [
        source for source in task.hub_sources(split) if not source.languages or language in source.languages
    ]
    own = [
        source for source in task.file_sources(split) if not source.languages or language in source.languages
    ]
    yield Lacking(
        task.name,
        split,
        language,
        str(hub[0].repo) if hub else None,
        (own[0].path if own else hub[0].files if hub else ("",))[0],
        task.homepage,
    )


def listed(found: Iterable[Lacking]) -> list[str]:
    """One line for each place that data come from, with tasks, splits and languages.

    Example:
        >>> listed([Lacking("a", "test", code, "org/a", "a.tsv", "") for code in ("de", "sw")])
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
