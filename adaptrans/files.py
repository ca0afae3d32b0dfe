"""Writing files so that a kill never leaves half of one, and hashing them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
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
def written_whole(path: Path) -> Iterator[Path]:
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
    if new.is_file() and path.is_dir():
        raise AdaptransError(
            f"{path} is a folder, not a file", remedy="give another name, or delete it first"
        )
    if new.is_dir() and path.exists() and not path.is_dir():
        raise AdaptransError(
            f"{path} is a file, not a folder", remedy="give another name, or delete it first"
        )


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
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
