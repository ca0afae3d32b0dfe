"""Checkpoints from which training goes on exactly: safetensors and JSON, no pickle.

One folder holds the trained weights, the optimizer's moments, the state of the
random generators, and the place in the data. A kill at any moment leaves either
the old checkpoint or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor

from adaptrans.errors import ArtifactError
from adaptrans.modeling.safetensors_io import write_tensors
from adaptrans.utils import distributed
from adaptrans.utils.io import atomic_write, digest, read_json, remove, write_json

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass
class TrainerState:
    """How far training has come.

    Args:
        step: Optimizer steps taken.
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
    rank = distributed.rank()
    # Other processes drop out other neurons.
    torch.manual_seed(int(digest([seed, rank, step], 15), 16) if rank else seed)


def restore_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators back to a saved state."""
    torch.set_rng_state(states["random.cpu"])
    if device.type == "cuda" and "random.cuda" in states:
        torch.cuda.set_rng_state(states["random.cuda"], device)


def optimizer_state(optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """The optimizer's tensors, named `<key>/<parameter>`."""
    return {
        f"{key}/{names[parameter]}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Put an optimizer's moments back."""
    for name, value in tensors.items():
        key, _, parameter = name.partition("/")
        tensor = parameters[parameter]
        # AdamW counts steps on the CPU and keeps its moments where the parameter is.
        place = value.clone() if key == "step" else value.to(tensor.device)
        optimizer.state[tensor][key] = place


def save(folder: Path, place: TrainerState, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write a checkpoint, replacing the one before.

    Args:
        folder: The checkpoint's folder.
        place: How far training has come.
        groups: Tensors by group (`weights`, `optimizer`, `random`).
    """
    tensors = {f"{group}|{name}": value for group, values in groups.items() for name, value in values.items()}
    # The folder of this step appears whole; only then does the old one go.
    target = folder / f"step-{place.step}"
    with atomic_write(target) as temporary:
        temporary.mkdir()
        write_tensors(temporary / "state.safetensors", tensors)
        write_json(temporary / "place.json", asdict(place))
    for other in folder.glob("step-*"):
        if other != target:
            remove(other)


def load(folder: Path) -> tuple[TrainerState, dict[str, dict[str, Tensor]]] | None:
    """The newest checkpoint of a folder, None if there is none.

    Raises:
        ArtifactError: If it cannot be read.
    """
    steps = sorted(folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    if not steps:
        return None
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        place = TrainerState(**read_json(steps[-1] / "place.json"))
        with safe_open(steps[-1] / "state.safetensors", framework="pt") as file:
            for full in file.keys():  # noqa: SIM118 - not a mapping
                group, _, name = full.partition("|")
                groups.setdefault(group, {})[name] = file.get_tensor(full)
    except Exception as error:
        raise ArtifactError(
            f"{steps[-1]} cannot be read ({error})", remedy="delete it to start this run again"
        ) from None
    return place, groups


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of the best step."""
    with atomic_write(path) as temporary:
        write_tensors(temporary, weights)


class TrainingLog:
    """Appends to `log.jsonl` and to TensorBoard's event files.

    After a resume the lines behind the checkpoint are dropped, so that each step
    appears once. Of several processes that train together the first one writes.

    Args:
        folder: The run's folder.
        resumed_at: Step of the checkpoint that training goes on from.
    """

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self._path = folder / "log.jsonl"
        self._events = folder / "tensorboard"
        self._resumed_at = resumed_at
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> TrainingLog:
        if not distributed.is_main():
            return self
        from torch.utils.tensorboard import SummaryWriter

        lines = self._path.read_text(encoding="utf-8").splitlines(True) if self._path.is_file() else []
        # A kill may have cut the last one off.
        whole = [line for line in lines if line.endswith("\n")]
        kept = [line for line in whole if json.loads(line)["step"] <= self._resumed_at]
        with atomic_write(self._path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        self._writer = SummaryWriter(str(self._events), purge_step=self._resumed_at + 1)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, step: int, **values: Any) -> None:
        """Log some values of a step; numbers also go to TensorBoard."""
        if not distributed.is_main():
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if self._writer is not None and type(value) in (int, float):
                self._writer.add_scalar(name, value, step)
