"""What a shareable artifact says of itself: `manifest.json`, data sources, what stays private. Torch-free.

docs/reference/artifact.md explains every key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adaptrans.errors import ArtifactError
from adaptrans.tasks.names import TaskRef
from adaptrans.tasks.schema import Task
from adaptrans.utils.formats import PACKAGE

NAME = "manifest.json"
CARD = "README.md"
MIB = 1 << 20
LARGEST_TEXT = 4 * MIB
"""Bytes of a JSON file or a card."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Count = Annotated[int, Field(ge=0, le=1 << 50)]


class Strict(BaseModel):
    """Frozen; a key that is not declared is an error, and so is text for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class File(Strict):
    """One file of the package: its path in it with `/`, bytes, and hash."""

    path: str
    size: Count
    sha256: Digest


class Base(Strict):
    """The encoder that the artifact belongs to; `tokenizer` is None where the run does not know its hash."""

    id: str
    revision: str | None
    architecture: str
    depth: int = Field(ge=1, le=1000)
    width: int = Field(ge=1, le=100_000)
    vocabulary: int = Field(ge=1, le=10_000_000)
    fingerprint: Digest
    tokenizer: Digest | None
    config: dict[str, bool | int | float | str | list[str] | None]


class Source(Strict):
    """Training data of a task, with fingerprints and writers (`native`, `human`, `machine`) by language."""

    task: str
    title: str
    license: str
    homepage: str
    hub: str | None = None
    languages: tuple[str, ...]
    data: dict[str, str] = {}
    written: dict[str, tuple[str, ...]] = {}


class Score(Strict):
    """One score x 100 in one language, with the number of examples and a 95 % interval."""

    task: str
    score: str
    split: str
    language: str
    value: float
    n: Count
    low: float | None
    high: float | None
    setup: str
    hub: str | None = None


class RunId(Strict):
    """A run of a store: phase, readable label, key."""

    phase: str = Field(pattern=r"^[a-z_]{1,20}$")
    label: str = Field(pattern=r"^[A-Za-z0-9_.+\-\[\],]{1,80}$")
    key: Key

    @field_validator("phase")
    @classmethod
    def _trains(cls, value: str) -> str:
        """What only evaluates has no artifact."""
        if value == "evaluate":
            raise ValueError("is no phase that trains")
        return value

    @property
    def folder(self) -> str:
        """Its folder below `runs/` of a store."""
        return f"{self.phase}/{self.label}-{self.key}"


class Parent(Strict):
    """An artifact that this one was built on.

    Args:
        content: Hash of its weights if the artifact cannot answer without it, else null.
        adapter: Name of its adapter's folder, if it has one.
        name: Its name in the same hub, beside version and hash of its manifest; null if it was not shared.
    """

    reference: str
    run: RunId
    content: Digest | None
    adapter: str | None = None
    name: str | None = None
    version: int | None = Field(default=None, ge=1)
    manifest: Digest | None = None


class Package(Strict):
    """A checked `manifest.json`."""

    format: int
    name: str
    setup: str
    method: str
    target: str
    kind: str
    formulation: str
    labels: tuple[str, ...]
    seed: int
    license: str
    languages: tuple[str, ...]
    base: Base
    versions: dict[str, str | None]
    training_data: tuple[Source, ...]
    scores: tuple[Score, ...]
    parents: tuple[Parent, ...]
    run: RunId
    content: Digest
    inputs: dict[str, Any]
    noted: dict[str, Any]
    result: dict[str, Any]
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def task(self) -> str:
        """The task with its version, or the language."""
        return str(self.inputs.get("task", self.target))

    def text(self) -> str:
        """The file's text: the same package gives the same bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=True) + "\n"

    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def means(self) -> dict[str, float]:
        """Mean over languages of each score, by `task score`; the primary one of the own target first."""
        found: dict[str, list[float]] = {}
        for score in sorted(self.scores, key=lambda item: TaskRef.parse(item.task).name != self.target):
            found.setdefault(f"{score.task.partition('@')[0]} {score.score}", []).append(score.value)
        return {name: sum(values) / len(values) for name, values in found.items()}


class PackageRow(Strict):
    """What a list shows of one version of an artifact, so that no package is opened for it."""

    name: str
    version: int = Field(ge=0)
    base: str
    depth: int
    width: int
    fingerprint: str
    task: str
    kind: str
    phase: str
    setup: str
    method: str
    languages: tuple[str, ...]
    license: str
    scores: dict[str, float]
    size: Count
    key: str
    content: str
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, package: Package, version: int) -> PackageRow:
        """The row of a package."""
        base, run = package.base, package.run
        same = ("name", "task", "kind", "setup", "method", "languages", "license", "size", "content")
        return cls(
            **{name: getattr(package, name) for name in same},
            **base.model_dump(include={"depth", "width", "fingerprint"}),
            version=version,
            base=base.id,
            phase=run.phase,
            scores=package.means(),
            key=run.key,
        )


def parse_package(text: bytes | str, what: str) -> Package:
    """Read a manifest's text.

    Raises:
        ArtifactError: If it is no manifest of this format; names the first key that is wrong.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{what} cannot be read: {error}", remedy="fetch it again") from None
    found = values.get("format") if isinstance(values, dict) else None
    if found != PACKAGE:
        raise ArtifactError(
            f"{what} has format {found!r}, this version reads {PACKAGE}",
            remedy="use the version of adaptrans that wrote it",
        )
    try:
        return Package.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactError(f"{what}: {place}: {first['msg']}", remedy="fetch it again") from None


def read_package(folder: Path) -> Package:
    """Read the manifest of a package.

    Raises:
        ArtifactError: If there is none, or it is damaged.
    """
    path = folder / NAME
    if path.is_symlink() or not path.is_file():
        raise ArtifactError(f"{folder} has no {NAME}", remedy="give the folder of a pulled artifact")
    if path.stat().st_size > LARGEST_TEXT:
        raise ArtifactError(f"{path} is larger than {LARGEST_TEXT} bytes", remedy="fetch it again")
    return parse_package(path.read_bytes(), str(path))


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
    first, *others = once(_walk(task, split, tuple(languages)))
    return [first.model_copy(update={"data": dict(data or {})}), *others]


def once(sources: Iterable[Source]) -> tuple[Source, ...]:
    """The first source of each task."""
    found: dict[str, Source] = {}
    for source in sources:
        found.setdefault(source.task, source)
    return tuple(found.values())


def _walk(task: Task, split: str, languages: tuple[str, ...]) -> Iterator[Source]:
    yield Source(
        task=str(task),
        title=task.title,
        license=task.license,
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


def unpublished(name: str, title: str, languages: Iterable[str] = (), **known: Any) -> Source:
    """Training data that no task file describes: `data` and `written` as far as they are known."""
    own = tuple(languages)
    return Source(task=name, title=title, license=UNKNOWN, homepage="", languages=own, **known)


def recorded(values: Mapping[str, Any]) -> list[Source] | None:
    """The sources that an artifact recorded when it was trained; None if none can be read."""
    said = values.get("training_data")
    listed = said.get("sources") if isinstance(said, Mapping) else None
    try:
        return [Source.model_validate(item) for item in listed] if listed else None
    except ValidationError:  # by another version, which named the keys otherwise
        return None


TOKENS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), "a token of the Hugging Face Hub"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"), "a GitHub token"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
)
_BEFORE = r"(?:(?<=[\s\"'=(\[,:])|^)"
PATHS = (
    re.compile(
        rf"{_BEFORE}(?:file://)?/(?:home|Users|root|tmp|var|mnt|media|data|work|opt|srv|scratch|private|usr)/\S+",
        re.MULTILINE,
    ),
    re.compile(rf"{_BEFORE}~/\S+", re.MULTILINE),
    re.compile(r"\b[A-Za-z]:\\{1,2}\w"),
)


def found_in(text: str, folders: Iterable[Path] = ()) -> str | None:
    """What a text says that is nobody else's business, None if nothing.

    Args:
        text: The text.
        folders: Folders of this machine that must not be named.

    Example:
        >>> found_in('{"name": "/home/ann/xlmr"}')
        'the local path /home/ann/xlmr'
        >>> found_in("see https://example.org/data/home/x") is None
        True
    """
    for pattern, what in TOKENS:
        if pattern.search(text):
            return what
    for pattern in PATHS:
        match = pattern.search(text)
        if match:
            return f"the local path {match[0].rstrip('.,;)]}').partition(chr(34))[0]}"
    for folder in folders:
        if len(folder.parts) > 2 and str(folder) in text:
            return f"the local path {folder}"
    return None
