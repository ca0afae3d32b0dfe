"""Train a language adapter: masked language modelling on plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adaptrans.devices import autocast, pick_device, pick_precision
from adaptrans.environment import environment
from adaptrans.errors import MissingDataError
from adaptrans.hub.store import Run
from adaptrans.models.adapting import Assembled
from adaptrans.models.artefact import save_artefact
from adaptrans.models.backbone import load_tokenizer
from adaptrans.models.language_adapters import MaskedLMHead, assemble_language
from adaptrans.progress import progress
from adaptrans.runs.language import LanguageSpec
from adaptrans.tasks.kinds import Answers, Batch, Feature, Kind
from adaptrans.tasks.kinds.tensors import collated, padded_inputs, summed_cross_entropy
from adaptrans.tasks.lines import read_lines
from adaptrans.training.loop import Job, train
from adaptrans.training.phases import accelerator_for
from adaptrans.training.streams import Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RATE = 0.15
"""Share of the pieces that are guessed (Devlin et al. 2019, kept by XLM-R)."""

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
    run = spec.run
    if run.is_done:
        return run
    with spec.workspace.store.working_on(run, spec.record):
        if not run.is_done:
            _train(spec, run)
    return run


def _train(spec: LanguageSpec, run: Run) -> None:
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    run.log_environment(environment(str(device), precision))
    tokenizer = load_tokenizer(spec.workspace.backbone)
    training, dev = split(blocks(spec, tokenizer))
    kind = masked_lm(tokenizer)
    head = MaskedLMHead(spec.workspace.backbone).to(device)
    assembled = assemble_language(spec.workspace.backbone, spec.language, spec.method, spec.seed)
    assembled.model.to(device)
    assert tokenizer.pad_token_id is not None
    scored = partial(dev_score, kind, head, _batches(dev), tokenizer.pad_token_id, device, precision)
    place = train(
        Job(
            description=f"language {spec.language}",
            assembled=assembled,
            sources=(
                Source(
                    spec.language,
                    assembled,
                    kind,
                    _as_dataset(training),
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
    scores = {"dev": place.best_score, "dev_step": place.best_step, "steps": place.step}
    save_artefact(
        assembled, run.artefact, {"trained_by": run.key, "language": spec.language, "scores": scores}
    )
    parameters = dict(assembled.model.named_parameters())
    run.finish(
        {
            **scores,
            "seconds": place.seconds,
            "trained_parameters": sum(parameters[name].numel() for name in assembled.trained),
            "examples": len(training),
            "source_languages": [],
            "notes": [],
        }
    )
    run.sweep()


def blocks(spec: LanguageSpec, tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """The text as blocks of equal length, lines one after another with an end sign between them."""
    room = spec.max_length - 2
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    found: list[list[int]] = []
    pending: list[int] = []
    for text in _texts(spec):
        pending += [*tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], end]
        while len(pending) >= room:
            found.append([start, *pending[:room], end])
            pending = pending[room:]
        if spec.config.limit_train is not None and len(found) >= spec.config.limit_train:
            return found[: spec.config.limit_train]
    if len(pending) > 1:
        found.append([start, *pending[:-1], end])
    return found


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


def masked_lm(tokenizer: PreTrainedTokenizerFast) -> Kind:
    """Guessing hidden pieces, as a kind that the loop trains; masks are drawn anew for every batch."""
    special = torch.tensor(sorted(set(tokenizer.all_special_ids)))
    mask, size = tokenizer.mask_token_id, len(tokenizer)
    assert mask is not None

    def collate(features: Sequence[Feature], padding_id: int) -> Batch:
        batch = padded_inputs([feature["input_ids"] for feature in features], padding_id)
        ids = batch["input_ids"]
        # Drawn from the generator that the checkpoint holds, so that a resumed run draws the same.
        chance, how = torch.rand(ids.shape), torch.rand(ids.shape)
        pieces = torch.randint(size, ids.shape)
        hidden = (chance < RATE) & ~torch.isin(ids, special)
        if not hidden.any():
            hidden[0, 1] = True
        # 80 % masked, 10 % another piece, 10 % left (Devlin et al. 2019).
        shown = torch.where(how < 0.8, torch.full_like(ids, mask), torch.where(how < 0.9, pieces, ids))
        return {
            "input_ids": torch.where(hidden, shown, ids),
            "attention_mask": batch["attention_mask"],
            "hidden": hidden,
            "labels": ids[hidden],
        }

    def loss(logits: Tensor, batch: Batch) -> tuple[Tensor, int]:
        return summed_cross_entropy(logits, batch["labels"])

    def unused(*_: Any) -> Any:
        raise AssertionError("a language adapter gives no predictions")

    return Kind("masked_lm", 1, unused, collate, Answers("masked_lm", loss, unused, unused, unused))


def dev_score(
    kind: Kind,
    head: MaskedLMHead,
    batches: Sequence[Sequence[Feature]],
    padding_id: int,
    device: torch.device,
    precision: str,
    assembled: Assembled,
) -> float:
    """Minus the mean loss on held-out blocks, with the same masks every time."""
    assert kind.answers is not None
    loss: Callable[..., tuple[Tensor, int]] = kind.answers.loss
    total, terms = 0.0, 0
    assembled.model.eval()
    # The masks are drawn from a generator of their own: scoring does not change training.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.default_generator.manual_seed(0)
        for features in batches:
            batch = collated(kind, features, padding_id, device)
            with autocast(device, precision):
                value, number = loss(head(assembled, batch), batch)
            total, terms = total + value.item(), terms + number
    return -total / max(terms, 1)


def _batches(found: list[list[int]], size: int = 16) -> list[list[Feature]]:
    features = [_feature(number, ids) for number, ids in enumerate(found)]
    return [features[start : start + size] for start in range(0, len(features), size)]


def _feature(number: int, ids: list[int]) -> Feature:
    return {"example": number, "length": len(ids), "input_ids": ids}


def _as_dataset(found: list[list[int]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list([_feature(number, ids) for number, ids in enumerate(found)])
