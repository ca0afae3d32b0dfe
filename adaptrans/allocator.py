"""What becomes of memory that tensors have left: used again, or given back to the system. Torch-free."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ALONE = {False: 2**25, True: 2**20}
"""Bytes from which a piece of memory is mapped by itself, by whether memory is spared.

2**25 is the most that glibc allows. Hidden states of a batch have more than 2**20."""

GROWTH = 1.5
"""How far the resident memory may grow before what lies free is given back: tensors of ever new sizes leave
ever more holes, but the system takes time to clear the pages that are taken again."""

EVERY = 8
"""Steps, or parts of an evaluation, between two looks at it."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Source: glibc, `malloc.h`."""

_NEVER, _AT_ONCE = -1, 2**17
"""Free bytes at the end of the heap from which they go back: -1 is never, 2**17 is what glibc begins with."""


def spare_memory(spared: bool) -> bool:
    """Choose between speed and memory on a CPU.

    Not spared, the C library cuts tensors out of one heap and keeps what they leave for the next ones. The
    heap has holes: it takes more than the tensors. Spared, each large tensor is mapped by itself and unmapped
    when it is freed, and the system clears those pages anew each time, which takes as long again as most of a
    training step. What lies free now goes back to the system first.

    Args:
        spared: Whether memory is what counts.

    Returns:
        Whether the library took it: not on systems without glibc, nor where the environment says
        `MALLOC_MMAP_THRESHOLD_`, which wins.
    """
    if spared:
        give_back_freed()
    library = _glibc()
    if library is None or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    trim = _AT_ONCE if spared else _NEVER
    return bool(library.mallopt(_MMAP_THRESHOLD, ALONE[spared]) and library.mallopt(_TRIM_THRESHOLD, trim))


def give_back_freed() -> None:
    """Give what lies free in the heap back to the system now."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@dataclass
class Heap:
    """Watches over the heap of a process.

    Args:
        looks: How often it was asked to.
        resident: Resident bytes since work took anew what it needs; None until then.
    """

    looks: int = 0
    resident: int | None = None

    def look(self) -> None:
        """Give back what lies free if the heap has grown; called between steps."""
        self.looks += 1
        if self.looks % EVERY or _glibc() is None:
            return
        now = _resident()
        if self.resident is None:
            self.resident = now
        elif now > GROWTH * self.resident:
            give_back_freed()
            self.resident = None


HEAP = Heap()
"""That of this process."""


def _resident() -> int:
    """Bytes of this process that are in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is glibc."""
    try:
        library = ctypes.CDLL("libc.so.6") if sys.platform.startswith("linux") else None
    except OSError:
        return None
    # Others, such as musl, have neither.
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
