"""What a run ran on, and what it took: versions, device, time, memory and disk. Torch-free."""

from __future__ import annotations

import contextlib
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adaptrans.utils import distributed
from adaptrans.utils.io import read_json, write_json

PACKAGES = (
    "adaptrans",
    "accelerate",
    "adapters",
    "datasets",
    "evaluate",
    "faiss-cpu",
    "huggingface_hub",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)
"""Packages that can move a result, with this one."""

OTHER_PACKAGES = (
    "filelock", "fsspec", "jinja2", "matplotlib", "pyyaml", "regex", "rich", "statsmodels", "tensorboard",
    "typer",
)  # fmt: skip
"""The other packages that runs need."""


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Installed version of each package, None where it is missing."""
    from importlib.metadata import PackageNotFoundError, version  # not for `--help`

    found: dict[str, str | None] = dict.fromkeys(names)
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def environment(device: str, precision: str) -> dict[str, Any]:
    """Versions, platform, device, precision, threads and command line of this process."""
    import torch

    return {
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        **({"processes": distributed.count()} if distributed.count() > 1 else {}),
        "command": ["adaptrans", *sys.argv[1:]],
    }


FILE = "cost.json"

UNCOUNTED = {"checkpoints", "tensorboard"}
"""What of a run's folder is left out: deleted at the end, or a second form of the log."""

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """What a run took, as far as it is known.

    Args:
        seconds: Wall-clock seconds of the process that finished it; of the whole run only if `whole`.
        memory: Largest resident memory of that process meanwhile, in bytes.
        device_memory: Largest memory of a CUDA device, in bytes, as reserved.
        disk: Bytes of the finished run's folder.
        whole: Whether one process did all of it.
    """

    seconds: float | None = None
    memory: int | None = None
    device_memory: int | None = None
    disk: int | None = None
    whole: bool = True


@contextlib.contextmanager
def measured(folder: Path) -> Iterator[None]:
    """Measure the block, and write what it took if the run in this folder came to its end in it."""
    done, began_before = (folder / "done.json").is_file(), (folder / "environment.jsonl").is_file()
    _forget_peaks()
    began = time.monotonic()
    yield
    if done or not (folder / "done.json").is_file():
        return
    found = Cost(
        time.monotonic() - began, peak_memory(), device_peak(), size_of(folder), whole=not began_before
    )
    # A figure that cannot be kept is no failure of the run.
    with contextlib.suppress(OSError):
        write_json(folder / FILE, asdict(found))


def cost_of(folder: Path) -> Cost | None:
    """What the run in a folder took; None where that was not measured."""
    try:
        return Cost(**read_json(folder / FILE))
    except (OSError, ValueError, TypeError):
        return None


def size_of(folder: Path) -> int:
    """Bytes of the files of a run's folder that stay.

    Example:
        >>> size_of(Path("nowhere"))
        0
    """
    files = (path for path in folder.rglob("*") if not UNCOUNTED & set(path.relative_to(folder).parts))
    return sum(path.stat().st_size for path in files if path.is_file() and path.name != ".lock")


def peak_memory() -> int | None:
    """Largest resident memory of this process since `measured` began; where it cannot be reset, ever."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None


def device_peak() -> int | None:
    """Largest memory that torch reserved on a CUDA device since `measured` began; None without one."""
    cuda = _cuda()
    if cuda is None:
        return None
    return max(cuda.max_memory_reserved(device) for device in range(cuda.device_count()))


def _forget_peaks() -> None:
    """Count from now on: a process carries out many runs one after another."""
    with contextlib.suppress(OSError):
        # Source: man 5 proc, clear_refs: 5 sets the peak to what is resident now.
        _RESET.write_text("5")
    cuda = _cuda()
    if cuda is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def _cuda() -> Any:
    """`torch.cuda` if something in this process uses it, else None."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
