"""Hubs: where artefacts are shared, behind one small interface, chosen by address. Torch-free.

A new kind of hub is a class with these methods and one line in `HUBS`, by the scheme of its addresses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adaptrans.errors import AdaptransError, ArtefactError, ConfigError
from adaptrans.hub.package import File, Package, Row
from adaptrans.hub.safety import Remote
from adaptrans.registry import Registry


@dataclass(frozen=True)
class Entry:
    """One version of an artefact in a hub.

    Args:
        name: Its name.
        version: Its version, from 1; 0 for a state of a repository that has none.
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
class Pushing:
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
class Pushed:
    """What a push did.

    Args:
        entry: The version.
        new: Whether it was made now; False if the hub had the same already.
        link: Where to see it, for instance a pull request.
    """

    entry: Entry
    new: bool
    link: str | None = None


class NoPackage(ArtefactError):
    """A repository that is there and is no artefact of this package."""


class Hub(Protocol):
    """A place where artefacts are shared."""

    place: str

    def find(self, name: str, revision: str | None) -> Entry:
        """A version, by number or tag; the newest where `revision` is None.

        Raises:
            ArtefactError: If there is none.
        """

    def rows(self) -> list[Row]:
        """One row for each version of each artefact, without opening any."""

    def manifest(self, entry: Entry) -> bytes:
        """The text of its manifest."""

    def listing(self, entry: Entry) -> list[Remote]:
        """All its files."""

    def fetch(self, entry: Entry, file: File, folder: Path) -> None:
        """Download one file to its path in a folder; goes on where an earlier call was interrupted."""

    def push(self, folder: Path, package: Package, how: Pushing) -> Pushed:
        """Upload a package; it becomes visible whole, at the end.

        Raises:
            ArtefactError: If the name has a version with other content, or another process was faster.
        """


HUBS: Registry[Callable[[str], Hub]] = Registry("kind of hub")
"""Kinds of hub by the scheme of their addresses."""
HUBS.add("folder", "adaptrans.hub.folder:FolderHub")
HUBS.add("hf", "adaptrans.hub.huggingface:HuggingFaceHub")


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
    from adaptrans.hub.stored import StoreHub

    return StoreHub(place)


@contextlib.contextmanager
def told(what: str, remedy: str, kinds: Sequence[type[Exception]] = (OSError,)) -> Iterator[None]:
    """Turn what a library raises into an error of one line."""
    try:
        yield
    except AdaptransError:
        raise
    except tuple(kinds) as error:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        raise ArtefactError(f"{what}: {text}", remedy=remedy) from error


def taken(name: str, version: int) -> ArtefactError:
    """The error of a push to a name that has another content."""
    return ArtefactError(
        f"{name} has a version v{version} with other content, which is not overwritten",
        remedy="add --new-version, or choose another name",
    )


def outrun(name: str, version: int) -> ArtefactError:
    """The error of a push that another one was faster than."""
    return ArtefactError(
        f"another process has just pushed {name}@v{version}",
        remedy="look at it with adaptrans hub show, then add --new-version or choose another name",
    )
