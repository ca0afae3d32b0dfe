"""Options with which a run stays below a memory budget, by forecast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adaptrans.errors import ConfigError
from adaptrans.modeling.efficiency.memory_case import Case, bytes_of
from adaptrans.modeling.efficiency.memory_estimation import forecast, most_items
from adaptrans.modeling.efficiency.vocab_trimming import tokens_of
from adaptrans.modeling.heads import HEADS
from adaptrans.runs.train import TrainSpec
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.utils.progress import progress

if TYPE_CHECKING:
    from datasets import Dataset


ENOUGH = 512
"""Padded tokens at once from which on smaller parts are preferred to computing activations again: below, a
step takes longer than the third that it costs to compute them again."""


@dataclass(frozen=True)
class Fit:
    """One way to train, the padded tokens that fit at once, and whether no more would ever come."""

    precision: str
    recomputed: bool
    tokens: int
    whole: bool


def within_budget(
    spec: TrainSpec, datasets: Sequence[Dataset], precision: str
) -> tuple[TrainingConfig, str, str | None]:
    """The options of a run, and its precision, such that its forecast stays below the budget.

    Options that were given are kept. In this order: a cut vocabulary (where that changes no result), fewer
    tokens at once, activations computed again, bf16.

    Args:
        spec: The run.
        datasets: The encoded training data of its tasks.
        precision: What the run's precision stands for on its device.

    Returns:
        The options, the precision, and what was chosen in words; None without a budget.

    Raises:
        ConfigError: If the budget is too small for a single input.
    """
    config = spec.config
    if config.memory_budget is None:
        return config, precision, None
    budget = bytes_of(config.memory_budget)
    if spec.whole_model and config.trim_vocabulary is None and not config.weight_decay:
        config = config.model_copy(update={"trim_vocabulary": True})
    trims = config.trims(spec.whole_model)
    rows = len(tokens_of(datasets, spec.workspace.backbone.vocabulary)) if trims else None
    cases = {
        _as_it_is(
            replace(part, config=config).memory_case(_named(precision)), config, max(lengths), rows
        ): max(lengths)
        for part, lengths in zip(spec.parts, (features["length"] for features in datasets), strict=True)
    }
    found = _best(cases, list(_ways(config, precision)), budget)
    if found is None:
        again = config.gradient_checkpointing is not False
        smallest = [replace(case, items=1, checkpointing=again) for case in cases]
        least = max(forecast(case).peak for case in smallest)
        raise ConfigError(
            f"{spec.reference} ({spec.setup}) takes {least / 1e9:.2f} GB for one input of "
            f"{max(cases.values())} pieces, and memory_budget is {config.memory_budget}",
            remedy="give more, or a smaller max_length, an adapter setup or a smaller backbone",
        )
    tokens = config.tokens_per_batch if found.whole else max(16, found.tokens)
    changes = {
        "tokens_per_batch": tokens,
        "gradient_checkpointing": found.recomputed or config.gradient_checkpointing,
    }
    told = f"{tokens} padded tokens at once in {found.precision}" + (
        ", activations computed again" if found.recomputed else ""
    )
    return config.model_copy(update=changes), found.precision, f"memory_budget {config.memory_budget}: {told}"


def _named(precision: str) -> Literal["fp32", "bf16"]:
    return "bf16" if precision == "bf16" else "fp32"


def _as_it_is(case: Case, config: TrainingConfig, length: int, rows: int | None) -> Case:
    """A case with the length and the pieces of the data at hand, and as many inputs as may come at once."""
    items = min(config.batch_size, -(-config.tokens_per_batch // length))
    # The length of an input with choices is that of all of them.
    head = HEADS[case.head]
    pieces = length // case.labels if head.picks_rows else length
    return replace(case, items=items, length=pieces, vocabulary=None if head.fills_masks else rows)


def _ways(config: TrainingConfig, precision: str) -> Iterator[tuple[str, bool]]:
    """Precision, and whether activations are computed again; what costs least first."""
    precisions = [precision]
    if config.precision == "auto" and precision == "fp32":
        precisions.append("bf16")
    asked = config.gradient_checkpointing
    again = [False, True] if asked == "auto" else [asked is True]
    yield from ((one, recomputed) for one in precisions for recomputed in again)


def _best(cases: Mapping[Case, int], ways: Sequence[tuple[str, bool]], budget: int) -> Fit | None:
    """The first way that fits well, or else the one that fits most; None where no input fits.

    Args:
        cases: The tasks, and the length of the longest input of each.
        ways: Precision, and whether activations are computed again.
        budget: Bytes.
    """
    found: list[Fit] = []
    with progress("forecast of memory", len(ways)) as meter:
        for precision, recomputed in ways:
            own = {
                replace(case, precision=precision, checkpointing=recomputed): cases[case] for case in cases
            }
            items = {case: most_items(case, budget) for case in own}
            tokens = min(items[case] * length for case, length in own.items())
            whole = all(items[case] >= case.items for case in own)
            found.append(Fit(precision, recomputed, tokens, whole))
            meter.advance()
            if tokens >= ENOUGH or whole:
                return found[-1]
    best = max(found, key=lambda fit: fit.tokens)
    return best if best.tokens else None
