"""Training above frozen layers: what reaches the first adapter is computed once and read from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from adaptrans.data.batching import micro_batches
from adaptrans.data.encoding import rows
from adaptrans.errors import ConfigError
from adaptrans.modeling.efficiency.shared_layers import resumed_at, states_below
from adaptrans.modeling.layer_chain import LayerPosition, first_place
from adaptrans.modeling.model import SetupModel, logits
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.task_types.base import TASK_TYPES, TaskType
from adaptrans.task_types.tensors import collated
from adaptrans.training.multitask import TrainingTask
from adaptrans.utils import distributed
from adaptrans.utils.devices import autocast
from adaptrans.utils.format import size as format_size
from adaptrans.utils.io import atomic_write, digest
from adaptrans.utils.progress import progress, remark

if TYPE_CHECKING:
    from datasets import Dataset


GIB = 2**30

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes of one number by precision."""


def torch_type(precision: str) -> torch.dtype:
    """The type of stored numbers in torch."""
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


@dataclass(frozen=True)
class TrunkFile:
    """The states of all inputs of a data set.

    Args:
        path: The file; it may not exist yet.
        lengths: Tokens of each input.
        width: Numbers per token.
        precision: `fp32`, `bf16` or `fp16`.
    """

    path: Path
    lengths: np.ndarray
    width: int
    precision: str

    @property
    def size(self) -> int:
        """Bytes of the file, known before it is made.

        Example:
            >>> TrunkFile(Path("states"), np.array([3, 5]), 768, "bf16").size
            12288
        """
        return int(self.lengths.sum()) * self.width * BYTES[self.precision]

    @property
    def is_there(self) -> bool:
        """Whether it is made, and whole."""
        return self.path.is_file() and self.path.stat().st_size == self.size

    def fits(self, limit: float) -> bool:
        """Whether the file may be made: it stays below a limit in GiB, and leaves as much disk free again."""
        folder = next(parent for parent in self.path.parents if parent.is_dir())
        return self.size <= limit * GIB and 2 * self.size <= shutil.disk_usage(folder).free

    def write(self, found: Iterable[tuple[Sequence[int], Tensor]]) -> None:
        """Make the file.

        Args:
            found: Numbers of some inputs and their states, shape (inputs, tokens, width), padding behind,
                until every input was there.
        """
        starts = self._starts
        with atomic_write(self.path) as temporary:
            shape = (int(starts[-1]), self.width * BYTES[self.precision])
            rows = np.memmap(temporary, np.uint8, "w+", shape=shape)
            for items, states in found:
                for item, own in zip(items, _raw(states.to(torch_type(self.precision))), strict=True):
                    rows[starts[item] : starts[item + 1]] = own[: self.lengths[item]]
            rows.flush()
            del rows

    def read(self, items: Sequence[int], tokens: int) -> Tensor:
        """States of some inputs, shape (inputs, tokens, width), zero behind the end of each."""
        rows, starts = self._rows, self._starts
        found = np.zeros((len(items), tokens, rows.shape[1]), dtype=np.uint8)
        for place, item in enumerate(items):
            found[place, : self.lengths[item]] = rows[starts[item] : starts[item + 1]]
        return torch.from_numpy(found).view(torch_type(self.precision))

    @property
    def _rows(self) -> np.ndarray:
        return np.memmap(self.path, np.uint8, "r").reshape(-1, self.width * BYTES[self.precision])

    @property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


def _raw(states: Tensor) -> np.ndarray:
    """The bytes of states, shape (inputs, tokens, bytes)."""
    return states.detach().cpu().contiguous().view(torch.uint8).numpy()


POOL = 4_096
"""Inputs that are sorted by length together while the states are made."""


@dataclass(frozen=True)
class Trunk:
    """What the part of an encoder below the first adapter of a run gives.

    Args:
        place: Where that adapter acts.
        file: Where what reaches it lies.
        stored: Whether it does; else it is computed for each batch.
        device: Where the run is computed.
        precision: `fp32` or `bf16`, of the computation.
    """

    place: LayerPosition
    file: TrunkFile
    stored: bool
    device: torch.device
    precision: str

    def states(self, assembled: SetupModel, items: Sequence[int], batch: dict[str, Tensor]) -> Tensor:
        """What reaches the place for the inputs of a batch, shape (inputs, tokens, numbers), float32."""
        if self.stored:
            return self.file.read(items, batch["input_ids"].shape[1]).to(self.device).float()
        return compute(self, assembled, batch).to(torch_type(self.file.precision)).float()

    def logits(self, assembled: SetupModel, batch: dict[str, Tensor]) -> Any:
        """What the head answers above the states of a batch."""
        states = batch["below"].split(assembled.backbone.width, dim=-1)
        if self.place.inside:
            # As the linear layer gives it, whose precision decides that of what follows.
            states = (states[0].to(torch_type(self.precision)), states[1])
        with resumed_at(assembled.model, self.place, tuple(states)):
            return logits(assembled, batch)


@torch.no_grad()
def compute(trunk: Trunk, assembled: SetupModel, batch: dict[str, Tensor]) -> Tensor:
    """States of a batch, without dropout, side by side where there are several; float32."""
    model, training = assembled.model, assembled.model.training
    model.eval()
    with autocast(trunk.device, trunk.precision):
        found = states_below(assembled, trunk.place, batch)
    model.train(training)
    return torch.cat([states.float() for states in found], dim=-1)


def above_trunk(
    sources: Sequence[TrainingTask],
    config: TrainingConfig,
    cache: Path,
    padding_id: int,
    device: torch.device,
    precision: str,
) -> tuple[TrainingTask, ...]:
    """The tasks of a run with their frozen states, where `frozen_prefix_cache` asks for them.

    Args:
        sources: The tasks; their models are where they are trained.
        config: The options.
        cache: Folder of the cache.
        padding_id: Id of the padding token.
        device: Where the run is computed.
        precision: Precision of the computation.

    Raises:
        ConfigError: If nothing below the first adapter is frozen, or inputs change between epochs.
    """
    if config.frozen_prefix_cache == "off":
        return tuple(sources)
    found = []
    for source in sources:
        place = _first_place(source.assembled, source.kind)
        file = _file(source, place, config.frozen_prefix_cache, cache, device, precision)
        trunk = Trunk(place, file, file.is_there or file.fits(config.frozen_prefix_gib), device, precision)
        with distributed.main_process_first():
            _tell(source.name, trunk, config.frozen_prefix_gib)
            if trunk.stored and not file.is_there:
                _make(source, trunk, config.tokens_per_batch, padding_id)
        found.append(replace(source, trunk=trunk))
    return tuple(found)


def _first_place(assembled: SetupModel, kind: TaskType) -> LayerPosition:
    if not kind.fixed_inputs:
        able = [name for name in TASK_TYPES if TASK_TYPES[name].fixed_inputs]
        raise ConfigError(
            f"frozen_prefix_cache does not work for {kind.name}",
            remedy=f"only for {', '.join(able)}; leave it out",
        )
    place = first_place(assembled.model, assembled.layers) if assembled.layers else LayerPosition(0)
    if not place.layer:
        raise ConfigError(
            f"frozen_prefix_cache: {assembled.setup} with {assembled.method} has no layer below an adapter",
            remedy="give the method leave_out, as seq_bn[leave_out='first:6'], or leave the option out",
        )
    return place


def _file(
    source: TrainingTask,
    place: LayerPosition,
    stored_as: str,
    cache: Path,
    device: torch.device,
    precision: str,
) -> TrunkFile:
    """Where the states of a data set lie, named by all that decides them."""
    encoding = Path(source.features.cache_files[0]["filename"]).stem
    backbone = source.assembled.backbone
    made = [source.assembled.quantize, precision, device.type, stored_as]
    key = digest([backbone.fingerprint, str(place), encoding, *made], 24)
    lengths = np.asarray(source.features["length"][:])
    width = backbone.width * (2 if place.inside else 1)
    return TrunkFile(cache / "trunks" / f"{key}.states", lengths, width, stored_as)


def _tell(name: str, trunk: Trunk, limit: float) -> None:
    size = format_size(trunk.file.size)
    what = f"{name}: states below {trunk.place}, without dropout"
    if trunk.file.is_there:
        remark(f"{what}: from the cache, {size}")
    elif trunk.stored:
        remark(f"{what}: made once now, {size} on disk")
    else:
        remark(
            f"{what}: computed for each batch, as {size} are more than frozen_prefix_gib ({limit:g}) "
            f"or than half of the free disk"
        )


def _make(source: TrainingTask, trunk: Trunk, tokens_per_batch: int, padding_id: int) -> None:
    lengths = trunk.file.lengths.tolist()
    with progress(f"frozen states of {source.name}", len(lengths)) as meter:

        def batches() -> Iterator[tuple[Sequence[int], Tensor]]:
            for start in range(0, len(lengths), POOL):
                pool = range(start, min(start + POOL, len(lengths)))
                for part in micro_batches(pool, lengths, tokens_per_batch):
                    batch = collated(source.kind, _features(source.features, part), padding_id, trunk.device)
                    yield part, compute(trunk, source.assembled, batch)
                    meter.advance(len(part))

        trunk.file.write(batches())


def _features(features: Dataset, part: Sequence[int]) -> list[dict[str, Any]]:
    found = rows(features, part)
    for item, feature in zip(part, found, strict=True):
        feature["draw"] = (0, 0, item)
    return found
