"""Addresses of shared artifacts, and the interface of every hub. Torch-free."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adaptrans.errors import AdaptransError, ArtifactError, ConfigError
from adaptrans.hub.package import File, Package, PackageRow
from adaptrans.utils.registry import Registry


@dataclass(frozen=True)
class Remote:
    """A file as a hub lists it; `size` None where the hub does not say."""

    path: str
    size: int | None
    link: bool = False


FOLDER, HUGGING_FACE = "folder", "hf"

LONGEST_NAME = 96
"""Characters of a name. Source: the limit of the Hugging Face Hub for a repository's name."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_]|[.-](?![.-])(?!\Z))*\Z")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)\Z", re.DOTALL)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
_VERSION = re.compile(r"v([1-9][0-9]{0,8})\Z")


@dataclass(frozen=True)
class Address:
    """An artifact in a hub.

    Args:
        scheme: `folder`, `hf`, or the protocol of an fsspec store.
        place: The hub: a folder, `s3://bucket/folder`, `hf://user`.
        name: The artifact's name there.
        revision: A version as `v2`, or a tag; None for the newest version.
    """

    scheme: str
    place: str
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.place}/{self.name}{f'@{self.revision}' if self.revision else ''}"


def parse_artifact(text: str) -> Address:
    """The artifact that an address names.

    Raises:
        ConfigError: If it names none.

    Example:
        >>> parse_artifact("s3://bucket/hub/mnli-base@v2")
        Address(scheme='s3', place='s3://bucket/hub', name='mnli-base', revision='v2')
        >>> parse_artifact("hf://ann/mnli").place
        'hf://ann'
    """
    body, at, revision = text.rpartition("@") if "@" in text.rsplit("/", 1)[-1] else (text, "", "")
    place, slash, name = body.rstrip("/").rpartition("/")
    scheme = scheme_of(body)
    if scheme != FOLDER and (not slash or place.endswith((":/", "//"))):
        raise ConfigError(
            f'"{text}" names no artifact', remedy=f"write {example(scheme)}, with the artifact's name last"
        )
    if scheme == FOLDER and not slash:
        place, name = ".", body
    problem = name_problem(name)
    if problem:
        raise ConfigError(f'"{text}": the name "{name}" {problem}', remedy="name it for instance mnli-base")
    if at and not _REVISION.match(revision):
        raise ConfigError(f'"{text}": "{revision}" is no version or tag', remedy="write for instance @v1")
    return Address(*parse_place(place or "/"), name, revision or None)


def parse_place(text: str) -> tuple[str, str]:
    """Scheme and normal form of a hub's address.

    Raises:
        ConfigError: If it is none.

    Example:
        >>> parse_place("hf://ann/"), parse_place("shared/hub/")
        (('hf', 'hf://ann'), ('folder', 'shared/hub'))
    """
    scheme = scheme_of(text)
    if scheme == FOLDER:
        path = text.removeprefix("file://") or "."
        return FOLDER, str(Path(path).expanduser())
    place = text.rstrip("/")
    if place.endswith(":") or (scheme == HUGGING_FACE and place.count("/") != 2):
        raise ConfigError(f'"{text}" names no hub', remedy=f"write {example(scheme).rpartition('/')[0]}")
    return scheme, place


def scheme_of(text: str) -> str:
    """The scheme of an address, `folder` where it has none.

    Example:
        >>> scheme_of("hf://ann/mnli"), scheme_of("./shared/mnli"), scheme_of("file:///shared/mnli")
        ('hf', 'folder', 'folder')
    """
    match = _SCHEME.match(text)
    return FOLDER if match is None or match[1].lower() == "file" else match[1].lower()


def example(scheme: str) -> str:
    """An address as it should be."""
    return {FOLDER: "FOLDER/NAME", HUGGING_FACE: "hf://USER/NAME"}.get(
        scheme, f"{scheme}://BUCKET/FOLDER/NAME"
    )


def name_problem(name: str) -> str | None:
    """What is wrong with an artifact's name, None if nothing is.

    Only ASCII, so that no name looks like another one.

    Example:
        >>> name_problem("mnli-base") is None
        True
        >>> name_problem("mnli-b\\u0430se")
        'has the character U+0430 (CYRILLIC SMALL LETTER A), which looks like another one'
    """
    odd = next((char for char in name if ord(char) > 126 or ord(char) < 32), None)
    if odd is not None:
        said = unicodedata.name(odd, "a control character")
        return f"has the character U+{ord(odd):04X} ({said}), which looks like another one"
    if not name or len(name) > LONGEST_NAME:
        return f"is empty or longer than {LONGEST_NAME} characters"
    if not _NAME.match(name):
        return "may hold letters, digits, '_', and single '-' or '.' between them"
    return None


def version_of(revision: str | None) -> int | None:
    """The number of a version, None for a tag or nothing.

    Example:
        >>> version_of("v12"), version_of("best"), version_of(None)
        (12, None, None)
    """
    match = _VERSION.match(revision or "")
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Entry:
    """One version of an artifact in a hub.

    Args:
        version: From 1; 0 for a state of a repository that has none.
        revision: What the hub fetches it by.
        manifest: SHA-256 of its manifest; None where the hub does not know it before it is read.
        tags: Further names of this version.
    """

    name: str
    version: int
    revision: str
    manifest: str | None = None
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}" if self.version else f"{self.name}@{self.revision[:12]}"


@dataclass(frozen=True)
class PushOptions:
    """How something is pushed.

    Args:
        new_version: Add a version to a name that has one with other content.
        tag: Further name of the version.
        private: Hugging Face: make a new repository private.
        pull_request: Hugging Face: open a pull request instead of making a version.
        branch: Hugging Face: commit to this branch, without making a version.
        message: Of the commit, where there is one.
        tell: Told what happened beside the push itself.
    """

    new_version: bool = False
    tag: str | None = None
    private: bool = False
    pull_request: bool = False
    branch: str | None = None
    message: str = ""
    tell: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class PushResult:
    """The version that a push made, or that the hub had already; a pull request has a link."""

    entry: Entry
    new: bool
    link: str | None = None


class NoPackage(ArtifactError):
    """A repository that is there and is no artifact of this package."""


class Hub(Protocol):
    """A place where artifacts are shared."""

    place: str

    def find(self, name: str, revision: str | None) -> Entry:
        """A version, by number or tag; the newest where `revision` is None.

        Raises:
            ArtifactError: If there is none.
        """

    def rows(self) -> list[PackageRow]:
        """One row for each version of each artifact, without opening any."""

    def manifest(self, entry: Entry) -> bytes:
        """The text of its manifest."""

    def listing(self, entry: Entry) -> list[Remote]:
        """All its files."""

    def fetch(self, entry: Entry, file: File, folder: Path) -> None:
        """Download one file to its path in a folder; goes on where an earlier call was interrupted."""

    def push(self, folder: Path, package: Package, how: PushOptions) -> PushResult:
        """Upload a package; it becomes visible whole, at the end.

        Raises:
            ArtifactError: If the name has a version with other content, or another process was faster.
        """


@contextlib.contextmanager
def translate_errors(what: str, remedy: str, kinds: Sequence[type[Exception]] = (OSError,)) -> Iterator[None]:
    """Turn what a library raises into an error of one line."""
    try:
        yield
    except AdaptransError:
        raise
    except tuple(kinds) as error:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        raise ArtifactError(f"{what}: {text}", remedy=remedy) from error


def name_taken(name: str, version: int) -> ArtifactError:
    """The error of a push to a name that has another content."""
    return ArtifactError(
        f"{name} has a version v{version} with other content, which is not overwritten",
        remedy="add --new-version, or choose another name",
    )


def concurrent_push(name: str, version: int) -> ArtifactError:
    """The error of a push that another one was faster than."""
    return ArtifactError(
        f"another process has just pushed {name}@v{version}",
        remedy="look at it with adaptrans hub show, then add --new-version or choose another name",
    )


HUBS: Registry[Callable[[str], Hub]] = Registry("kind of hub")
"""Kinds of hub by the scheme of their addresses."""
HUBS.add("folder", "adaptrans.hub.fsspec:FolderHub")
HUBS.add("hf", "adaptrans.hub.huggingface:HuggingFaceHub")
HUBS.add("fsspec", "adaptrans.hub.fsspec:StoreHub")


def open_hub(scheme: str, place: str) -> Hub:
    """The hub of an address.

    Raises:
        ConfigError: If nothing reads such addresses, or a package for it is missing.
    """
    if scheme in HUBS:
        return HUBS[scheme](place)
    from fsspec import available_protocols

    if scheme not in available_protocols():
        raise ConfigError(
            f'"{place}": no hub has addresses that start with {scheme}://',
            remedy="write FOLDER/NAME, s3://BUCKET/FOLDER/NAME or hf://USER/NAME",
        )
    return HUBS["fsspec"](place)
