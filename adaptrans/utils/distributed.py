"""Several processes that train one run together, as `torchrun` and `accelerate launch` start them.

Every process runs the same command. The first one alone writes; the others compute their part of each step.
The names are those of accelerate, whose state is not used: it sets the number of threads, which changes sums
of floats, sends objects over nccl, and needs psutil on a CPU. Torch-free in a process that is alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from adaptrans.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor


T = TypeVar("T")

PARENT_SECONDS = 0.5
"""How often a process looks whether what started it is still there."""

LONGEST_WAIT = timedelta(days=30)
"""How long a process waits for another: the first one may evaluate for hours while the others wait."""

_apart = False


def count() -> int:
    """How many processes work on one command; 1 while this one works on its own.

    Example:
        >>> count(), rank(), is_main()
        (1, 0, True)
    """
    return 1 if _apart or "RANK" not in os.environ else int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among them, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def local_rank() -> int:
    """The number of this process among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if "RANK" in os.environ else 0


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def broadcast(value: T) -> T:
    """The value of the first process, in all of them."""
    if count() == 1:
        return value
    box = [value]
    _connected().broadcast_object_list(box, src=0)
    return box[0]


def all_gather(value: T) -> list[T]:
    """The values of all processes, in all of them, the first one's first."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    _connected().all_gather_object(found, value)
    return found


def barrier() -> None:
    """Go on when every process has come here."""
    all_gather(None)


def all_reduce(tensor: Tensor) -> Tensor:
    """Replace a tensor by its sum over all processes, and return it."""
    if count() > 1:
        _connected().all_reduce(tensor)
    return tensor


@contextlib.contextmanager
def main_process_first() -> Iterator[None]:
    """Let the first process go through the block, then the others, each on its own.

    What the first one leaves on the disk, the others find.

    Raises:
        TrainingError: In the others, if the first one failed.
    """
    if count() == 1:
        yield
        return
    if is_main():
        done = False
        try:
            with _on_its_own():
                yield
            done = True
        finally:
            broadcast(done)
        return
    if not broadcast(False):
        raise TrainingError("the first process failed", remedy="see what it says")
    with _on_its_own():
        yield


@contextlib.contextmanager
def _on_its_own() -> Iterator[None]:
    global _apart
    _apart = True
    try:
        yield
    finally:
        _apart = False


@functools.cache
def _connected() -> Any:
    """torch.distributed, once all processes are connected: CPU tensors over gloo, CUDA tensors over nccl."""
    import torch
    import torch.distributed as distributed

    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    return distributed


def _end_with_parent(parent: int) -> None:
    """A killed `torchrun` leaves nothing that goes on computing; checkpoints keep what was done."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def connect() -> None:
    """Connect the processes, if there are several."""
    if count() > 1:
        _connected()
