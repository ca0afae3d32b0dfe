"""Which device and precision a run uses, and what becomes of memory that tensors have left."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrans.errors import ConfigError
from adaptrans.utils import distributed

if TYPE_CHECKING:
    import torch


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


WHILE_IMPORTING = (200_000, 10, 100)
"""New objects between two collections of the young by Python, and collections until those of the older, in a
process of the command line: imports make two million objects, and none of them is garbage."""

_PYTHONS = gc.get_threshold()


def collect_as_usual() -> None:
    """Collect garbage as often as Python does by itself, but look at nothing that was imported until now."""
    if gc.get_threshold() == WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(*_PYTHONS)


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
        if not self.looks:
            collect_as_usual()
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


DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` takes a CUDA card, then Apple's, then the CPU.

    Of several processes that work together each takes a card of its own.

    Raises:
        ConfigError: If the name is unknown, or torch sees no such device.
    """
    import torch

    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if name == "auto":
        name = next(device for device, count in counts.items() if count)
    family, colon, index = name.partition(":")
    if family not in counts:
        raise ConfigError(f'unknown device "{name}"', remedy=f"choose from {', '.join(DEVICES)}")
    if not counts[family]:
        raise ConfigError(f"torch sees no {family} device here", remedy="use --device auto")
    own = distributed.local_rank()
    if not colon and (family != "cuda" or distributed.count() == 1):
        return torch.device(family)
    if not colon and own >= counts[family]:
        raise ConfigError(
            f"more processes were started than torch sees cards ({counts[family]})",
            remedy="start one for each card",
        )
    if not colon:
        return torch.device("cuda", own)
    known = [f"{family}:{number}" for number in range(counts[family])]
    if name not in known:
        raise ConfigError(
            f'torch sees no device "{name}" here', remedy=f"choose from {family}, {', '.join(known)}"
        )
    return torch.device(family, int(index))


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def pick_precision(name: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` takes bf16 where the device has it in hardware.

    Raises:
        ConfigError: If the name is unknown.
    """
    if name not in PRECISIONS:
        raise ConfigError(f'unknown precision "{name}"', remedy=f"choose from {', '.join(PRECISIONS)}")
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return name


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Context in which the forward pass runs at this precision; weights stay in float32."""
    import torch

    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def release_memory(device: torch.device | None) -> None:
    """After memory ended, give back what nothing uses, and from now on every tensor once it is freed."""
    import gc

    gc.collect()
    spare_memory(True)
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
