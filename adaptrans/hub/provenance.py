"""Where training data come from and under which licence, as task files say it. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adaptrans.hub.package import Source
from adaptrans.tasks.schema import Task

UNKNOWN = "unknown"


def sources_of(
    task: Task, split: str, languages: Sequence[str], data: Mapping[str, str] | None = None
) -> list[Source]:
    """The published data behind a split, also where it is composed of other tasks' splits.

    Args:
        task: The task.
        split: Its split.
        languages: Languages that were read.
        data: Fingerprint of what was read, by language.
    """
    found: dict[str, Source] = {}
    for item in _walk(task, split, tuple(languages)):
        found.setdefault(item.task, item)
    first, *others = found.values()
    return [first.model_copy(update={"data": dict(data or {})}), *others]


def _walk(task: Task, split: str, languages: tuple[str, ...]) -> Iterator[Source]:
    yield Source(
        task=str(task),
        title=task.title,
        licence=task.licence,
        homepage=task.homepage,
        hub=task.sources.hub.repo,
        languages=languages,
        written={code: found for code in languages if (found := task.provenance_of(split, code))},
    )
    definition = task.split(split)
    if definition.holdout is not None:
        yield from _walk(task, definition.holdout.of, languages)
    for part in definition.parts():
        own = (part.language,) if part.language else languages
        yield from _walk(task.origin(part), part.split, own)


def text_source(language: str, files: Sequence[str]) -> Source:
    """The plain text that a language adapter was trained on, of which only the hashes are known."""
    return Source(
        task=f"text-{language}",
        title=f"plain text in {language}",
        licence=UNKNOWN,
        homepage="",
        languages=(language,),
        data={f"file {place}": digest for place, digest in enumerate(files, start=1)},
    )


def elsewhere(name: str) -> Source:
    """What an adapter that was made elsewhere was trained on, which is not known."""
    return Source(task=name, title="trained elsewhere", licence=UNKNOWN, homepage="", languages=())


def recorded(values: Mapping[str, Any]) -> list[Source] | None:
    """The sources that an artefact recorded when it was trained, None if it recorded none."""
    said = values.get("training_data")
    listed = said.get("sources") if isinstance(said, Mapping) else None
    return [Source.model_validate(item) for item in listed] if listed else None
