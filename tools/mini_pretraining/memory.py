"""Memory that is freed is kept for the next step, where the C library allows it."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # Source: malloc.h of glibc
_LARGE = 1 << 30


def release() -> None:
    """Give back what is free: blocks of ever new sizes would otherwise pile up over thousands of steps."""
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep() -> bool:
    """Ask the C library not to give large blocks back to the system.

    By default every large array is mapped afresh, and its pages are cleared at first
    touch; on processors that is a seventh of the time of a step.

    Returns:
        Whether the C library took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE) and mallopt(_TRIM_THRESHOLD, 2 * _LARGE - 1))
