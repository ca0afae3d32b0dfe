"""The one training loop, for every phase, task type and method."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from adaptrans.data.batching import micro_batches, own_share, padding_share
from adaptrans.data.encoding import rows
from adaptrans.errors import ArtifactError, TrainingError, is_out_of_memory
from adaptrans.modeling.adapters import adapter_name, fusion_of
from adaptrans.modeling.composition import is_value, regularization
from adaptrans.modeling.efficiency.cpu_attention import use_fast_dropout
from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations, keep_frozen_in
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import read_tensors
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.training import checkpoint
from adaptrans.training.checkpoint import TrainerState, TrainingLog
from adaptrans.training.multitask import Streams, TrainingBatch, TrainingTask
from adaptrans.utils import distributed
from adaptrans.utils.devices import HEAP, autocast, release_memory, spare_memory
from adaptrans.utils.progress import progress

if TYPE_CHECKING:
    from accelerate import Accelerator

    from adaptrans.utils.progress import Meter


def decays(model: nn.Module, name: str, parameter: Tensor) -> bool:
    """Whether weight decay may act on a parameter of a model: not on one that is neutral at another value."""
    path, _, last = name.rpartition(".")
    if parameter.dim() < 2 or ".parametrizations." in name or is_value(name):
        return False
    module = model.get_submodule(path)
    if last == "lora_B":
        return getattr(module, "composition_mode", "add") != "scale"
    # DoRA keeps its magnitudes as a layer named m of the low-rank module.
    outside, _, layer = path.rpartition(".")
    return not (layer == "m" and getattr(model.get_submodule(outside), "use_dora", False))


@dataclass(frozen=True)
class TrainingJob:
    """All that a training run needs.

    Args:
        assembled: The model under its setup, on its device.
        sources: The tasks that are trained, one in each step; mostly a single one.
        config: The options, rates filled in.
        seed: Seed of batches and dropout.
        folder: The run's folder, for log and checkpoints.
        padding_id: Id of the padding token.
        precision: `fp32` or `bf16`.
        dev_score: Score on the dev set, higher is better; None where there is no dev set.
        measured: What is measured on the trained model for the record of the run, by name.
    """

    description: str
    assembled: SetupModel
    sources: tuple[TrainingTask, ...]
    config: TrainingConfig
    seed: int
    folder: Path
    padding_id: int
    device: torch.device
    precision: str
    dev_score: Callable[[SetupModel], float] | None = None
    measured: Callable[[], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Schedule:
    """The arithmetic of a run: how many steps, and when what happens."""

    total_steps: int
    warmup_steps: int
    evaluate_every: int

    @classmethod
    def of(cls, config: TrainingConfig, items: int) -> Schedule:
        """The schedule for this many model inputs.

        Example:
            >>> Schedule.of(TrainingConfig(epochs=2, batch_size=4, warmup=0.5), items=10)
            Schedule(total_steps=6, warmup_steps=3, evaluate_every=3)
        """
        per_epoch = math.ceil(items / config.batch_size)
        total = max(1, round(per_epoch * config.epochs))
        if config.max_steps is not None:
            total = min(total, config.max_steps)
        every = config.evaluate_every or min(per_epoch, total)
        rise = round(total * config.warmup) if config.warmup_steps is None else config.warmup_steps
        return cls(total, min(rise, total), every)

    def rate_factor(self, step: int, decay: str) -> float:
        """Share of the peak rate at a 0-based step: linear rise, then linear fall or none.

        Example:
            >>> plan = Schedule(10, 2, 5)
            >>> [plan.rate_factor(step, "linear") for step in (0, 1, 2, 6)]
            [0.5, 1.0, 1.0, 0.5]
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if decay == "none":
            return 1.0
        return (self.total_steps - step) / max(1, self.total_steps - self.warmup_steps)


def fit(job: TrainingJob, accelerator: Accelerator) -> TrainerState:
    """Train until the schedule ends or patience does; go on from a checkpoint if there is one.

    Afterwards the model holds the weights of the best dev score (or of the last
    step, if `keep_best` is off or there is no dev set).

    Raises:
        TrainingError: If a loss or a gradient is not a finite number; names the step and the examples.
        ArtifactError: If the checkpoint cannot be read.
    """
    spare_memory(job.config.spares_memory)
    keep_frozen_in(job.assembled.model, job.precision)
    use_fast_dropout(job.assembled.model)
    run = _Training(job, accelerator)
    run.resume()
    with (
        TrainingLog(job.folder, run.place.step) as log,
        progress(job.description, run.plan.total_steps, start=run.place.step) as meter,
    ):
        run.streams.start(run.place.step, run.plan.total_steps)
        while not run.place.finished:
            run.one_step(run.streams.take(), log, meter)
    # The other processes' weights are of no further use.
    if job.config.keep_best and run.place.best_step is not None and distributed.is_main():
        job.assembled.load_trained_state(read_tensors(run.best_file))
    return run.place


@dataclass(frozen=True)
class Summed:
    """What is known of a step when its gradients are there.

    Args:
        loss: Sum of the loss over all terms.
        terms: Their number.
        parts: The parts that this process computed.
        failed: Items of the parts whose loss is not a finite number, of all processes.
    """

    loss: float
    terms: int
    parts: list[list[int]]
    failed: list[int]

    @property
    def mean(self) -> float:
        """The mean loss of the step."""
        return self.loss / max(self.terms, 1)


@dataclass
class Limit:
    """How much of a step is computed at once; lowered when the memory is short.

    Args:
        tokens: Padded tokens per part.
        recomputed: Whether activations are computed again for the gradients instead of kept.
    """

    tokens: int
    recomputed: bool = False


class _Training:
    """The state of one run of `fit`."""

    def __init__(self, job: TrainingJob, accelerator: Accelerator) -> None:
        self.job = job
        self.accelerator = accelerator
        self.streams = Streams(job.sources, job.config, job.seed)
        self.plan = Schedule.of(job.config, self.streams.items)
        self.parameters = job.assembled.trained_parameters()
        self.optimizer = _optimizer(self.parameters, job.assembled, job.config)
        self.folder = job.folder / "checkpoints"
        self.best_file = self.folder / "best.safetensors"
        self.place = TrainerState(precision=job.precision, device=job.device.type)
        self.saved_at = time.monotonic()
        self.limit = Limit(job.config.tokens_per_batch)
        self.changes: list[str] = []
        if job.config.gradient_checkpointing is True:
            self.recompute()

    def resume(self) -> None:
        """Take up the newest checkpoint, or start from the seed."""
        checkpoint.seed_process(self.job.seed, 0)
        found = checkpoint.load(self.folder)
        if distributed.all_gather(found and found[0].step) != [found and found[0].step] * distributed.count():
            raise ArtifactError(
                f"the processes find different checkpoints in {self.folder}",
                remedy="put the store in a folder that all machines share",
            )
        if found is None:
            return
        place, groups = found
        if (place.precision, place.device) != (self.place.precision, self.place.device):
            raise ArtifactError(
                f"{self.folder} was begun in {place.precision} on {place.device}, "
                f"here it would go on in {self.place.precision} on {self.place.device}",
                remedy=f"say --device {place.device} --precision {place.precision}, or delete the folder",
            )
        self.place = place
        if place.tokens_per_batch is not None:
            self.limit.tokens = place.tokens_per_batch
        if place.recomputed and not self.limit.recomputed:
            self.recompute()
        self.job.assembled.load_trained_state(groups["weights"])
        checkpoint.restore_optimizer(self.optimizer, self.parameters, groups.get("optimizer", {}))
        own = checkpoint.random_group(distributed.rank())
        if own in groups:
            checkpoint.restore_random_state(groups[own], self.job.device)
        else:
            # Begun by fewer processes than go on now.
            checkpoint.seed_process(self.job.seed, self.place.step)

    def save(self) -> None:
        """Write a checkpoint; all processes call this, and the first one writes."""
        states = distributed.all_gather(checkpoint.random_state(self.job.device))
        if distributed.is_main():
            names = {parameter: name for name, parameter in self.parameters.items()}
            groups = {
                "weights": self.job.assembled.trained_state(),
                "optimizer": checkpoint.optimizer_state(self.optimizer, names),
                **{checkpoint.random_group(rank): state for rank, state in enumerate(states)},
            }
            checkpoint.save(self.folder, self.place, groups)
        self.saved_at = time.monotonic()

    def recompute(self) -> None:
        """From now on compute activations again instead of keeping them."""
        checkpoint_activations(self.job.assembled.model)
        self.limit.recomputed = True

    def one_step(self, draw: TrainingBatch, log: TrainingLog, meter: Meter) -> None:
        """Train one batch of one task."""
        began = time.monotonic()
        config = self.job.config
        factor = self.plan.rate_factor(self.place.step, config.lr_scheduler)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        lengths = self.streams.lengths[draw.task]
        source = self.job.sources[draw.task]
        summed, extra, norm = self.gradients(draw, log)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
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
                learning_rate=self.optimizer.param_groups[0]["lr"],
                gradient_norm=norm,
                tokens_per_second=sum(lengths[i] for i in draw.items) / max(seconds, 1e-9),
                padding=padding_share(summed.parts, lengths),
            )
        meter.to(step, f"loss {summed.mean:.3f}")
        self.after_step(log)

    def gradients(self, draw: TrainingBatch, log: TrainingLog) -> tuple[Summed, dict[str, float], float]:
        """Gradients of the step's mean loss and what is added to it by name; their norm before clipping."""
        source = self.job.sources[draw.task]
        summed = self.summed(source, draw, self.streams.lengths[draw.task])
        if self.changes:
            self.place.tokens_per_batch, self.place.recomputed = self.limit.tokens, self.limit.recomputed
            log.add(self.place.step + 1, notes=self.changes.copy())
            self.changes.clear()
        if not math.isfinite(summed.loss):
            self.stop(log, source, f"the loss is {summed.loss}", summed.failed)
        if self.place.step == 0:
            self.check_adapter()
        extra = self.regularize()
        largest = self.job.config.max_grad_norm
        norm = float(self.accelerator.clip_grad_norm_(list(self.parameters.values()), largest))
        if not math.isfinite(norm):
            self.stop(log, source, f"the gradient norm is {norm}", draw.items)
        return summed, extra, norm

    def summed(self, source: TrainingTask, draw: TrainingBatch, lengths: Sequence[int]) -> Summed:
        """Leave the gradient of the mean loss of a step in the parameters; `lengths` are tokens of each item.

        When the memory ends, the same step is computed again from the same random state, in smaller parts.
        """
        self.job.assembled.model.train()
        state = checkpoint.random_state(self.job.device)
        while True:
            parts = self._parts(source, draw, lengths)
            try:
                losses, terms = self._backward(source, draw, parts)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or not self._smaller(source, parts, lengths):
                    raise
            # The failed tensors are let go only outside of the handler, which holds their frames.
            for parameter in self.parameters.values():
                parameter.grad = None
            release_memory(self.job.device)
            checkpoint.restore_random_state(state, self.job.device)
        pairs = zip(parts, losses, strict=True)
        failed = [item for part, loss in pairs if not math.isfinite(loss) for item in part]
        return self._shared(sum(losses), terms, parts, failed)

    def _parts(self, source: TrainingTask, draw: TrainingBatch, lengths: Sequence[int]) -> list[list[int]]:
        """What of a step this process computes, in parts."""
        if source.kind.whole:
            # Its inputs are each other's wrong answers, so that nothing can be divided.
            return [draw.items] if distributed.is_main() else []
        items = own_share(draw.items, lengths, distributed.rank(), distributed.count())
        return micro_batches(items, lengths, self.limit.tokens)

    def _backward(
        self, source: TrainingTask, draw: TrainingBatch, parts: Sequence[Sequence[int]]
    ) -> tuple[list[float], int]:
        """Add up the gradients of some parts; returns the summed loss of each, and the number of terms."""
        losses: list[Tensor] = []
        terms = 0
        for part in parts:
            batch = self._batch(source, draw, part)
            with autocast(self.job.device, self.job.precision):
                output = source.logits(batch)
            loss, number = source.kind.loss(output, batch)
            self.accelerator.backward(loss)
            losses.append(loss.detach())
            terms += number
        # Asked for at the end, so that a GPU need not wait for this process in between.
        return torch.stack(losses).tolist() if losses else [], terms

    def _batch(self, source: TrainingTask, draw: TrainingBatch, part: Sequence[int]) -> Any:
        features = rows(source.features, part)
        # What a kind draws for each batch, such as masks, follows from the place alone, as batches do.
        for item, feature in zip(part, features, strict=True):
            feature["draw"] = (self.job.seed, draw.number, item)
        batch = source.kind.batch(features, self.job.padding_id, self.job.device)
        if source.prefix is not None:
            batch["below"] = source.prefix.states(source.assembled, part, batch)
        return batch

    def _smaller(self, source: TrainingTask, parts: Sequence[Sequence[int]], lengths: Sequence[int]) -> bool:
        """Lower the limit after the memory ended; whether there was something to lower."""
        widest = max(len(part) * max(lengths[item] for item in part) for part in parts)
        if not source.kind.whole and max(map(len, parts)) > 1:
            self.limit.tokens = max(16, min(self.limit.tokens, widest) // 2)
            self.changes.append(f"out of memory: from here on {self.limit.tokens} padded tokens at once")
            return True
        if self.job.config.gradient_checkpointing == "auto" and not self.limit.recomputed:
            self.recompute()
            self.changes.append("out of memory: from here on activations are computed again instead of kept")
            return True
        return False

    def _shared(self, loss: float, terms: int, parts: list[list[int]], failed: list[int]) -> Summed:
        """Add up the sums of all processes, and divide the gradients by the terms."""
        if distributed.count() > 1:
            present = [float(parameter.grad is not None) for parameter in self.parameters.values()]
            sums = distributed.all_reduce(torch.tensor([loss, terms, *present], dtype=torch.float64)).tolist()
            loss, terms = sums[0], round(sums[1])
            reached = [
                item for item, number in zip(self.parameters.values(), sums[2:], strict=True) if number
            ]
            _add_up(reached)
            if not math.isfinite(loss):
                failed = [item for items in distributed.all_gather(failed) for item in items]
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad.div_(max(terms, 1))
        return Summed(loss, terms, parts, failed)

    def check_adapter(self) -> None:
        """Stop before the first step where nothing of the adapter can learn, whatever else is trained."""
        adapter = self.job.assembled.adapter
        own = [parameter for name, parameter in self.parameters.items() if adapter_name(name) == adapter]
        if adapter is None or any(item.grad is not None and bool(item.grad.any()) for item in own):
            return
        raise TrainingError(
            f"{self.job.description}: no gradient reaches the adapter, so {self.job.assembled.method} would"
            " learn nothing",
            remedy="change the options of the method",
        )

    def regularize(self) -> dict[str, float]:
        """Add the gradient of what keeps fusions near the identity; returns its value by name."""
        names = [fused.name for fused in self.job.assembled.fusions]
        weight = self.job.config.fusion_regularization
        if not names or not weight:
            return {}
        value = regularization(self.job.assembled.model, names, weight)
        value.backward()
        return {"fusion_regularization": value.item()}

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
        if scored or place.finished or distributed.broadcast(due):
            self.save()

    def score(self, log: TrainingLog) -> None:
        assert self.job.dev_score is not None
        place = self.place
        main = distributed.is_main()
        value = distributed.broadcast(self.job.dev_score(self.job.assembled) if main else 0.0)
        log.add(place.step, dev_score=value)
        if place.best_score is None or value > place.best_score:
            place.best_score, place.best_step, place.stale = value, place.step, 0
            if self.job.config.keep_best and main:
                checkpoint.save_weights(self.best_file, self.job.assembled.trained_state())
        else:
            place.stale += 1

    def stop(self, log: TrainingLog, source: TrainingTask, reason: str, items: Sequence[int]) -> None:
        """Raise, naming step and examples; the log has all of them."""
        owners = source.features[sorted(items)]["example"]
        ids = list(dict.fromkeys(source.example_ids[owner] for owner in owners))
        log.add(self.place.step + 1, stopped=reason, examples=ids)
        shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more (see log.jsonl)" if len(ids) > 8 else "")
        raise TrainingError(
            f"{self.job.description}: {reason} at step {self.place.step + 1}, examples {shown}",
            remedy="lower learning_rate, or use --precision fp32",
        )


def _optimizer(
    parameters: dict[str, Tensor], assembled: SetupModel, config: TrainingConfig
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


BUCKET = 2**24
"""Numbers that the processes add up at once: 64 MiB in float32."""


def _add_up(parameters: Sequence[Tensor]) -> None:
    """Replace gradients by their sums over all processes; one that a process lacks counts as zero there."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    bucket: list[Tensor] = []
    for place, parameter in enumerate(parameters):
        assert parameter.grad is not None
        bucket.append(parameter.grad)
        if place == len(parameters) - 1 or sum(map(torch.numel, bucket)) >= BUCKET:
            flat = distributed.all_reduce(torch.cat([gradient.reshape(-1) for gradient in bucket]))
            for gradient, own in zip(bucket, flat.split([item.numel() for item in bucket]), strict=True):
                gradient.copy_(own.view_as(gradient))
            bucket = []
