"""Train a language adapter: masked language modelling on plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from adaptrans.devices import autocast, pick_device, pick_precision
from adaptrans.environment import environment
from adaptrans.errors import MissingDataError
from adaptrans.hub.store import Run
from adaptrans.models.adapting import Assembled
from adaptrans.models.backbone import load_tokenizer
from adaptrans.models.bits import require_bitsandbytes
from adaptrans.models.language_adapters import MaskedLMHead, assemble_language
from adaptrans.progress import progress
from adaptrans.runs.language import LanguageSpec
from adaptrans.tasks.kinds import Feature, mlm
from adaptrans.tasks.kinds.mlm import KIND, vocabulary
from adaptrans.tasks.kinds.tensors import collated
from adaptrans.tasks.lines import read_lines
from adaptrans.training.loop import Job, train
from adaptrans.training.phases import accelerator_for, keep
from adaptrans.training.streams import Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DEV_SHARE, DEV_BLOCKS = 20, 200
"""One block in so many is held out for the dev loss, and at most so many blocks."""


def train_language(spec: LanguageSpec) -> Run:
    """Train what the spec says, unless the store has it; go on where a killed run stopped.

    Returns:
        The finished run; its artefact holds the adapter and no head.

    Raises:
        MissingDataError: If there is no text, or too little.
        DataError: If a line of it cannot be read.
        ArtefactError: If the backbone has no masked language model head.
    """
    return spec.workspace.store.once(spec.run, spec.record, partial(_train, spec))


def _train(spec: LanguageSpec, run: Run) -> None:
    quantise = spec.config.quantise
    require_bitsandbytes(quantise)
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    run.log_environment(environment(str(device), precision))
    tokenizer = load_tokenizer(spec.workspace.backbone)
    training, dev = split(blocks(spec, tokenizer))
    head = MaskedLMHead(spec.workspace.backbone).to(device)
    assembled = assemble_language(spec.workspace.backbone, spec.language, spec.method, spec.seed, quantise)
    assembled.model.to(device)
    assert tokenizer.pad_token_id is not None
    about = vocabulary(tokenizer)
    scored = partial(dev_score, head, _batches(dev, about), tokenizer.pad_token_id, device, precision)
    place = train(
        Job(
            description=f"language {spec.language}",
            assembled=assembled,
            sources=(
                Source(
                    spec.language,
                    assembled,
                    KIND,
                    _as_dataset(training, about),
                    [f"block {number}" for number in range(len(training))],
                    forward=head,
                ),
            ),
            config=spec.config.resolved(whole_model=False),
            seed=spec.seed,
            folder=run.path,
            padding_id=tokenizer.pad_token_id,
            device=device,
            precision=precision,
            dev_score=scored,
        ),
        accelerator_for(device),
    )
    keep(
        run,
        assembled,
        {"dev": place.best_score, "dev_step": place.best_step, "steps": place.step},
        {"language": spec.language},
        {"seconds": place.seconds, "examples": len(training), "source_languages": [], "notes": []},
    )


def blocks(spec: LanguageSpec, tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """The text as blocks of equal length; see `adaptrans.tasks.kinds.mlm.blocks`."""
    lines = (tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in _texts(spec))
    found = (ids for _, ids in mlm.blocks(lines, tokenizer, spec.max_length))
    return list(islice(found, spec.config.limit_train))


def _texts(spec: LanguageSpec) -> Iterator[str]:
    for path in spec.files:
        with progress(f"reading {path.name}", path.stat().st_size) as meter:
            read = 0
            for _, line in read_lines(path):
                read += len(line.encode()) + 1
                if line.strip():
                    yield line.strip()
                meter.to(min(read, path.stat().st_size))


def split(found: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Blocks to train on, and blocks spread over the text that are held out.

    Raises:
        MissingDataError: If there are fewer than two.

    Example:
        >>> training, dev = split([[number] for number in range(40)])
        >>> len(training), dev
        (38, [[0], [20]])
    """
    if len(found) < 2:
        raise MissingDataError("the text is too short for a language adapter", remedy="give more of it")
    step = max(DEV_SHARE if len(found) >= DEV_SHARE else 2, len(found) // DEV_BLOCKS)
    return [item for i, item in enumerate(found) if i % step], found[::step]


def dev_score(
    head: MaskedLMHead,
    batches: Sequence[Sequence[Feature]],
    padding_id: int,
    device: torch.device,
    precision: str,
    assembled: Assembled,
) -> float:
    """Minus the mean loss on held-out blocks, with the same masks every time."""
    total, terms = 0.0, 0
    assembled.model.eval()
    with torch.inference_mode():
        for features in batches:
            batch = collated(KIND, features, padding_id, device)
            with autocast(device, precision):
                value, number = mlm.loss(head(assembled, batch), batch)
            total, terms = total + value.item(), terms + number
    return -total / max(terms, 1)


def _batches(found: list[list[int]], about: Mapping[str, int], size: int = 16) -> list[list[Feature]]:
    features = _features(found, about)
    return [features[start : start + size] for start in range(0, len(features), size)]


def _features(found: list[list[int]], about: Mapping[str, int]) -> list[Feature]:
    return [
        {"example": number, "length": len(ids), "input_ids": ids, **about} for number, ids in enumerate(found)
    ]


def _as_dataset(found: list[list[int]], about: Mapping[str, int]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(_features(found, about))
