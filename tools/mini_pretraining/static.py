"""The static stage: embeddings of tokens aligned over languages before the encoder is trained.

A text is the mean of its tokens' embeddings, each brought to the form in which the
encoder's first normalization hands it on. That costs a hundredth of a pass through the
encoder, so the embeddings see as many pairs in minutes as the encoder in hours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from adaptrans.errors import ArtifactError, TrainingError
from adaptrans.modeling.safetensors_io import write_tensors
from adaptrans.utils.devices import give_back_freed
from adaptrans.utils.io import atomic_write
from mini_pretraining import journal
from mini_pretraining.bags import Bags, contexts, draw_bags, draw_contexts, pool
from mini_pretraining.config import PretrainConfig, Static
from mini_pretraining.objectives import contrastive_loss
from mini_pretraining.store import Special, Store

STATE = "static.safetensors"
"""Where the stage stands, in the folder of the run, until it is over."""
LOG_EVERY = 100
"""Steps summed up in one line of the log."""
LONGEST_WORD = 12
"""Tokens of a dictionary entry, cut beyond."""
WARMUP = 30
"""Steps from 0 to the highest rate."""
FALL = 0.6
"""Last share of the steps, with the rate falling to a fiftieth."""

Draw = Callable[[np.random.Generator], Bags]


def table(embeddings: Tensor) -> Tensor:
    """Every row brought to mean 0 and variance 1, as the encoder's first normalization does."""
    return functional.layer_norm(embeddings, embeddings.shape[1:])


def pooled(rows: Tensor, bags: Sequence[Bags], special: Special) -> list[Tensor]:
    """Mean of the tokens of each text and its two special tokens.

    All bags go through one sum, since its gradient is as large as the vocabulary.

    Args:
        rows: A vector per token, shape (vocabulary, width).
        bags: Texts.
        special: The two special tokens around every text.

    Returns:
        Per bags, shape (texts, width).
    """
    frame = np.array([special.start, special.end], dtype=np.int64)
    ids = np.concatenate([*(found.ids for found in bags), frame])
    counts = np.concatenate([np.diff(found.offsets) for found in bags])
    offsets = np.concatenate([[0], np.cumsum(counts), [len(ids)]]).astype(np.int64)
    summed = functional.embedding_bag(
        torch.from_numpy(ids), rows, torch.from_numpy(offsets), mode="sum", include_last_offset=True
    )
    means = (summed[:-1] + summed[-1]) / torch.from_numpy(counts + 2).unsqueeze(1)
    return list(means.split([len(found.offsets) - 1 for found in bags]))


def draws(store: Store, config: PretrainConfig) -> dict[str, Draw]:
    """How each kind of text with a count is drawn."""
    plan, special = config.static, store.special
    found: dict[str, Draw] = {}
    if plan.sentences.count and store.sentences.pairs:
        sentences = pool(store.sentences, config.sampling)
        found["sentences"] = lambda rng: draw_bags(sentences, plan.sentences.count, plan.length, rng)
    if plan.words.count and store.words.pairs:
        words = pool(store.words, config.sampling)
        found["words"] = lambda rng: draw_bags(words, plan.words.count, LONGEST_WORD, rng)
    if plan.links.count and store.links.pairs:
        links = pool(store.links, config.sampling)
        found["links"] = lambda rng: draw_bags(links, plan.links.count, 1, rng)
    if plan.contexts.count and store.streams:
        running = contexts(store.streams, config.sampling.smoothing)
        found["contexts"] = lambda rng: draw_contexts(
            running, plan.contexts.count, plan.reach, special.first_piece, rng
        )
    return found


def rate_at(plan: Static, step: int) -> float:
    """Rate of a step: rise, constant, linear fall.

    Example:
        >>> plan = Static(steps=1000, rate=1.0)
        >>> [round(rate_at(plan, step), 2) for step in (14, 300, 700, 999)]
        [0.5, 1.0, 0.5, 0.02]
    """
    left = (plan.steps - step) / (FALL * plan.steps)
    return plan.rate * min(1.0, (step + 1) / WARMUP) * min(1.0, max(0.02, left))


@dataclass
class Stage:
    """What the stage holds while it goes."""

    embeddings: Tensor
    optimizer: torch.optim.Optimizer
    step: int = 0


def start(model: Any) -> Stage:
    """The model's embeddings, brought to variance 1."""
    own = model.roberta.embeddings.word_embeddings.weight.detach().float()
    embeddings = torch.nn.Parameter(table(own).clone())
    return Stage(embeddings, torch.optim.Adam([embeddings], betas=(0.9, 0.98), fused=True))


def step_once(
    stage: Stage, drawn: dict[str, Draw], special: Special, config: PretrainConfig
) -> dict[str, float]:
    """Do one step.

    Returns:
        Loss of each kind of text, without its weight.

    Raises:
        TrainingError: If a loss is not a number.
    """
    plan, step = config.static, stage.step
    bags = {name: draw(np.random.default_rng((config.seed, step, 2))) for name, draw in drawn.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = pooled(table(stage.embeddings), list(bags.values()), special)
        losses = {
            name: contrastive_loss(
                found, torch.from_numpy(bags[name].ignored), getattr(plan, name).temperature
            )
            for name, found in zip(bags, vectors, strict=True)
        }
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    if not all(map(math.isfinite, values.values())):
        raise TrainingError(f"static stage, step {step}: losses {values}", remedy="lower static.rate")
    torch.stack([getattr(plan, name).weight * loss for name, loss in losses.items()]).sum().backward()
    for group in stage.optimizer.param_groups:
        group["lr"] = rate_at(plan, step)
    stage.optimizer.step()
    stage.optimizer.zero_grad(set_to_none=True)
    stage.step += 1
    return values


def save(stage: Stage, out: Path) -> None:
    """Write where the stage stands; the file is whole or the one before."""
    state = stage.optimizer.state[stage.embeddings]
    tensors = {"embeddings": stage.embeddings.detach(), **state, "done": torch.tensor(stage.step)}
    with atomic_write(out / STATE) as temporary:
        write_tensors(temporary, tensors)


def restore(stage: Stage, out: Path) -> None:
    """Go back to what `save` wrote, if it did.

    Raises:
        ArtifactError: If the file is damaged or of another model.
    """
    path = out / STATE
    if not path.is_file():
        return
    try:
        tensors = load_file(str(path))
        stage.embeddings.data.copy_(tensors.pop("embeddings"))
        stage.step = int(tensors.pop("done"))
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise ArtifactError(f"{path}: {error}", remedy="delete it to begin the stage anew") from None
    stage.optimizer.state[stage.embeddings] = tensors


def put(stage: Stage, model: Any, scale: float) -> None:
    """Give the encoder the aligned embeddings."""
    own = model.roberta.embeddings.word_embeddings
    own.weight.data.copy_(table(stage.embeddings.detach()) * scale)


def train(
    model: Any,
    store: Store,
    config: PretrainConfig,
    out: Path,
    *,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Run the stage to its end, from where it was stopped, and give the model its embeddings.

    The stage runs on the processor, whatever the device of the model.

    Args:
        model: Its embeddings are replaced.
        store: The text.
        config: The configuration.
        out: Folder of the run.
        quiet: No progress line.
        clock: Seconds; replaced in tests.

    Returns:
        Seconds it took in this session.
    """
    begun = saved = clock()
    stage = start(model)
    restore(stage, out)
    drawn = draws(store, config)
    losses: list[dict[str, float]] = []
    with journal.progress(f"{config.name}: embeddings", config.static.steps, quiet=quiet) as advance:
        try:
            while drawn and stage.step < config.static.steps:
                losses.append(step_once(stage, drawn, store.special, config))
                if stage.step % LOG_EVERY == 0:
                    means = {name: round(sum(x[name] for x in losses) / len(losses), 4) for name in drawn}
                    journal.append(out, {"step": 0, "static": stage.step, "losses": means})
                    losses = []
                    give_back_freed()
                    advance(stage.step, ", ".join(f"{name} {value:.2f}" for name, value in means.items()))
                if clock() - saved >= config.save_every:
                    save(stage, out)
                    saved = clock()
        except KeyboardInterrupt:
            save(stage, out)
            raise
    put(stage, model, config.static.scale)
    return clock() - begun
