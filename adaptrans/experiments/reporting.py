"""How a run in a process of its own tells what it does: where it stands, and what it prints. Torch-free."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator

from adaptrans import progress
from adaptrans.progress import Step

SECONDS = 0.5


@contextlib.contextmanager
def reporting(send: Callable[[Step | str], None], seconds: float = SECONDS) -> Iterator[None]:
    """While the block runs, its progress and the lines it prints on standard error are sent away.

    Args:
        send: Takes a step or a line.
        seconds: It is given a step no more often than this, but for the first and the last of each piece.
    """
    last = float("-inf")
    shown = ""

    def listen(step: Step) -> None:
        nonlocal last, shown
        now = time.monotonic()
        if now - last < seconds and step.description == shown and step.done != step.total:
            return
        last, shown = now, step.description
        send(step)

    with progress.told_to(listen), contextlib.redirect_stderr(_Lines(send)):
        yield


class _Lines(io.TextIOBase):
    """A text file that sends each whole line away."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._send(line)
        return len(text)
