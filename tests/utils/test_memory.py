"""The C library keeps what tensors leave, or gives it back."""

import multiprocessing
from pathlib import Path

import pytest

from adaptrans.utils import devices
from adaptrans.utils.devices import EVERY, Heap, give_back_freed, spare_memory


def page_faults(spared):
    """Pages that the system had to clear for tensors of 8 MB that come and go, in a process of its own."""
    import resource

    import torch

    torch.set_num_threads(1)
    spare_memory(spared)
    kept = [torch.ones(2**21) for _ in range(2)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        kept = [tensor + 1 for tensor in kept]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_spared_memory_is_cleared_anew_and_kept_memory_is_not(monkeypatch):
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    if not spare_memory(False):
        pytest.skip("the C library is not glibc here")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        spared, kept = pool.apply(page_faults, (True,)), pool.apply(page_faults, (False,))
    # 40 tensors of 2,048 pages.
    assert spared > 60_000
    assert kept < spared / 2


def left_behind():
    """Resident bytes after half of many tensors were freed, before and after they are given back."""
    import torch

    spare_memory(False)
    kept = [torch.ones(2**19 + place) for place in range(64)]
    del kept[::2]
    found = [resident()]
    give_back_freed()
    return [*found, resident()]


def resident():
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def test_what_lies_free_between_others_is_given_back(monkeypatch):
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    if not spare_memory(False):
        pytest.skip("the C library is not glibc here")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, after = pool.apply(left_behind)
    assert before - after > 32 * 2**21 * 0.9


def test_a_heap_that_has_grown_is_given_back(monkeypatch):
    sizes, given = iter([100, 149, 151, 90, 130, 136]), []
    monkeypatch.setattr(devices, "_resident", lambda: next(sizes))
    monkeypatch.setattr(devices, "_glibc", lambda: "here")
    monkeypatch.setattr(devices, "give_back_freed", lambda: given.append(heap.looks))
    heap = Heap()
    for _ in range(6 * EVERY):
        heap.look()
    # Grown by half at the third look and, from what was taken anew, at the sixth.
    assert given == [3 * EVERY, 6 * EVERY]


def test_the_environment_wins(monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "131072")
    assert not spare_memory(True)
