"""The options of training and evaluation: one schema each for YAML, command line and API. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from adaptrans.data.mixing import CAP, SMOOTHING
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.modeling.efficiency.memory_case import bytes_of
from adaptrans.utils.renames import OPTIONS, current

FULL_LEARNING_RATE = 2e-5
"""XTREME's rate for XLM-R base (google-research/xtreme `scripts/train_xnli.sh`, `train_panx.sh`)."""

ADAPTER_LEARNING_RATE = 1e-4
"""The adapters library's rate for adapter training (adapter-hub/adapters `docs/training.md`)."""

FUSION_LEARNING_RATE = 5e-5
"""The adapters library's rate for fusion training (adapter-hub/adapters `docs/training.md`)."""

FUSION_REGULARIZATION = 0.01
"""Weight of the value matrices' distance to the identity (adapters `get_fusion_regularization_loss`)."""


AS_TRAINED = "backbone"
"""What `text_prefix` says for the prefixes that the backbone was trained with."""

PREFIX = "What is put before every text, such as 'query: '; backbone: what it was trained with; or nothing."

PREFIXES = ("text_prefix", "passage_prefix")
"""Options that stand in the key of a run as what they come to, and only where that is something."""

WITHOUT_EFFECT = (
    "gradient_checkpointing",
    "memory_budget",
    "checkpoint_seconds",
    "log_every",
    "frozen_prefix_gib",
)
"""Options that change no result, and so have no part in a run's key."""


class TrainingConfig(BaseModel):
    """How a piece is trained; every value is recorded with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float | None = Field(
        None, gt=0, description="Peak rate; by default 2e-5 for whole models (xtreme), 1e-4 for adapters."
    )
    fusion_learning_rate: float | None = Field(
        None,
        gt=0,
        description="Peak rate of a fusion; by default learning_rate if that is given, else 5e-5 (adapters).",
    )
    fusion_regularization: float = Field(
        FUSION_REGULARIZATION,
        ge=0,
        description="Weight of the fusion's squared distance to the identity in the loss (adapters: 0.01).",
    )
    mixing: Literal["proportional", "uniform"] = Field(
        "proportional", description="Multi-task runs: tasks drawn by size, or all alike."
    )
    mixing_cap: int | None = Field(
        CAP, ge=1, description="Multi-task runs: size beyond which a task is not drawn more often."
    )
    mixing_temperature: float = Field(
        1.0, gt=0, description="Multi-task runs: draws by size ** (1 / temperature), as jiant does."
    )
    mixing_weights: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="Multi-task runs: how often each task is drawn, by name, instead of by size."
    )
    mixing_shares: dict[str, Annotated[float, Field(gt=0, lt=1)]] | None = Field(
        None,
        description="Multi-task runs: share of the steps of some tasks, by name; the others divide the rest.",
    )
    language_smoothing: float = Field(
        SMOOTHING,
        ge=0,
        le=1,
        description="Text: languages are drawn by size ** smoothing; 1 by size, 0 all alike (XLM-R: 0.3).",
    )
    epochs: float = Field(3.0, gt=0, description="Passes over the training data.")
    max_steps: int | None = Field(None, ge=1, description="Stop after this many optimizer steps.")
    batch_size: int = Field(32, ge=1, description="Model inputs per optimizer step (xtreme: 32).")
    tokens_per_batch: int = Field(
        8192, ge=16, description="Padded tokens per forward pass; larger steps accumulate gradients."
    )
    max_length: int | None = Field(None, ge=16, description="Pieces per input; by default the task's own.")
    text_prefix: str = Field("", description=f"{PREFIX} In training, and in answering.")
    passage_prefix: str | None = Field(
        None, description="Ranking: what is put before passages; by default as text_prefix says."
    )
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps over which the rate rises.")
    warmup_steps: int | None = Field(
        None, ge=0, description="Steps over which the rate rises, instead of a share of them."
    )
    lr_scheduler: Literal["linear", "none"] = Field("linear", description="How the rate falls after warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's; not of what is neutral at another value.")
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW's epsilon (jiant-stilts: 1e-8).")
    max_grad_norm: float = Field(1.0, gt=0, description="Largest gradient norm (jiant-stilts: 1.0).")
    evaluate_every: int | None = Field(
        None, ge=1, description="Steps between scores on the dev set; by default once per epoch."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many dev scores without a better one; by default never."
    )
    keep_best: bool = Field(True, description="End with the weights of the best dev score, head included.")
    select: Literal["source_dev", "target_dev"] = Field(
        "source_dev",
        description="Target runs: select on dev sets of the training or the test languages (not zero-shot).",
    )
    freeze_embeddings: bool = Field(
        False, description="Whole model: leave the embeddings as they are, also of words not trained on."
    )
    trim_vocabulary: bool | None = Field(
        None,
        description="Load the embeddings of the pieces in the data alone: same results; adapters: on.",
    )
    limit_train: int | None = Field(
        None, ge=1, description="Train on so many examples of each language, a fixed random part."
    )
    limit_dev: int | None = Field(
        None, ge=1, description="Select on so many examples of each language, a fixed random part."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device multiplies it in hardware."
    )
    quantize: Literal["none", "8bit", "4bit"] = Field(
        "none", description="Adapters: linear layers of the frozen encoder in so many bits (bitsandbytes)."
    )
    frozen_prefix_cache: Literal["off", "fp32", "bf16", "fp16"] = Field(
        "off",
        description="States below the first adapter (leave_out) computed once, without dropout, stored so.",
    )
    frozen_prefix_gib: float = Field(
        50.0, ge=0, description="Disk that the stored states of a data set may take; beyond it none are."
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="Compute activations again instead of keeping them; auto: where one input does not fit.",
    )
    memory_budget: str | None = Field(
        None, description="As 8GB: forecast below it by fewer tokens at once, gradient checkpointing, bf16."
    )
    checkpoint_seconds: float = Field(60.0, ge=0, description="Time between checkpoints.")
    log_every: int = Field(10, ge=1, description="Steps between lines of the log.")

    @field_validator("memory_budget")
    @classmethod
    def _an_amount(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                bytes_of(value)
            except ConfigError as problem:
                raise PydanticCustomError("amount", "write for instance 8GB or 500MiB") from problem
        return value

    def rate(self, whole_model: bool) -> float:
        """The peak learning rate, the method's own where none is given."""
        return self.learning_rate or (FULL_LEARNING_RATE if whole_model else ADAPTER_LEARNING_RATE)

    def trims(self, whole_model: bool) -> bool:
        """Whether only the embeddings of the pieces in the data are loaded."""
        return not whole_model if self.trim_vocabulary is None else self.trim_vocabulary

    @property
    def spares_memory(self) -> bool:
        """Whether little memory was asked for, be it at the price of time."""
        return self.gradient_checkpointing is True or self.memory_budget is not None

    @property
    def fusion_rate(self) -> float:
        """The peak learning rate of a fusion."""
        return self.fusion_learning_rate or self.learning_rate or FUSION_LEARNING_RATE

    def resolved(self, whole_model: bool) -> TrainingConfig:
        """The same options with every rate filled in."""
        rates = {"learning_rate": self.rate(whole_model), "fusion_learning_rate": self.fusion_rate}
        return self.model_copy(update=rates)

    def inputs(
        self, whole_model: bool, fusion: bool = False, mix: bool = False, text: bool = False
    ) -> dict[str, Any]:
        """What enters the key of a run: all that can change its result.

        Options of a fusion, of a mix and of plain text have no part in runs without one, whose keys they
        leave alone.
        """
        values = self.resolved(whole_model).model_dump(exclude={*WITHOUT_EFFECT, *PREFIXES})
        parts = (("fusion_", fusion), ("mixing", mix), ("language_smoothing", text))
        left_out = tuple(prefix for prefix, used in parts if not used)
        if not (whole_model and self.freeze_embeddings):
            left_out += ("freeze_",)
        # A cut matrix changes a result only where decay would shrink the rows outside it.
        if not (whole_model and self.trims(True) and self.weight_decay and not self.freeze_embeddings):
            left_out += ("trim_vocabulary",)
        return {name: value for name, value in values.items() if not name.startswith(left_out)}


class Select(BaseModel):
    """The half of one language's sentences on which `layer: best` chooses; the other half is scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str = Field(description="Code of the language.")
    half: Literal["first", "second"] = Field("first", description="Which half of its sentences.")

    def chosen(self, number: int) -> range:
        """Places of the half among so many sentences.

        Example:
            >>> Select(language="de").chosen(5), Select(language="de", half="second").chosen(5)
            (range(0, 2), range(2, 5))
        """
        return range(number // 2) if self.half == "first" else range(number // 2, number)

    def scored(self, number: int) -> range:
        """Places of the other half.

        Example:
            >>> Select(language="de").scored(5)
            range(2, 5)
        """
        other = self.model_copy(update={"half": "second" if self.half == "first" else "first"})
        return other.chosen(number)


class EvaluationConfig(BaseModel):
    """How a setup is evaluated; every value is recorded with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str = Field("test", description="Which split is scored.")
    limit: int | None = Field(
        None, ge=1, description="Score so many examples of each language, a fixed random part."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device multiplies it in hardware."
    )
    tokens_per_batch: int = Field(8192, ge=16, description="Padded tokens per forward pass.")
    max_length: int | None = Field(None, ge=16, description="Pieces per input; by default the task's own.")
    layer: Annotated[int, Field(ge=0)] | Literal["best"] | None = Field(
        None,
        description="Retrieval: hidden_states[layer], 0 = embeddings, or best; 14 of 24 or the backbone's.",
    )
    select: Select | None = Field(None, description="Retrieval: where layer: best chooses the layer.")
    pooling: Literal["mean", "cls"] = Field("mean", description="Retrieval: all tokens, or the first one.")
    text_prefix: str = Field("", description=f"Retrieval, mining: {PREFIX} Of heads: as in training.")
    threshold: Literal["dev", "own"] | float = Field(
        "dev", description="Mining: margin of a pair, or where it is tuned: dev, or own, the scored split."
    )
    trim_vocabulary: bool = Field(
        True, description="Load the embeddings of the pieces in the data alone; the same results."
    )
    quantize: Literal["none", "8bit", "4bit"] | None = Field(
        None, description="Linear layers of the encoder in so many bits; by default as in training."
    )
    perturb: str | None = Field(
        None, description="Change the test set: empty_premise, typos:10, ...; see docs/how-to/robustness.md."
    )
    samples: int = Field(1000, ge=100, description="Resamples of the bootstrap interval.")

    @model_validator(mode="after")
    def _best_needs_a_half(self) -> EvaluationConfig:
        if (self.layer == "best") != (self.select is not None):
            raise ValueError("layer: best and select belong together, as select: {language: de, half: first}")
        return self


Config = TypeVar("Config", bound=BaseModel)


DEFAULT = "default"
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Layer:
    """Options that stand in one place.

    Args:
        origin: The place, in words.
        values: The options; None counts as not given.
    """

    origin: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved(Generic[Config]):
    """A configuration, and the place of each option that is not a default, by name."""

    config: Config
    origins: Mapping[str, str]

    def origin(self, name: str) -> str:
        """Where an option came from."""
        return self.origins.get(name, DEFAULT)


def resolve(model: type[Config], layers: Sequence[Layer], where: str) -> Resolved[Config]:
    """One configuration from layers of options, later ones winning.

    Old names of options are taken as the new ones, see `adaptrans.utils.renames`.

    Args:
        model: What they are options of.
        layers: The layers.
        where: What the options belong to, for messages.

    Raises:
        UnknownNameError: If an option does not exist; the nearest is suggested.
        ConfigError: If a value is impossible; names the field and what is allowed.

    Example:
        >>> file = Layer("file", {"epochs": 5, "batch_size": 8})
        >>> found = resolve(TrainingConfig, [file, Layer("command line", {"epochs": 1})], "training")
        >>> found.config.epochs, found.origin("epochs"), found.origin("batch_size"), found.origin("warmup")
        (1.0, 'command line', 'file', 'default')
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        given = {name: value for name, value in current(layer.values, OPTIONS).items() if value is not None}
        values |= given
        origins |= dict.fromkeys(given, layer.origin)
    for name in values:
        if name not in model.model_fields:
            raise UnknownNameError(f"option in {where}", name, model.model_fields)
    try:
        return Resolved(model.model_validate(values), origins)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        raise ConfigError(f"{where}: {field} = {first['input']!r}: {reason}") from None


def training_config(*layers: Mapping[str, Any], where: str = "training") -> TrainingConfig:
    """Training options from layers; see `resolve`."""
    return resolve(TrainingConfig, [Layer(where, layer) for layer in layers], where).config


def evaluation_config(*layers: Mapping[str, Any], where: str = "evaluation") -> EvaluationConfig:
    """Evaluation options from layers; see `resolve`."""
    return resolve(EvaluationConfig, [Layer(where, layer) for layer in layers], where).config
