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
from adaptrans.modeling.efficiency.shared_layers import LayerPosition, first_place, resumed_at, states_below
from adaptrans.modeling.model import SetupModel
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.task_types.base import TASK_TYPES, TaskType
from adaptrans.training.multitask import TrainingTask
from adaptrans.utils import distributed
from adaptrans.utils.devices import autocast
from adaptrans.utils.io import atomic_write, digest
from adaptrans.utils.progress import progress, remark
from adaptrans.utils.progress import size as format_size

if TYPE_CHECKING:
    pass


TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Types of stored numbers by precision."""


@dataclass(frozen=True)
class StatesFile:
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
            >>> StatesFile(Path("states"), np.array([3, 5]), 768, "bf16").size
            12288
        """
        return int(self.lengths.sum()) * self.width * TYPES[self.precision].itemsize

    @property
    def is_there(self) -> bool:
        """Whether it is made, and whole."""
        return self.path.is_file() and self.path.stat().st_size == self.size

    def fits(self, limit: float) -> bool:
        """Whether the file may be made: it stays below a limit in GiB, and leaves as much disk free again."""
        folder = next(parent for parent in self.path.parents if parent.is_dir())
        return self.size <= limit * 2**30 and 2 * self.size <= shutil.disk_usage(folder).free

    def write(self, found: Iterable[tuple[Sequence[int], Tensor]]) -> None:
        """Make the file.

        Args:
            found: Numbers of some inputs and their states, shape (inputs, tokens, width), padding behind,
                until every input was there.
        """
        starts = self._starts
        with atomic_write(self.path) as temporary:
            shape = (int(starts[-1]), self.width * TYPES[self.precision].itemsize)
            rows = np.memmap(temporary, np.uint8, "w+", shape=shape)
            for items, states in found:
                stored = states.detach().to(TYPES[self.precision]).cpu().contiguous().view(torch.uint8)
                for item, own in zip(items, stored.numpy(), strict=True):
                    rows[starts[item] : starts[item + 1]] = own[: self.lengths[item]]
            rows.flush()
            del rows

    def read(self, items: Sequence[int], tokens: int) -> Tensor:
        """States of some inputs, shape (inputs, tokens, width), zero behind the end of each."""
        starts = self._starts
        rows = np.memmap(self.path, np.uint8, "r").reshape(-1, self.width * TYPES[self.precision].itemsize)
        found = np.zeros((len(items), tokens, rows.shape[1]), dtype=np.uint8)
        for place, item in enumerate(items):
            found[place, : self.lengths[item]] = rows[starts[item] : starts[item + 1]]
        return torch.from_numpy(found).view(TYPES[self.precision])

    @property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


POOL = 4_096
"""Inputs that are sorted by length together while the states are made."""


@dataclass(frozen=True)
class FrozenPrefix:
    """What the part of an encoder below the first adapter of a run gives.

    Args:
        place: Where that adapter acts.
        file: Where what reaches it lies.
        stored: Whether it does; else it is computed for each batch.
        device: Where the run is computed.
        precision: `fp32` or `bf16`, of the computation.
    """

    place: LayerPosition
    file: StatesFile
    stored: bool
    device: torch.device
    precision: str

    def states(self, assembled: SetupModel, items: Sequence[int], batch: dict[str, Tensor]) -> Tensor:
        """What reaches the place for the inputs of a batch, shape (inputs, tokens, numbers), float32."""
        if self.stored:
            return self.file.read(items, batch["input_ids"].shape[1]).to(self.device).float()
        return compute(self, assembled, batch).to(TYPES[self.file.precision]).float()

    def logits(self, assembled: SetupModel, batch: dict[str, Tensor]) -> Any:
        """What the head answers above the states of a batch."""
        states = batch["below"].split(assembled.backbone.width, dim=-1)
        if self.place.inside:
            # As the linear layer gives it, whose precision decides that of what follows.
            states = (states[0].to(TYPES[self.precision]), states[1])
        with resumed_at(assembled.model, self.place, tuple(states)):
            return assembled(batch)


@torch.no_grad()
def compute(prefix: FrozenPrefix, assembled: SetupModel, batch: dict[str, Tensor]) -> Tensor:
    """States of a batch, without dropout, side by side where there are several; float32."""
    model, training = assembled.model, assembled.model.training
    model.eval()
    with autocast(prefix.device, prefix.precision):
        found = states_below(assembled, prefix.place, batch)
    model.train(training)
    return torch.cat([states.float() for states in found], dim=-1)


def with_frozen_prefix(
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
        prefix = FrozenPrefix(
            place, file, file.is_there or file.fits(config.frozen_prefix_gib), device, precision
        )
        with distributed.main_process_first():
            _tell(source.name, prefix, config.frozen_prefix_gib)
            if prefix.stored and not file.is_there:
                _make(source, prefix, config.tokens_per_batch, padding_id)
        found.append(replace(source, prefix=prefix))
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
) -> StatesFile:
    """Where the states of a data set lie, named by all that decides them."""
    encoding = Path(source.features.cache_files[0]["filename"]).stem
    backbone = source.assembled.backbone
    made = [source.assembled.quantize, precision, device.type, stored_as]
    key = digest([backbone.fingerprint, str(place), encoding, *made], 24)
    lengths = np.asarray(source.features["length"][:])
    width = backbone.width * (2 if place.inside else 1)
    return StatesFile(cache / "trunks" / f"{key}.states", lengths, width, stored_as)


def _tell(name: str, prefix: FrozenPrefix, limit: float) -> None:
    size = format_size(prefix.file.size)
    what = f"{name}: states below {prefix.place}, without dropout"
    if prefix.file.is_there:
        remark(f"{what}: from the cache, {size}")
    elif prefix.stored:
        remark(f"{what}: made once now, {size} on disk")
    else:
        remark(
            f"{what}: computed for each batch, as {size} are more than frozen_prefix_gib ({limit:g}) "
            f"or than half of the free disk"
        )


def _make(source: TrainingTask, prefix: FrozenPrefix, tokens_per_batch: int, padding_id: int) -> None:
    lengths = prefix.file.lengths.tolist()
    with progress(f"frozen states of {source.name}", len(lengths)) as meter:

        def batches() -> Iterator[tuple[Sequence[int], Tensor]]:
            for start in range(0, len(lengths), POOL):
                pool = range(start, min(start + POOL, len(lengths)))
                for part in micro_batches(pool, lengths, tokens_per_batch):
                    features = rows(source.features, part)
                    for item, feature in zip(part, features, strict=True):
                        feature["draw"] = (0, 0, item)
                    batch = source.kind.batch(features, padding_id, prefix.device)
                    yield part, compute(prefix, source.assembled, batch)
                    meter.advance(len(part))

        prefix.file.write(batches())
