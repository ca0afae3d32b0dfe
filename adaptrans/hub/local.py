"""Hubs in a folder or a shared file system, the default. Torch-free."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptrans.hub.base import Entry, Remote, translate_errors
from adaptrans.hub.fsspec import StoreHub


class FolderHub(StoreHub):
    """A hub in a folder or a shared file system; written so that a kill never leaves half a file."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.root = Path(place).absolute().as_posix().rstrip("/")

    @functools.cached_property
    def fs(self) -> Any:
        """What fsspec reads folders with; a list does without it."""
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem()

    def names(self, folder: str) -> list[str]:
        """See `StoreHub.names`."""
        with translate_errors(self.place, "check your rights", (PermissionError,)):
            try:
                return os.listdir(self.path(folder))  # noqa: PTH208 - names alone, ten times as fast
            except (FileNotFoundError, NotADirectoryError):
                return []

    def listing(self, entry: Entry) -> list[Remote]:
        """See `Hub.listing`; links are told and not followed."""
        root = Path(self.path("files", entry.name, entry.revision))
        return [
            Remote(path.relative_to(root).as_posix(), path.lstat().st_size, path.is_symlink())
            for path in sorted(root.rglob("*"))
            if path.is_symlink() or (not path.is_dir() and not _is_part(path))
        ]

    def open(self, path: str) -> Any:
        """A file of the hub for reading, never through a link."""
        return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb")

    def put(self, source: Path, target: str) -> None:
        """See `StoreHub.put`."""
        with _beside(Path(target)) as temporary:
            shutil.copyfile(source, temporary)
            temporary.replace(target)

    def write(self, path: str, text: bytes) -> None:
        """See `StoreHub.write`."""
        with _beside(Path(path)) as temporary:
            temporary.write_bytes(text)
            temporary.replace(path)

    def create(self, path: str, text: bytes) -> None:
        """See `StoreHub.create`."""
        with _beside(Path(path)) as temporary:
            temporary.write_bytes(text)
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                with Path(path).open("xb") as file:
                    file.write(text)


def _is_part(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder, gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
