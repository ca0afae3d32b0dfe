"""Hubs in any store that fsspec reads, and in a folder or shared file system, the default. Torch-free.

Layout:
    adaptrans-hub.json                 what this folder is
    files/NAME/<manifest's hash>/      packages, one folder each
    versions/NAME@v1.json              a version: its manifest's hash and its row; made last, and only once
    tags/NAME@TAG@000001@v1            a tag: the highest counter holds
    index/<count>-<hash>.json          rows of so many versions together

Files of a package may be there before its version is, and are then invisible. A version is made by one
exclusive write and never changed, so that rows can be kept together in the index and never become wrong.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.hub.base import (
    Entry,
    PushOptions,
    PushResult,
    Remote,
    concurrent_push,
    name_taken,
    translate_errors,
    version_of,
)
from adaptrans.hub.package import LARGEST_TEXT, NAME, Digest, File, Package, PackageRow, Strict
from adaptrans.hub.verification.checks import Refusal, Refused
from adaptrans.utils.formats import HUB_INDEX
from adaptrans.utils.io import digest
from adaptrans.utils.progress import progress

MARK = "adaptrans-hub.json"
SNAPSHOT_AFTER = 64
"""Versions outside the index after which it is written anew."""
BLOCK = 1 << 20

_VERSION = re.compile(r"(?P<name>[^@]+)@v(?P<version>[1-9][0-9]*)\.json\Z")
_TAG = re.compile(r"(?P<name>[^@]+)@(?P<tag>[^@]+)@(?P<count>[0-9]{6})@v(?P<version>[1-9][0-9]*)\Z")


class Record(Strict):
    """What `versions/NAME@v1.json` says."""

    format: int
    manifest: Digest
    pushed: str
    row: PackageRow


_ROWS = TypeAdapter(list[PackageRow])


class StoreHub:
    """A hub in a store that fsspec reads.

    Args:
        place: Its address.

    Raises:
        ConfigError: If the package that reads such stores is missing.
    """

    fs: Any

    def __init__(self, place: str) -> None:
        import fsspec

        self.place = place
        try:
            with translate_errors(place, "check the address"):
                self.fs, root = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError) as error:
            extra = "pip install 'adaptrans[s3]'" if place.startswith("s3:") else "install what it names"
            raise ConfigError(f"{place}: {error}", remedy=extra) from None
        self.root = str(root).rstrip("/")

    def path(self, *parts: str) -> str:
        """A path of the store below the hub."""
        return "/".join((self.root, *parts))

    # Reading

    def names(self, folder: str) -> list[str]:
        """Names in a folder of the hub, none if it is not there."""
        self.fs.invalidate_cache()
        try:
            with translate_errors(self.place, "check the address and your rights", (PermissionError,)):
                found = self.fs.ls(self.path(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [str(path).rstrip("/").rpartition("/")[2] for path in found]

    def versions(self) -> list[tuple[str, int]]:
        """Names and numbers of all versions."""
        matches = (_VERSION.match(name) for name in self.names("versions"))
        return [(match["name"], int(match["version"])) for match in matches if match]

    def tags(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Counter and version of every tag, by name and tag."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for match in filter(None, map(_TAG.match, self.names("tags"))):
            place = (match["name"], match["tag"])
            found[place] = max(found.get(place, (0, 0)), (int(match["count"]), int(match["version"])))
        return found

    def record(self, name: str, version: int) -> Record:
        """What a version says."""
        path = self.path("versions", f"{name}@v{version}.json")
        try:
            return Record.model_validate_json(self._read(path))
        except ValidationError as error:
            raise ArtifactError(
                f"{path} cannot be read: {error.errors()[0]['msg']}", remedy="push the artifact again"
            ) from None

    def _read(self, path: str) -> bytes:
        with translate_errors(self.place, "check the address and your rights"), self.open(path) as file:
            text: bytes = file.read(LARGEST_TEXT + 1)
        if len(text) > LARGEST_TEXT:
            name = path.rpartition("/")[2]
            raise Refused(path, [Refusal("size", name, f"is larger than {LARGEST_TEXT} bytes")])
        return text

    def find(self, name: str, revision: str | None) -> Entry:
        """See `Hub.find`."""
        there = sorted(version for own, version in self.versions() if own == name)
        if not there:
            raise ArtifactError(
                f"{self.place} has no artifact {name}", remedy=f"see adaptrans hub list {self.place}"
            )
        tags = {tag: version for (own, tag), (_, version) in self.tags().items() if own == name}
        version = there[-1] if revision is None else version_of(revision) or tags.get(revision, 0)
        if version not in there:
            known = ", ".join([*(f"v{number}" for number in there), *sorted(tags)])
            raise ArtifactError(f"{name} has no version or tag {revision}", remedy=f"it has {known}")
        record = self.record(name, version)
        own = tuple(sorted(tag for tag, number in tags.items() if number == version))
        return Entry(name, version, record.manifest[:16], record.manifest, own)

    def rows(self) -> list[PackageRow]:
        """See `Hub.rows`."""
        there = set(self.versions())
        known = {(row.name, row.version): row for row in self._snapshot()}
        missing = sorted(there - known.keys())
        with progress(f"reading {self.place}", len(missing)) as meter:
            for place in missing:
                known[place] = self.record(*place).row
                meter.advance()
        if len(missing) > SNAPSHOT_AFTER:
            # Whoever may only read does without.
            with contextlib.suppress(OSError, ArtifactError):
                self._write_snapshot([known[place] for place in sorted(there)])
        tags: dict[tuple[str, int], list[str]] = {}
        for (name, tag), (_, version) in self.tags().items():
            tags.setdefault((name, version), []).append(tag)
        return [
            known[at].model_copy(update={"tags": tuple(sorted(tags.get(at, ())))}) for at in sorted(there)
        ]

    def _snapshot(self) -> list[PackageRow]:
        """The rows of the largest index that can be read."""
        for name in sorted(self.names("index"), reverse=True):
            with (
                contextlib.suppress(OSError, ValidationError, ArtifactError),
                self.open(self.path("index", name)) as file,
            ):
                return _ROWS.validate_json(file.read())
        return []

    def _write_snapshot(self, rows: list[PackageRow]) -> None:
        former = self.names("index")
        text = _ROWS.dump_json(rows)
        name = f"{len(rows):09d}-{digest([row.key for row in rows])}.json"
        self.write(self.path("index", name), text)
        # One former index stays for those who are reading it.
        for old in sorted(former)[:-1]:
            with contextlib.suppress(OSError):
                self.fs.rm_file(self.path("index", old))

    def manifest(self, entry: Entry) -> bytes:
        """See `Hub.manifest`."""
        return self._read(self.path("files", entry.name, entry.revision, NAME))

    def listing(self, entry: Entry) -> list[Remote]:
        """See `Hub.listing`."""
        root = self.path("files", entry.name, entry.revision)
        self.fs.invalidate_cache()
        with translate_errors(self.place, "check the address and your rights"):
            found: dict[str, dict[str, Any]] = self.fs.find(root, detail=True)
        return [Remote(str(path).removeprefix(f"{root}/"), item.get("size")) for path, item in found.items()]

    def fetch(self, entry: Entry, file: File, folder: Path) -> None:
        """See `Hub.fetch`."""
        target = folder / file.path
        if target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        done = part.stat().st_size if part.is_file() else 0
        with (
            translate_errors(
                f"{self.place}: {file.path}", "run the command again, which goes on where it stopped"
            ),
            self.open(self.path("files", entry.name, entry.revision, file.path)) as source,
            part.open("ab") as out,
            progress(f"{entry.name}: {file.path}", file.size, start=done) as meter,
        ):
            source.seek(done)
            # Never more than was claimed, whatever comes.
            while done < file.size and (block := source.read(min(BLOCK, file.size - done))):
                out.write(block)
                done += len(block)
                meter.to(done)
        if done != file.size:
            part.unlink()
            raise Refused(str(entry), [Refusal("size", file.path, f"has {done} bytes, not {file.size}")])
        part.replace(target)

    def open(self, path: str) -> Any:
        """A file of the hub for reading."""
        return self.fs.open(path, "rb")

    # Writing

    def push(self, folder: Path, package: Package, how: PushOptions) -> PushResult:
        """See `Hub.push`."""
        if how.private or how.pull_request or how.branch:
            raise ConfigError(
                f"{self.place} knows no private artifacts, pull requests or branches",
                remedy="they are for hf:// addresses",
            )
        name, hashed = package.name, package.digest()
        self._refuse_namesake(name)
        there = sorted(version for own, version in self.versions() if own == name)
        if there and self.record(name, there[-1]).manifest == hashed:
            return PushResult(self._tagged(self.find(name, f"v{there[-1]}"), how), new=False)
        if there and not how.new_version:
            raise name_taken(name, there[-1])
        version = there[-1] + 1 if there else 1
        with translate_errors(self.place, "check the address, your rights and the space left"):
            self._upload(folder, package, hashed[:16])
            self.write(self.path(MARK), json.dumps({"format": HUB_INDEX}).encode())
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            record = Record(
                format=HUB_INDEX, manifest=hashed, pushed=now, row=PackageRow.of(package, version)
            )
            text = record.model_dump_json(indent=1).encode()
            try:
                self.create(self.path("versions", f"{name}@v{version}.json"), text)
            except FileExistsError:
                if self.record(name, version).manifest != hashed:
                    raise concurrent_push(name, version) from None
        self._keep_index()
        return PushResult(self._tagged(self.find(name, f"v{version}"), how), new=True)

    def _refuse_namesake(self, name: str) -> None:
        """Two names that differ only in case would be one on some file systems."""
        for own, _ in self.versions():
            if own != name and own.lower() == name.lower():
                raise ArtifactError(
                    f"{self.place} has an artifact {own}", remedy=f"write {own}, or choose another"
                )

    def _upload(self, folder: Path, package: Package, hashed: str) -> None:
        """Put the files there that are not there yet, the manifest last."""
        root = self.path("files", package.name, hashed)
        self.fs.invalidate_cache()
        try:
            there = {str(path): item.get("size") for path, item in self.fs.find(root, detail=True).items()}
        except FileNotFoundError:
            there = {}
        paths = [file.path for file in package.files] + [NAME]
        with progress(f"pushing {package.name}", package.size) as meter:
            for path in paths:
                target, size = f"{root}/{path}", (folder / path).stat().st_size
                if there.get(target) != size:
                    self.put(folder / path, target)
                meter.advance(size)

    def _tagged(self, entry: Entry, how: PushOptions) -> Entry:
        """The version with the tag that it was pushed with, if any."""
        if how.tag is None or how.tag in entry.tags:
            return entry
        count, former = self.tags().get((entry.name, how.tag), (0, 0))
        with translate_errors(self.place, "check your rights"):
            try:
                self.create(
                    self.path("tags", f"{entry.name}@{how.tag}@{count + 1:06d}@v{entry.version}"), b""
                )
            except FileExistsError:
                raise ArtifactError(
                    f"another process has just set the tag {how.tag} of {entry.name}",
                    remedy="look at it with adaptrans hub show",
                ) from None
            if former:
                how.tell(f"tag {how.tag} of {entry.name} moved from v{former} to v{entry.version}")
                with contextlib.suppress(OSError):
                    self.fs.rm_file(self.path("tags", f"{entry.name}@{how.tag}@{count:06d}@v{former}"))
        return replace(entry, tags=(*entry.tags, how.tag))

    def _keep_index(self) -> None:
        """Write the index anew when too many versions are outside it; it is rebuilt by any reader."""
        counts = [int(name.split("-")[0]) for name in self.names("index") if name[:9].isdigit()]
        if len(self.versions()) - max(counts, default=0) > SNAPSHOT_AFTER:
            self.rows()

    def put(self, source: Path, target: str) -> None:
        """Upload a file, whole or not at all."""
        self.fs.put_file(str(source), target)

    def write(self, path: str, text: bytes) -> None:
        """Write a small file, whole or not at all."""
        self.fs.pipe_file(path, text)

    def create(self, path: str, text: bytes) -> None:
        """Write a small file that must not exist.

        Raises:
            FileExistsError: If it does, also if another process makes it at the same time.
        """
        try:
            self.fs.pipe_file(path, text, mode="create")
        except (NotImplementedError, TypeError, ValueError):
            # A store without exclusive writes: of two writers at the same moment, the last one wins.
            if self.fs.exists(path):
                raise FileExistsError(path) from None
            self.fs.pipe_file(path, text)
        self.fs.invalidate_cache()


class FolderHub(StoreHub):
    """A hub in a folder or a shared file system; written so that a kill never leaves half a file."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.root = Path(place).absolute().as_posix().rstrip("/")

    @functools.cached_property
    def fs(self) -> Any:
        """The file system of fsspec, which a list does without."""
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
