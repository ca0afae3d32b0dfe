"""Checkpoints from which training goes on exactly: safetensors and JSON, no pickle.

One folder holds the trained weights, the optimiser's moments, the state of the
random generators, and the place in the data. A kill at any moment leaves either
the old checkpoint or the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from adaptrans import processes
from adaptrans.errors import ArtefactError
from adaptrans.files import digest, read_json, remove, write_json, written_whole
from adaptrans.models.tensorfiles import write_tensors


@dataclass
class Place:
    """How far training has come.

    Args:
        step: Optimiser steps taken.
        best_step: Step of the best dev score, None before the first.
        best_score: The best dev score.
        stale: Dev scores since the best one.
        seconds: Training time, over all restarts.
        finished: Whether nothing is left to train.
        precision: Precision of the run.
        device: Kind of device of the run.
        tokens_per_batch: Padded tokens at once, where the memory was too short for what the options say.
        recomputed: Whether activations are computed again, because the memory was too short to keep them.
    """

    step: int = 0
    best_step: int | None = None
    best_score: float | None = None
    stale: int = 0
    seconds: float = 0.0
    finished: bool = False
    precision: str = "fp32"
    device: str = "cpu"
    tokens_per_batch: int | None = None
    recomputed: bool = False


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the generators that training draws from."""
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.cuda"] = torch.cuda.get_rng_state(device)
    return states


def random_group(rank: int) -> str:
    """Name of the group with the random state of one of the processes that train together.

    Example:
        >>> random_group(0), random_group(1)
        ('random', 'random-1')
    """
    return f"random-{rank}" if rank else "random"


def seed_process(seed: int, step: int) -> None:
    """Seed the generators of this process for training from a step: the first one's by the seed alone."""
    rank = processes.rank()
    # Other processes drop out other neurons.
    torch.manual_seed(int(digest([seed, rank, step], 15), 16) if rank else seed)


def restore_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators back to a saved state."""
    torch.set_rng_state(states["random.cpu"])
    if device.type == "cuda" and "random.cuda" in states:
        torch.cuda.set_rng_state(states["random.cuda"], device)


def optimiser_state(optimiser: torch.optim.Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """The optimiser's tensors, named `<key>/<parameter>`."""
    return {
        f"{key}/{names[parameter]}": value
        for parameter, values in optimiser.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Put an optimiser's moments back."""
    for name, value in tensors.items():
        key, _, parameter = name.partition("/")
        tensor = parameters[parameter]
        # AdamW counts steps on the CPU and keeps its moments where the parameter is.
        place = value.clone() if key == "step" else value.to(tensor.device)
        optimiser.state[tensor][key] = place


def save(folder: Path, place: Place, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write a checkpoint, replacing the one before.

    Args:
        folder: The checkpoint's folder.
        place: How far training has come.
        groups: Tensors by group (`weights`, `optimiser`, `random`).
    """
    tensors = {f"{group}|{name}": value for group, values in groups.items() for name, value in values.items()}
    # The folder of this step appears whole; only then does the old one go.
    target = folder / f"step-{place.step}"
    with written_whole(target) as temporary:
        temporary.mkdir()
        write_tensors(temporary / "state.safetensors", tensors)
        write_json(temporary / "place.json", asdict(place))
    for other in folder.glob("step-*"):
        if other != target:
            remove(other)


def load(folder: Path) -> tuple[Place, dict[str, dict[str, Tensor]]] | None:
    """The newest checkpoint of a folder, None if there is none.

    Raises:
        ArtefactError: If it cannot be read.
    """
    steps = sorted(folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    if not steps:
        return None
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        place = Place(**read_json(steps[-1] / "place.json"))
        with safe_open(steps[-1] / "state.safetensors", framework="pt") as file:
            for full in file.keys():  # noqa: SIM118 - not a mapping
                group, _, name = full.partition("|")
                groups.setdefault(group, {})[name] = file.get_tensor(full)
    except Exception as error:
        raise ArtefactError(
            f"{steps[-1]} cannot be read ({error})", remedy="delete it to start this run again"
        ) from None
    return place, groups


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of the best step."""
    with written_whole(path) as temporary:
        write_tensors(temporary, weights)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of the best step."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
