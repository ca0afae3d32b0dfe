"""The options of training and evaluation: one schema each for YAML, command line and API. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptrans.errors import ConfigError, UnknownNameError

FULL_LEARNING_RATE = 2e-5
"""XTREME's rate for XLM-R base (google-research/xtreme `scripts/train_xnli.sh`, `train_panx.sh`)."""

ADAPTER_LEARNING_RATE = 1e-4
"""The adapters library's rate for adapter training (adapter-hub/adapters `docs/training.md`)."""


class TrainingConfig(BaseModel):
    """How a piece is trained; every value is recorded with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float | None = Field(
        None, gt=0, description="Peak rate; by default 2e-5 for whole models (xtreme), 1e-4 for adapters."
    )
    epochs: float = Field(3.0, gt=0, description="Passes over the training data.")
    max_steps: int | None = Field(None, ge=1, description="Stop after this many optimiser steps.")
    batch_size: int = Field(32, ge=1, description="Model inputs per optimiser step (xtreme: 32).")
    tokens_per_batch: int = Field(
        8192, ge=16, description="Padded tokens per forward pass; larger steps accumulate gradients."
    )
    max_length: int | None = Field(None, ge=16, description="Pieces per input; by default the task's own.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps over which the rate rises.")
    decay: Literal["linear", "none"] = Field("linear", description="How the rate falls after the warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's, not for biases and layer norms.")
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW's epsilon (jiant-stilts: 1e-8).")
    clip: float = Field(1.0, gt=0, description="Largest gradient norm (jiant-stilts: 1.0).")
    evaluate_every: int | None = Field(
        None, ge=1, description="Steps between scores on the dev set; by default once per epoch."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many dev scores without a better one; by default never."
    )
    keep_best: bool = Field(True, description="End with the weights of the best dev score, head included.")
    limit_train: int | None = Field(
        None, ge=1, description="Train on so many examples, evenly spaced over the data."
    )
    limit_dev: int | None = Field(
        None, ge=1, description="Select on so many examples, evenly spaced over the data."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device multiplies it in hardware."
    )
    checkpoint_seconds: float = Field(60.0, ge=0, description="Time between checkpoints.")
    log_every: int = Field(10, ge=1, description="Steps between lines of the log.")

    def rate(self, whole_model: bool) -> float:
        """The peak learning rate, the method's own where none is given."""
        return self.learning_rate or (FULL_LEARNING_RATE if whole_model else ADAPTER_LEARNING_RATE)

    def inputs(self, whole_model: bool) -> dict[str, Any]:
        """What enters the key of a run: all that can change its result."""
        values = self.model_dump(exclude={"checkpoint_seconds", "log_every"})
        return {**values, "learning_rate": self.rate(whole_model)}


class EvaluationConfig(BaseModel):
    """How a setup is evaluated; every value is recorded with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str = Field("test", description="Which split is scored.")
    limit: int | None = Field(
        None, ge=1, description="Score so many examples of each language, evenly spaced over the data."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device multiplies it in hardware."
    )
    tokens_per_batch: int = Field(8192, ge=16, description="Padded tokens per forward pass.")
    max_length: int | None = Field(None, ge=16, description="Pieces per input; by default the task's own.")
    layer: int | None = Field(
        None, ge=0, description="Retrieval: hidden_states[layer], 0 = embeddings; 14 of 24 by default."
    )
    pooling: Literal["mean", "cls"] = Field("mean", description="Retrieval: all tokens, or the first one.")
    samples: int = Field(1000, ge=100, description="Resamples of the bootstrap interval.")


Config = TypeVar("Config", bound=BaseModel)


def layered(model: type[Config], *layers: Mapping[str, Any], where: str) -> Config:
    """One configuration from layers of options, later ones winning; None counts as not given.

    Raises:
        UnknownNameError: If an option does not exist; the nearest is suggested.
        ConfigError: If a value is impossible; names the field and what is allowed.

    Example:
        >>> layered(TrainingConfig, {"epochs": 5}, {"epochs": None, "batch_size": 16}, where="x").epochs
        5.0
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({name: value for name, value in layer.items() if value is not None})
    for name in merged:
        if name not in model.model_fields:
            raise UnknownNameError(f"option in {where}", name, model.model_fields)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {field} = {first['input']!r}", remedy=first["msg"].lower()) from None


def training_config(*layers: Mapping[str, Any], where: str = "training") -> TrainingConfig:
    """Training options from layers; see `layered`."""
    return layered(TrainingConfig, *layers, where=where)


def evaluation_config(*layers: Mapping[str, Any], where: str = "evaluation") -> EvaluationConfig:
    """Evaluation options from layers; see `layered`."""
    return layered(EvaluationConfig, *layers, where=where)
