"""Training above a frozen trunk: what the layers below the first adapter give is computed once per data set.

Without dropout, which the other runs have in those layers too: a run with `trunk_cache` is another run than
one without. Where the states may not be stored they are computed again for each batch, in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from adaptrans import processes
from adaptrans.data.batches import micro_batches
from adaptrans.data.encodings import rows
from adaptrans.data.trunk import GIB, TrunkFile, torch_type
from adaptrans.devices import autocast
from adaptrans.errors import ConfigError
from adaptrans.files import digest
from adaptrans.models.adapting import Assembled, hidden_states, logits
from adaptrans.models.chain import first_layer
from adaptrans.models.layerwise import resumed_after, stopped_after
from adaptrans.progress import progress, remark
from adaptrans.tasks.kinds import Kind
from adaptrans.tasks.kinds.tensors import collated

if TYPE_CHECKING:
    from datasets import Dataset

    from adaptrans.runs.config import TrainingConfig
    from adaptrans.training.streams import Source

POOL = 4_096
"""Inputs that are sorted by length together while the states are made."""

KINDS = ("classification", "tagging", "span_qa", "span_qa_null")
"""Kinds whose inputs are the same in every epoch, one row each."""


@dataclass(frozen=True)
class Trunk:
    """What the layers below the first adapter of a run give.

    Args:
        layers: How many there are.
        file: Where their output lies.
        stored: Whether it does; else it is computed for each batch.
        device: Where the run is computed.
        precision: `fp32` or `bf16`, of the computation.
    """

    layers: int
    file: TrunkFile
    stored: bool
    device: torch.device
    precision: str

    def states(self, assembled: Assembled, items: Sequence[int], batch: dict[str, Tensor]) -> Tensor:
        """Output for the inputs of a batch, shape (inputs, tokens, width), float32."""
        if self.stored:
            return self.file.read(items, batch["input_ids"].shape[1]).to(self.device).float()
        return compute(self, assembled, batch).to(torch_type(self.file.precision)).float()

    def logits(self, assembled: Assembled, batch: dict[str, Tensor]) -> Any:
        """What the head answers above the states of a batch."""
        with resumed_after(assembled.model, self.layers, batch["below"]):
            return logits(assembled, batch)


@torch.no_grad()
def compute(trunk: Trunk, assembled: Assembled, batch: dict[str, Tensor]) -> Tensor:
    """States of a batch, without dropout."""
    model, training = assembled.model, assembled.model.training
    model.eval()
    with autocast(trunk.device, trunk.precision), stopped_after(model, trunk.layers):
        found = hidden_states(assembled, batch["input_ids"], batch["attention_mask"])[-1]
    model.train(training)
    return found


def above_trunk(
    sources: Sequence[Source],
    config: TrainingConfig,
    cache: Path,
    padding_id: int,
    device: torch.device,
    precision: str,
) -> tuple[Source, ...]:
    """The tasks of a run with their frozen states, where `trunk_cache` asks for them.

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
    if config.trunk_cache == "off":
        return tuple(sources)
    found = []
    for source in sources:
        layers = _frozen_layers(source.assembled, source.kind)
        file = _file(source, layers, config.trunk_cache, cache, device, precision)
        trunk = Trunk(layers, file, file.is_there or file.fits(config.trunk_gib), device, precision)
        with processes.main_first():
            _tell(source.name, trunk, config.trunk_gib)
            if trunk.stored and not file.is_there:
                _make(source, trunk, config.tokens_per_batch, padding_id)
        found.append(replace(source, trunk=trunk))
    return tuple(found)


def _frozen_layers(assembled: Assembled, kind: Kind) -> int:
    if kind.name not in KINDS:
        raise ConfigError(
            f"trunk_cache does not work for {kind.name}", remedy=f"only for {', '.join(KINDS)}; leave it out"
        )
    layers = first_layer(assembled.model, assembled.layers) if assembled.layers else 0
    if not layers:
        raise ConfigError(
            f"trunk_cache: {assembled.setup} with {assembled.method} has no layer below its first adapter",
            remedy="give the method leave_out, as seq_bn[leave_out='first:6'], or leave trunk_cache out",
        )
    return layers


def _file(
    source: Source, layers: int, stored_as: str, cache: Path, device: torch.device, precision: str
) -> TrunkFile:
    """Where the states of a data set lie, named by all that decides them."""
    encoding = Path(source.features.cache_files[0]["filename"]).stem
    backbone = source.assembled.backbone
    key = digest([backbone.fingerprint, layers, encoding, precision, device.type, stored_as], 24)
    lengths = np.asarray(source.features["length"][:])
    return TrunkFile(cache / "trunks" / f"{key}.states", lengths, backbone.width, stored_as)


def _tell(name: str, trunk: Trunk, limit: float) -> None:
    size = f"{trunk.file.size / GIB:.2f} GiB"
    what = f"{name}: states below layer {trunk.layers}, without dropout"
    if trunk.file.is_there:
        remark(f"{what}: from the cache, {size}")
    elif trunk.stored:
        remark(f"{what}: made once now, {size} on disk")
    else:
        remark(
            f"{what}: computed for each batch, as {size} are more than trunk_gib ({limit:g}) or than half of "
            f"the free disk"
        )


def _make(source: Source, trunk: Trunk, tokens_per_batch: int, padding_id: int) -> None:
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
