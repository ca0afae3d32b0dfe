"""What a run ran on: versions, device, command; recorded with every run."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from adaptrans import processes

PACKAGES = (
    "adaptrans",
    "accelerate",
    "adapters",
    "datasets",
    "evaluate",
    "faiss-cpu",
    "huggingface_hub",
    "numpy",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)
"""Packages that can move a result, with this one."""

OTHER_PACKAGES = ("filelock", "fsspec", "jinja2", "matplotlib", "pyyaml", "rich", "tensorboard", "typer")
"""The other packages that runs need."""


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Installed version of each package, None where it is missing."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
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
        **({"processes": processes.count()} if processes.count() > 1 else {}),
        "command": ["adaptrans", *sys.argv[1:]],
    }
