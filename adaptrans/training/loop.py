"""The one training loop, for every phase, kind and method.

A step takes `batch_size` model inputs of like length, cut into parts that fit
the token budget. The losses of the parts are summed and divided by the number
of terms of the whole step, so that the result does not depend on the cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adaptrans import processes
from adaptrans.allocator import HEAP, spare_memory
from adaptrans.data.batches import padding_share
from adaptrans.errors import ArtefactError, TrainingError
from adaptrans.models.adapting import Assembled, load_trained_state, trained_state
from adaptrans.models.decay import decays
from adaptrans.models.dropping import drop_swiftly
from adaptrans.models.frugal import keep_frozen_in, recompute_activations
from adaptrans.models.fusing import regularisation
from adaptrans.models.names import fusion_of, owner
from adaptrans.progress import progress
from adaptrans.runs.config import TrainingConfig
from adaptrans.training import checkpoint
from adaptrans.training.checkpoint import Place
from adaptrans.training.gradients import Gradients, Limit, Summed
from adaptrans.training.log import TrainingLog
from adaptrans.training.streams import Draw, Source, Streams

if TYPE_CHECKING:
    from accelerate import Accelerator

    from adaptrans.progress import Meter


@dataclass(frozen=True)
class Job:
    """All that a training run needs.

    Args:
        description: What is trained, for the progress bar.
        assembled: The model under its setup.
        sources: The tasks that are trained, one in each step; mostly a single one.
        config: The options, rates filled in.
        seed: Seed of batches and dropout.
        folder: The run's folder, for log and checkpoints.
        padding_id: Id of the padding token.
        device: Where it runs.
        precision: `fp32` or `bf16`.
        dev_score: Score on the dev set, higher is better; None where there is no dev set.
    """

    description: str
    assembled: Assembled
    sources: tuple[Source, ...]
    config: TrainingConfig
    seed: int
    folder: Path
    padding_id: int
    device: torch.device
    precision: str
    dev_score: Callable[[Assembled], float] | None


@dataclass(frozen=True)
class Plan:
    """The arithmetic of a run: how many steps, and when what happens."""

    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    evaluate_every: int

    @classmethod
    def of(cls, config: TrainingConfig, items: int) -> Plan:
        """The plan for this many model inputs.

        Example:
            >>> Plan.of(TrainingConfig(epochs=2, batch_size=4, warmup=0.5), items=10)
            Plan(steps_per_epoch=3, total_steps=6, warmup_steps=3, evaluate_every=3)
        """
        per_epoch = math.ceil(items / config.batch_size)
        total = max(1, round(per_epoch * config.epochs))
        if config.max_steps is not None:
            total = min(total, config.max_steps)
        every = config.evaluate_every or min(per_epoch, total)
        rise = round(total * config.warmup) if config.warmup_steps is None else config.warmup_steps
        return cls(per_epoch, total, min(rise, total), every)

    def rate_factor(self, step: int, decay: str) -> float:
        """Share of the peak rate at a 0-based step: linear rise, then linear fall or none.

        Example:
            >>> plan = Plan(5, 10, 2, 5)
            >>> [plan.rate_factor(step, "linear") for step in (0, 1, 2, 6)]
            [0.5, 1.0, 1.0, 0.5]
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if decay == "none":
            return 1.0
        return (self.total_steps - step) / max(1, self.total_steps - self.warmup_steps)


def train(job: Job, accelerator: Accelerator) -> Place:
    """Train until the plan ends or patience does; go on from a checkpoint if there is one.

    Afterwards the model holds the weights of the best dev score (or of the last
    step, if `keep_best` is off or there is no dev set).

    Raises:
        TrainingError: If a loss or a gradient is not a finite number; names the step and the examples.
        ArtefactError: If the checkpoint cannot be read.
    """
    spare_memory(job.config.spares_memory)
    keep_frozen_in(job.assembled.model, job.precision)
    drop_swiftly(job.assembled.model)
    run = _Training(job, accelerator)
    run.resume()
    with (
        TrainingLog(job.folder, run.place.step) as log,
        progress(job.description, run.plan.total_steps, start=run.place.step) as meter,
    ):
        run.steps(log, meter)
    # The other processes' weights are of no further use.
    if job.config.keep_best and run.place.best_step is not None and processes.is_main():
        load_trained_state(job.assembled, checkpoint.load_weights(run.best_file))
    return run.place


class _Training:
    """The state of one run of `train`."""

    def __init__(self, job: Job, accelerator: Accelerator) -> None:
        self.job = job
        self.accelerator = accelerator
        self.streams = Streams(job.sources, job.config, job.seed)
        self.plan = Plan.of(job.config, self.streams.items)
        named = dict(job.assembled.model.named_parameters())
        self.parameters = {name: named[name] for name in job.assembled.trained}
        self.optimiser = _optimiser(self.parameters, job.assembled, job.config)
        self.folder = job.folder / "checkpoints"
        self.best_file = self.folder / "best.safetensors"
        self.place = Place(precision=job.precision, device=job.device.type)
        self.saved_at = time.monotonic()
        self.limit = Limit(job.config.tokens_per_batch)
        if job.config.checkpointing is True:
            self.recompute()
        self.changes: list[str] = []
        self.computing = Gradients(
            job.assembled,
            self.parameters,
            self.limit,
            recompute=self.recompute if job.config.checkpointing == "auto" else None,
            tell=self.changes.append,
            seed=job.seed,
            padding_id=job.padding_id,
            device=job.device,
            precision=job.precision,
            accelerator=accelerator,
        )

    def resume(self) -> None:
        """Take up the newest checkpoint, or start from the seed."""
        checkpoint.seed_process(self.job.seed, 0)
        found = checkpoint.load(self.folder)
        if processes.gathered(found and found[0].step) != [found and found[0].step] * processes.count():
            raise ArtefactError(
                f"the processes find different checkpoints in {self.folder}",
                remedy="put the store in a folder that all machines share",
            )
        if found is None:
            return
        place, groups = found
        if (place.precision, place.device) != (self.place.precision, self.place.device):
            raise ArtefactError(
                f"{self.folder} was begun in {place.precision} on {place.device}, "
                f"here it would go on in {self.place.precision} on {self.place.device}",
                remedy=f"say --device {place.device} --precision {place.precision}, or delete the folder",
            )
        self.place = place
        if place.tokens_per_batch is not None:
            self.limit.tokens = place.tokens_per_batch
        if place.recomputed and not self.limit.recomputed:
            self.recompute()
        load_trained_state(self.job.assembled, groups["weights"])
        checkpoint.restore_optimiser(self.optimiser, self.parameters, groups.get("optimiser", {}))
        own = checkpoint.random_group(processes.rank())
        if own in groups:
            checkpoint.restore_random_state(groups[own], self.job.device)
        else:
            # Begun by fewer processes than go on now.
            checkpoint.seed_process(self.job.seed, self.place.step)

    def save(self) -> None:
        """Write a checkpoint; all processes call this, and the first one writes."""
        states = processes.gathered(checkpoint.random_state(self.job.device))
        if processes.is_main():
            names = {parameter: name for name, parameter in self.parameters.items()}
            groups = {
                "weights": trained_state(self.job.assembled),
                "optimiser": checkpoint.optimiser_state(self.optimiser, names),
                **{checkpoint.random_group(rank): state for rank, state in enumerate(states)},
            }
            checkpoint.save(self.folder, self.place, groups)
        self.saved_at = time.monotonic()

    def recompute(self) -> None:
        """From now on compute activations again instead of keeping them."""
        recompute_activations(self.job.assembled.model)
        self.limit.recomputed = True

    def steps(self, log: TrainingLog, meter: Meter) -> None:
        self.streams.start(self.place.step, self.plan.total_steps)
        while not self.place.finished:
            self.one_step(self.streams.take(), log, meter)

    def one_step(self, draw: Draw, log: TrainingLog, meter: Meter) -> None:
        """Train one batch of one task."""
        began = time.monotonic()
        config = self.job.config
        factor = self.plan.rate_factor(self.place.step, config.decay)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        lengths = self.streams.lengths[draw.task]
        source = self.job.sources[draw.task]
        summed, extra, norm = self.gradients(draw, log)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.place.step += 1
        HEAP.look()
        seconds = time.monotonic() - began
        self.place.seconds += seconds
        step = self.place.step
        if step % config.log_every == 0 or step == self.plan.total_steps:
            log.add(
                step,
                **({"task": source.name} if len(self.job.sources) > 1 else {}),
                loss=summed.mean,
                **extra,
                learning_rate=self.optimiser.param_groups[0]["lr"],
                gradient_norm=norm,
                tokens_per_second=sum(lengths[i] for i in draw.items) / max(seconds, 1e-9),
                padding=padding_share(summed.parts, lengths),
            )
        meter.to(step, f"loss {summed.mean:.3f}")
        self.after_step(log)

    def gradients(self, draw: Draw, log: TrainingLog) -> tuple[Summed, dict[str, float], float]:
        """Gradients of the step's mean loss and what is added to it, clipped.

        Returns:
            What is known of the step, what is added to its loss by name, and the norm before clipping.
        """
        source = self.job.sources[draw.task]
        summed = self.computing.of(source, draw, self.streams.lengths[draw.task])
        if self.changes:
            self.place.tokens_per_batch, self.place.recomputed = self.limit.tokens, self.limit.recomputed
            log.add(self.place.step + 1, notes=self.changes.copy())
            self.changes.clear()
        if not math.isfinite(summed.loss):
            self.stop(log, source, f"the loss is {summed.loss}", summed.failed)
        if self.place.step == 0:
            self.check_adapter()
        extra = self.regularise()
        norm = float(self.accelerator.clip_grad_norm_(list(self.parameters.values()), self.job.config.clip))
        if not math.isfinite(norm):
            self.stop(log, source, f"the gradient norm is {norm}", draw.items)
        return summed, extra, norm

    def check_adapter(self) -> None:
        """Stop before the first step where nothing of the adapter can learn, whatever else is trained."""
        adapter = self.job.assembled.adapter
        own = [parameter for name, parameter in self.parameters.items() if owner(name) == adapter]
        if adapter is None or any(item.grad is not None and bool(item.grad.any()) for item in own):
            return
        raise TrainingError(
            f"{self.job.description}: no gradient reaches the adapter, so {self.job.assembled.method} would"
            " learn nothing",
            remedy="change the options of the method",
        )

    def regularise(self) -> dict[str, float]:
        """Add the gradient of what keeps fusions near the identity; returns its value by name."""
        names = [fused.name for fused in self.job.assembled.fusions]
        weight = self.job.config.fusion_regularisation
        if not names or not weight:
            return {}
        value = regularisation(self.job.assembled.model, names, weight)
        value.backward()
        return {"fusion_regularisation": value.item()}

    def after_step(self, log: TrainingLog) -> None:
        """Dev score, best weights, early stop, end, checkpoint."""
        place, config = self.place, self.job.config
        at_end = place.step == self.plan.total_steps
        place.finished = at_end
        scored = self.job.dev_score is not None and (at_end or place.step % self.plan.evaluate_every == 0)
        if scored:
            self.score(log)
            if config.patience is not None and place.stale >= config.patience:
                place.finished = True
        due = time.monotonic() - self.saved_at >= config.checkpoint_seconds
        if scored or place.finished or processes.agreed(due):
            self.save()

    def score(self, log: TrainingLog) -> None:
        assert self.job.dev_score is not None
        place = self.place
        value = processes.agreed(self.job.dev_score(self.job.assembled) if processes.is_main() else 0.0)
        log.add(place.step, dev_score=value)
        if place.best_score is None or value > place.best_score:
            place.best_score, place.best_step, place.stale = value, place.step, 0
            if self.job.config.keep_best and processes.is_main():
                checkpoint.save_weights(self.best_file, trained_state(self.job.assembled))
        else:
            place.stale += 1

    def stop(self, log: TrainingLog, source: Source, reason: str, items: Sequence[int]) -> None:
        """Raise, naming step and examples; the log has all of them."""
        owners = source.features[sorted(items)]["example"]
        ids = list(dict.fromkeys(source.example_ids[owner] for owner in owners))
        log.add(self.place.step + 1, stopped=reason, examples=ids)
        shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more (see log.jsonl)" if len(ids) > 8 else "")
        raise TrainingError(
            f"{self.job.description}: {reason} at step {self.place.step + 1}, examples {shown}",
            remedy="lower learning_rate, or use --precision fp32",
        )


def _optimiser(
    parameters: dict[str, Tensor], assembled: Assembled, config: TrainingConfig
) -> torch.optim.Optimizer:
    """AdamW, with decay where `decays` allows it.

    A fusion learns at its own rate, and so does the head when nothing else is trained: that is what the
    library's example does.
    """
    assert config.learning_rate is not None
    assert config.fusion_learning_rate is not None
    alone = bool(assembled.fusions) and assembled.adapter is None
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in parameters.items():
        fused = alone or fusion_of(name) is not None
        shrinks = decays(assembled.model, name, parameter)
        groups.setdefault((fused, shrinks), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": groups[fused, shrinks],
                "weight_decay": config.weight_decay if shrinks else 0.0,
                "peak": config.fusion_learning_rate if fused else config.learning_rate,
            }
            # The order decides nothing but which rate the log shows: that of the target's own weights.
            for fused, shrinks in ((False, True), (False, False), (True, True), (True, False))
            if (fused, shrinks) in groups
        ],
        lr=config.learning_rate,
        eps=config.adam_epsilon,
        # One pass over each tensor instead of ten; on a GPU the default is as quick, and its state elsewhere.
        fused=all(parameter.device.type == "cpu" for parameter in parameters.values()) or None,
    )
