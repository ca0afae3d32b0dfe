"""Files written whole or not at all, JSON, and SHA-256 digests that are remembered. Torch-free."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adaptrans.errors import AdaptransError


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces.

    Example:
        >>> canonical_json({"b": 1, "a": [2]})
        '{"a":[2],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any, length: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of a value's canonical JSON.

    Example:
        >>> digest({"seed": 1}) == digest({"seed": 1})
        True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its name once it is complete.

    Works for files and for folders: a file replaces a file, a folder a folder.
    After an exception what was there is untouched.

    Raises:
        AdaptransError: If a file would replace a folder, or a folder a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    former = path.with_name(f".{path.name}.{os.getpid()}.old")
    remove(temporary)
    try:
        yield temporary
        _check_kind(temporary, path)
        if path.is_dir() and temporary.is_dir():
            # Nothing can be renamed over a full folder. The old one steps aside, because deleting it
            # takes longer than renaming and a kill meanwhile would leave neither.
            remove(former)
            path.replace(former)
        temporary.replace(path)
        remove(former)
    finally:
        remove(temporary)


def _check_kind(new: Path, path: Path) -> None:
    """Refuse to put a file in the place of a folder, which may hold anything, or the other way round."""
    for kind, is_new, is_old in (
        ("a folder, not a file", new.is_file(), path.is_dir()),
        ("a file, not a folder", new.is_dir(), path.exists() and not path.is_dir()),
    ):
        if is_new and is_old:
            raise AdaptransError(f"{path} is {kind}", remedy="give another name, or delete it first")


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def give_usual_mode(path: Path) -> None:
    """Give a file the mode that any new file of this process has: 0666 without the bits of the umask.

    For files that a library wrote: safetensors 0.8 makes its own readable by their owner alone, also in the
    place of one that others could read, so that nobody else on a shared disk could use them.
    """
    # A new file tells: asking for the umask would change it, for all threads.
    probe = path.with_name(f".{path.name}.{os.getpid()}.mode")
    remove(probe)
    probe.touch()
    try:
        path.chmod(stat.S_IMODE(probe.stat().st_mode))
    finally:
        remove(probe)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


_OTHER_ENCODINGS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte order marks of other encodings, the longest first. Source: the Unicode Standard, section 23.8."""


def other_encoding(start: bytes) -> str | None:
    """The encoding that a file says it is in by its first bytes; None where they say nothing, or UTF-8.

    Example:
        >>> other_encoding("text".encode("utf-16")), other_encoding(b"text")
        ('UTF-16', None)
    """
    return next((name for mark, name in _OTHER_ENCODINGS.items() if start.startswith(mark)), None)


TICK = 20_000_000
"""Nanoseconds, above the step of a file system's clock: changes within one step bear the same time.

Source: the kernel's clock ticks every 1 to 10 ms (CONFIG_HZ, 1000 to 100).
"""

_remembered: dict[Path, dict[str, list[object]]] = {}


def cache_folder() -> Path:
    """Where file hashes are kept: ADAPTRANS_CACHE, else adaptrans in the user's cache folder."""
    given = os.environ.get("ADAPTRANS_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptrans"


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, always computed."""
    state = hashlib.sha256()  # hashlib.file_digest is there from Python 3.11
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def stamp(path: Path) -> list[int]:
    """What differs between two states of a file: size, time of its content, time of any change, inode.

    The time of its content alone can be set, and is by `touch -d`, `cp -p`, `rsync -t` and archives; the
    time of any change cannot, and another file in its place has another inode.
    """
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def cached_sha256(paths: Sequence[Path], cache: Path | None = None) -> list[str]:
    """SHA-256 of files; one that has not changed since it was read is not read again.

    Args:
        paths: The files.
        cache: Folder of the remembered hashes; by default `cache_folder()`.
    """
    store = (cache or cache_folder()) / "file-hashes.json"
    known = _remembered.get(store)
    if known is None:
        known = _load(store)
        _remembered[store] = known
    found, changed = [], False
    for path in paths:
        key = str(path.resolve())
        now = stamp(path)
        entry = known.get(key)
        if entry is None or entry[:-1] != now:
            _let_age(now[2])
            entry = known[key] = [*now, sha256(path)]
            changed = True
        found.append(str(entry[-1]))
    if changed:
        # A cache that cannot be written costs time, nothing else.
        with contextlib.suppress(OSError):
            write_json(store, {**_load(store), **known})
    return found


def _let_age(changed: int) -> None:
    """Wait until a change after this one would bear another time; milliseconds, for new files alone."""
    left = changed + TICK - time.time_ns()
    if 0 < left <= TICK:
        time.sleep(left / 1e9)


def _load(store: Path) -> dict[str, list[object]]:
    try:
        loaded = read_json(store)
    except (OSError, ValueError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {key: entry for key, entry in loaded.items() if isinstance(entry, list) and len(entry) == 5}
