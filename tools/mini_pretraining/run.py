"""A pretraining run from its configuration to the exported model; resumes where it stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adaptrans.errors import ConfigError, TrainingError
from adaptrans.utils.devices import give_back_freed, spare_memory
from adaptrans.utils.io import atomic_write
from mini_pretraining import checkpoint, journal, measure, network, optimizer, static, store
from mini_pretraining import tokenizer as pieces
from mini_pretraining.batches import batch_at
from mini_pretraining.checkpoint import Position
from mini_pretraining.config import PretrainConfig, fingerprint
from mini_pretraining.export import card, export
from mini_pretraining.objectives import loss_of
from mini_pretraining.text import TextFolder, inventory, read

LOG_EVERY = 50
"""Steps summed up in one line of the log."""
TOKENIZER = "tokenizer.json"


@dataclass
class Run:
    """Everything a run holds while it goes; the only mutable object here."""

    config: PretrainConfig
    out: Path
    device: torch.device
    tokenizer: Any
    data: store.Store
    rows: list[dict[str, str | int]]
    model: Any
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    position: Position
    measures: dict[str, Any] = field(default_factory=dict)


def make_tokenizer(text: TextFolder, config: PretrainConfig, out: Path) -> Any:
    """The tokenizer of a run: the one already there, the base's, or a newly trained one.

    Raises:
        ConfigError: If the text is too little for the vocabulary.
    """
    path = out / TOKENIZER
    if path.is_file():
        return pieces.read_file(path)
    if config.base:
        tokenizer = pieces.load(config.base)
    else:
        lines: dict[str, list[str]] = {language: [] for language in config.languages}
        for part in text.mono:
            lines[part.language] += part.lines
        for corpus in text.parallel:
            for language, sentences in corpus.lines.items():
                lines[language] += [line for line in sentences if line]
        plan = config.tokenizer
        sample = pieces.balanced_sample(
            lines, characters=plan.characters, smoothing=plan.smoothing, seed=config.seed
        )
        tokenizer = pieces.train(sample, vocabulary=plan.vocabulary, coverage=plan.coverage)
    with atomic_write(path) as temporary:
        tokenizer.save(str(temporary))
    # Read back: scores lose digits in the file, and a resumed run must cut text the same way.
    return pieces.read_file(path)


def _names(model: Any) -> list[str]:
    """Names of the weights in the order the optimizer has them."""
    weights = list(model.named_parameters())
    return [n for n, w in weights if w.ndim > 1] + [n for n, w in weights if w.ndim <= 1]


def _restore(run: Run, folder: Path, *, accept_changes: bool) -> None:
    found = checkpoint.read_position(folder)
    for what, now, then in (
        ("configuration", run.position.config, found.config),
        ("text", run.position.data, found.data),
    ):
        if now != then and not accept_changes:
            raise ConfigError(
                f"the {what} differs from that of the run in {run.out}",
                remedy="use another --out, or --accept-changes to go on under the new one",
            )
    parts = checkpoint.load(folder)
    current = optimizer.weights(run.model)
    shapes = {name: weight.shape for name, weight in current.items()}
    if shapes != {name: weight.shape for name, weight in parts["weights"].items()}:
        raise ConfigError(f"the model differs from that of the run in {run.out}", remedy="use another --out")
    for name, weight in run.model.named_parameters():
        weight.data.copy_(parts["weights"][name])
    for name, held in run.average.items():
        held.copy_(parts["average"].get(name, parts["weights"][name]))
    moments = {
        key: value if key.endswith("/step") else value.to(run.device)
        for key, value in parts["optimizer"].items()
    }
    checkpoint.restore_moments(run.optimizer, _names(run.model), moments)
    changes = {"config": run.position.config, "data": run.position.data}
    run.position = Position(**{**asdict(found), **changes})
    for record in journal.rewind(run.out, found.step):
        run.measures = record.get("measures") or run.measures


def prepare(
    config: PretrainConfig, folder: Path, out: Path, *, device: str = "cpu", accept_changes: bool = False
) -> Run:
    """Read the text, make or load tokenizer and model, and go back to the last checkpoint.

    Args:
        config: What to do.
        folder: The text folder, see `text.locate`.
        out: Folder of the run; made if needed.
        device: Name of a torch device.
        accept_changes: Go on although configuration or text differ from the checkpoint's.

    Raises:
        ConfigError: If they differ and that is not accepted, or something does not fit.
        DataError: If the text is damaged.
    """
    spare_memory(False)
    out.mkdir(parents=True, exist_ok=True)
    text = read(folder, config)
    tokenizer = make_tokenizer(text, config, out)
    if config.base:
        model = network.take_over(config)
        network.check_fit(config, model, tokenizer.get_vocab_size(), tokenizer.token_to_id(pieces.PADDING))
        config = config.model_copy(update={"model": network.shape_of(model)})
    else:
        model = network.make(config, tokenizer.get_vocab_size())
    model.to(device)
    model.train()
    data = store.build(text, config, tokenizer)
    if not config.base:
        network.start_bias(model, torch.from_numpy(store.counts(data)))
    run = Run(
        config=config,
        out=out,
        device=torch.device(device),
        tokenizer=tokenizer,
        data=data,
        rows=inventory(text),
        model=model,
        optimizer=optimizer.make(model, config.optimizer),
        average=optimizer.start_average(model, config.optimizer),
        position=Position(0, 0, 0.0, config.seed, fingerprint(config), store.fingerprint(data)),
    )
    folder_of_last = checkpoint.latest(out)
    if folder_of_last:
        _restore(run, folder_of_last, accept_changes=accept_changes)
    return run


def step_once(run: Run) -> tuple[str, float, int]:
    """Do one step.

    Returns:
        Objective, loss without its weight, and tokens, padding not counted.

    Raises:
        TrainingError: If the loss is not a number.
    """
    config, step = run.config, run.position.step
    torch.manual_seed(config.seed * 1_000_003 + step)
    batch = batch_at(run.data, config, step)
    loss = loss_of(run.model, batch, config, run.device)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"step {step}: the {batch.objective} loss is {value}", remedy="lower optimizer.rate, then resume"
        )
    (loss * getattr(config.objectives, batch.objective).weight).backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), config.optimizer.clip)
    for group in run.optimizer.param_groups:
        group["lr"] = optimizer.rate_at(config.optimizer, step, config.steps)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    optimizer.update_average(run.average, run.model, config.optimizer, step)
    return batch.objective, value, int(batch.attention.sum())


def save(run: Run) -> None:
    """Write a checkpoint of the run."""
    checkpoint.save(
        run.out,
        run.position,
        optimizer.weights(run.model),
        run.average,
        checkpoint.moments(run.optimizer, _names(run.model)),
    )


def evaluate(run: Run) -> None:
    """Measure the averaged weights on held-out text, log it, and export the model."""
    with measure.with_weights(run.model, run.average):
        run.measures = measure.measures(run.model, run.data, run.config, run.device)
    journal.append(run.out, {"step": run.position.step, "measures": run.measures})
    readme = card(run.config, run.position, run.rows, run.measures, journal.read(run.out))
    export(run.out, run.model, run.average, run.config, run.tokenizer, readme)


def _moved(position: Position, tokens: int, seconds: float) -> Position:
    moved = {"step": position.step + 1, "tokens": position.tokens + tokens}
    return Position(**{**asdict(position), **moved, "seconds": position.seconds + seconds})


def _align(run: Run, *, quiet: bool, clock: Callable[[], float]) -> None:
    """The static stage and the first checkpoint."""
    seconds = static.train(run.model, run.data, run.config, run.out, quiet=quiet, clock=clock)
    name = "roberta.embeddings.word_embeddings.weight"
    if name in run.average:
        run.average[name].copy_(optimizer.weights(run.model)[name])
    run.position = Position(**{**asdict(run.position), "seconds": run.position.seconds + seconds})
    save(run)
    (run.out / static.STATE).unlink(missing_ok=True)


def train(
    run: Run,
    *,
    hours: float | None = None,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Go on until the steps are done or the time is over; checkpoint, measure and export.

    An interrupt from the keyboard writes a checkpoint and ends the run in good order.

    Args:
        run: Result of `prepare`.
        hours: Most hours of this session.
        quiet: No progress line.
        clock: Seconds; replaced in tests.
    """
    config = run.config
    begun = clock()
    if config.static.steps and checkpoint.latest(run.out) is None:
        try:
            _align(run, quiet=quiet, clock=clock)
        except KeyboardInterrupt:
            return
    saved = measured = clock()
    losses: dict[str, list[float]] = {}
    window_tokens, window_seconds = 0, 0.0
    with journal.progress(config.name, config.steps, quiet=quiet) as advance:
        try:
            while run.position.step < config.steps and (hours is None or clock() - begun < hours * 3600):
                start = clock()
                objective, value, tokens = step_once(run)
                seconds = clock() - start
                run.position = _moved(run.position, tokens, seconds)
                losses.setdefault(objective, []).append(value)
                window_tokens, window_seconds = window_tokens + tokens, window_seconds + seconds
                if run.position.step % LOG_EVERY == 0:
                    speed = window_tokens / max(window_seconds, 1e-9)
                    _log(run, losses, speed)
                    advance(run.position.step, f"{objective} {value:.2f}, {speed:.0f} tokens/s")
                    losses, window_tokens, window_seconds = {}, 0, 0.0
                    give_back_freed()
                if clock() - measured >= config.evaluate_every:
                    evaluate(run)
                    measured = clock()
                if clock() - saved >= config.save_every:
                    save(run)
                    saved = clock()
        except KeyboardInterrupt:
            run.optimizer.zero_grad(set_to_none=True)
    save(run)
    evaluate(run)


def _log(run: Run, losses: dict[str, list[float]], speed: float) -> None:
    journal.append(
        run.out,
        {
            "step": run.position.step,
            "tokens": run.position.tokens,
            "seconds": round(run.position.seconds, 1),
            "tokens_per_second": round(speed),
            "rate": optimizer.rate_at(run.config.optimizer, run.position.step, run.config.steps),
            "losses": {name: round(sum(values) / len(values), 4) for name, values in losses.items()},
        },
    )
