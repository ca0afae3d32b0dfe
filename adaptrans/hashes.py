"""SHA-256 of files, remembered by path, size and time of change. Torch-free.

One cache serves everything that is hashed: data files, weights, tokenizers.
Deleting it costs the time to read the files again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from adaptrans.files import read_json, write_json

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


def cached_sha256(paths: Sequence[Path], cache: Path | None = None) -> list[str]:
    """SHA-256 of files; one whose size and time of change are known is not read again.

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
        state = path.stat()
        entry = known.get(key)
        if entry is None or entry[:2] != [state.st_size, state.st_mtime_ns]:
            entry = known[key] = [state.st_size, state.st_mtime_ns, sha256(path)]
            changed = True
        found.append(str(entry[2]))
    if changed:
        # A cache that cannot be written costs time, nothing else.
        with contextlib.suppress(OSError):
            write_json(store, {**_load(store), **known})
    return found


def _load(store: Path) -> dict[str, list[object]]:
    try:
        loaded = read_json(store)
    except (OSError, ValueError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {key: entry for key, entry in loaded.items() if isinstance(entry, list) and len(entry) == 3}
