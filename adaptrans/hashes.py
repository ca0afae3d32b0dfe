"""SHA-256 of files, remembered by path and what the system says of the file. Torch-free.

One cache serves everything that is hashed: data files, weights, tokenizers.
Deleting it costs the time to read the files again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from adaptrans.files import read_json, write_json

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
    state = hashlib.sha256()
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
