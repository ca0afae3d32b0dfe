"""Weights on disk: safetensors files, read whole and copied by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adaptrans.errors import ArtefactError
from adaptrans.files import give_usual_mode


def write_tensors(path: Path, values: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, which whoever may read the files beside it can read."""
    plain = {key: value.detach().cpu().contiguous() for key, value in values.items()}
    save_file(plain, str(path), metadata={"format": "pt"})
    give_usual_mode(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ArtefactError: If it is missing or damaged.
    """
    try:
        return load_file(str(path))
    except Exception as error:  # FileNotFoundError, or SafetensorError, which is a bare Exception
        raise ArtefactError(f"{path} cannot be read: {error}", remedy="train or fetch it again") from error


def check_tensors(
    own: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    what: str,
    remedy: str = "use it with the model and the setup it was saved from",
) -> None:
    """Refuse stored tensors that have not the names and shapes of a model's own.

    Raises:
        ArtefactError: With the first difference.
    """
    for only, verb in ((own.keys() - stored.keys(), "lacks"), (stored.keys() - own.keys(), "also holds")):
        if only:
            raise ArtefactError(f"{what} {verb} {len(only)} tensors, the first is {min(only)}", remedy=remedy)
    for name, value in stored.items():
        if own[name].shape != value.shape:
            shapes = f"{list(value.shape)}, the model needs {list(own[name].shape)}"
            raise ArtefactError(f"{what}: {name} has shape {shapes}", remedy=remedy)


def copy_tensors(
    own: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    what: str,
    remedy: str = "use it with the model and the setup it was saved from",
) -> None:
    """Copy stored tensors into a model's own, which must have the same names and shapes.

    Raises:
        ArtefactError: If they do not; then nothing has been copied.
    """
    check_tensors(own, stored, what, remedy)
    with torch.no_grad():
        for name, value in stored.items():
            own[name].copy_(value)
