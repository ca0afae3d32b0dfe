"""What memory a training run takes, from its inputs. Torch-free until a forecast is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from adaptrans.models.memory import TRIMMED_ROWS, Case, shape_of
from adaptrans.runs.specs import TrainSpec

HEADS: Mapping[str, str] = {"span_qa_null": "span_qa", "mlm": "mlm"}
"""Head types by the kinds that are not called as theirs."""


def case_of(spec: TrainSpec, precision: Literal["fp32", "bf16"] = "fp32") -> Case:
    """The forward and backward pass of a run that takes the most: all inputs as long as they may be.

    Args:
        spec: The run.
        precision: What `auto` stands for.
    """
    shape = shape_of(spec.workspace.backbone)
    config, length = spec.config, spec.max_length
    choices = 2 if spec.task.kind == "multiple_choice" else 1
    at_once = max(1, config.tokens_per_batch // (length * choices))
    labels = {"multiple_choice": choices, "passage_ranking": shape.width}
    case = Case(
        shape,
        setup=str(spec.setup),
        method=spec.method,
        head=HEADS.get(spec.task.kind, spec.task.kind),
        labels=labels.get(spec.task.kind, max(2, len(spec.task.labels))),
        items=min(config.batch_size, at_once),
        length=min(length, shape.positions - 2),
        precision=precision if config.precision == "auto" else config.precision,
        checkpointing=config.checkpointing is True,
        quantise=config.quantise,
        vocabulary=TRIMMED_ROWS if config.trims(spec.whole_model) else None,
    )
    return replace(case, vocabulary=None) if case.head == "mlm" else case
