"""Checkpoints of a run: a folder with safetensors and JSON, whole or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, optim

from adaptrans.errors import ArtifactError
from adaptrans.modeling.safetensors_io import write_tensors
from adaptrans.utils.io import atomic_write

PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands.

    Batches and dropout are drawn anew from (seed, step) at every step, so the step is
    all the state there is of random numbers and of the place in the data.

    Args:
        step: Steps done.
        tokens: Tokens seen, padding not counted.
        seconds: Time spent training, over all sessions.
        seed: Seed of the run.
        config: Fingerprint of the configuration.
        data: Fingerprint of the encoded text.
    """

    step: int
    tokens: int
    seconds: float
    seed: int
    config: str
    data: str


def moments(optimizer: optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """State of the optimizer by name of the weight: `exp_avg`, `exp_avg_sq`, `step`."""
    order = [weight for group in optimizer.param_groups for weight in group["params"]]
    found = {}
    for name, weight in zip(names, order, strict=True):
        for key, value in optimizer.state.get(weight, {}).items():
            found[f"{name}/{key}"] = value
    return found


def restore_moments(optimizer: optim.Optimizer, names: list[str], saved: dict[str, Tensor]) -> None:
    """Put the state saved by `moments` back."""
    order = [weight for group in optimizer.param_groups for weight in group["params"]]
    for name, weight in zip(names, order, strict=True):
        keys = [key for key in saved if key.rpartition("/")[0] == name]
        if keys:
            optimizer.state[weight] = {key.rpartition("/")[2]: saved[key] for key in keys}


def write_whole(folder: Path, write: dict[str, str], tensors: dict[str, dict[str, Tensor]]) -> None:
    """Write files into a new folder that appears under its name only when complete.

    Args:
        folder: The name; what is there is replaced.
        write: Contents of text files by name.
        tensors: Contents of safetensors files by name.
    """
    with atomic_write(folder) as temporary:
        temporary.mkdir(parents=True)
        for name, content in tensors.items():
            write_tensors(temporary / name, content)
        for name, text in write.items():
            (temporary / name).write_text(text, encoding="utf-8")
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _found(out: Path) -> list[Path]:
    folders = [path for path in out.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(folders, key=lambda path: int(path.name.removeprefix(PREFIX)))


def latest(out: Path) -> Path | None:
    """Newest checkpoint of a run, or none."""
    return next(reversed(_found(out)), None)


def save(
    out: Path,
    position: Position,
    weights: dict[str, Tensor],
    average: dict[str, Tensor],
    optimizer: dict[str, Tensor],
) -> Path:
    """Write a checkpoint, then delete the older ones.

    Args:
        out: Folder of the run.
        position: Where the run stands.
        weights: The weights.
        average: Their running average; may be empty.
        optimizer: Result of `moments`.

    Returns:
        The folder of the checkpoint.
    """
    folder = out / f"{PREFIX}{position.step:09d}"
    tensors = {f"weights/{name}": value for name, value in weights.items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    tensors |= {f"optimizer/{name}": value for name, value in optimizer.items()}
    write_whole(
        folder, {"state.json": json.dumps(asdict(position), indent=1)}, {"state.safetensors": tensors}
    )
    for path in _found(out):
        if path != folder:
            shutil.rmtree(path, ignore_errors=True)
    return folder


def read_position(folder: Path) -> Position:
    """Where the run of a checkpoint stands.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    path = folder / "state.json"
    try:
        return Position(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged: {error}", remedy="delete that checkpoint folder") from None


def load(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors of a checkpoint under "weights", "average" and "optimizer".

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    path = folder / "state.safetensors"
    try:
        flat = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: damaged: {error}", remedy="delete that checkpoint folder") from None
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
    for name, value in flat.items():
        part, _, key = name.partition("/")
        parts[part][key] = value
    return parts
