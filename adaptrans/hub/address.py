"""Addresses of hubs and of artefacts in them. Torch-free.

    FOLDER/NAME            a folder or a shared file system
    s3://BUCKET/FOLDER/NAME   any store that fsspec reads
    hf://USER/NAME         the Hugging Face Hub

Each may end in `@v2` for a version, or `@TAG`; without it the newest version is meant.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from adaptrans.errors import ConfigError

FOLDER, HUGGING_FACE = "folder", "hf"

LONGEST_NAME = 96
"""Characters of a name. Source: the limit of the Hugging Face Hub for a repository's name."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_]|[.-](?![.-])(?!\Z))*\Z")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)\Z", re.DOTALL)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
_VERSION = re.compile(r"v([1-9][0-9]{0,8})\Z")


@dataclass(frozen=True)
class Address:
    """An artefact in a hub.

    Args:
        scheme: `folder`, `hf`, or the protocol of an fsspec store.
        place: The hub: a folder, `s3://bucket/folder`, `hf://user`.
        name: The artefact's name there.
        revision: A version as `v2`, or a tag; None for the newest version.
    """

    scheme: str
    place: str
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.place}/{self.name}{f'@{self.revision}' if self.revision else ''}"


def parse_artefact(text: str) -> Address:
    """The artefact that an address names.

    Raises:
        ConfigError: If it names none.

    Example:
        >>> parse_artefact("s3://bucket/hub/mnli-base@v2")
        Address(scheme='s3', place='s3://bucket/hub', name='mnli-base', revision='v2')
        >>> parse_artefact("hf://ann/mnli").place
        'hf://ann'
    """
    body, _, revision = text.rpartition("@") if "@" in text.rsplit("/", 1)[-1] else (text, "", "")
    place, slash, name = body.rstrip("/").rpartition("/")
    scheme = scheme_of(body)
    if scheme != FOLDER and (not slash or place.endswith((":/", "//"))):
        raise ConfigError(
            f'"{text}" names no artefact', remedy=f"write {example(scheme)}, with the artefact's name last"
        )
    if scheme == FOLDER and not slash:
        place, name = ".", body
    problem = name_problem(name)
    if problem:
        raise ConfigError(f'"{text}": the name "{name}" {problem}', remedy="name it for instance mnli-base")
    if ("@" in text.rsplit("/", 1)[-1]) and not _REVISION.match(revision):
        raise ConfigError(f'"{text}": "{revision}" is no version or tag', remedy="write for instance @v1")
    parsed = parse_place(place or "/")
    return Address(parsed[0], parsed[1], name, revision or None)


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
    """What is wrong with an artefact's name, None if nothing is.

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
