"""Training above a frozen trunk: what reaches the first adapter is computed once per data set.

Without dropout, which the other runs have below it too: a run with `trunk_cache` is another run than
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
from adaptrans.models.adapting import Assembled, logits
from adaptrans.models.chain import Place, first_place
from adaptrans.models.layerwise import resumed_at, states_below
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
    """What the part of an encoder below the first adapter of a run gives.

    Args:
        place: Where that adapter acts.
        file: Where what reaches it lies.
        stored: Whether it does; else it is computed for each batch.
        device: Where the run is computed.
        precision: `fp32` or `bf16`, of the computation.
    """

    place: Place
    file: TrunkFile
    stored: bool
    device: torch.device
    precision: str

    def states(self, assembled: Assembled, items: Sequence[int], batch: dict[str, Tensor]) -> Tensor:
        """What reaches the place for the inputs of a batch, shape (inputs, tokens, numbers), float32."""
        if self.stored:
            return self.file.read(items, batch["input_ids"].shape[1]).to(self.device).float()
        return compute(self, assembled, batch).to(torch_type(self.file.precision)).float()

    def logits(self, assembled: Assembled, batch: dict[str, Tensor]) -> Any:
        """What the head answers above the states of a batch."""
        states = batch["below"].split(assembled.backbone.width, dim=-1)
        if self.place.inside:
            # As the linear layer gives it, whose precision decides that of what follows.
            states = (states[0].to(torch_type(self.precision)), states[1])
        with resumed_at(assembled.model, self.place, tuple(states)):
            return logits(assembled, batch)


@torch.no_grad()
def compute(trunk: Trunk, assembled: Assembled, batch: dict[str, Tensor]) -> Tensor:
    """States of a batch, without dropout, side by side where there are several; float32."""
    model, training = assembled.model, assembled.model.training
    model.eval()
    with autocast(trunk.device, trunk.precision):
        found = states_below(assembled, trunk.place, batch)
    model.train(training)
    return torch.cat([states.float() for states in found], dim=-1)


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
        place = _first_place(source.assembled, source.kind)
        file = _file(source, place, config.trunk_cache, cache, device, precision)
        trunk = Trunk(place, file, file.is_there or file.fits(config.trunk_gib), device, precision)
        with processes.main_first():
            _tell(source.name, trunk, config.trunk_gib)
            if trunk.stored and not file.is_there:
                _make(source, trunk, config.tokens_per_batch, padding_id)
        found.append(replace(source, trunk=trunk))
    return tuple(found)


def _first_place(assembled: Assembled, kind: Kind) -> Place:
    if kind.name not in KINDS:
        raise ConfigError(
            f"trunk_cache does not work for {kind.name}", remedy=f"only for {', '.join(KINDS)}; leave it out"
        )
    place = first_place(assembled.model, assembled.layers) if assembled.layers else Place(0)
    if not place.layer:
        raise ConfigError(
            f"trunk_cache: {assembled.setup} with {assembled.method} has no layer below its first adapter",
            remedy="give the method leave_out, as seq_bn[leave_out='first:6'], or leave trunk_cache out",
        )
    return place


def _file(
    source: Source, place: Place, stored_as: str, cache: Path, device: torch.device, precision: str
) -> TrunkFile:
    """Where the states of a data set lie, named by all that decides them."""
    encoding = Path(source.features.cache_files[0]["filename"]).stem
    backbone = source.assembled.backbone
    made = [source.assembled.quantise, precision, device.type, stored_as]
    key = digest([backbone.fingerprint, str(place), encoding, *made], 24)
    lengths = np.asarray(source.features["length"][:])
    width = backbone.width * (2 if place.inside else 1)
    return TrunkFile(cache / "trunks" / f"{key}.states", lengths, width, stored_as)


def _tell(name: str, trunk: Trunk, limit: float) -> None:
    size = f"{trunk.file.size / GIB:.2f} GiB"
    what = f"{name}: states below {trunk.place}, without dropout"
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
