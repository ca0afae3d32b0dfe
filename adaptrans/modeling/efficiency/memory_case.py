"""What a forecast of memory is asked about, and what it answers. Torch-free."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from adaptrans.errors import ConfigError
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.encoder import ENCODERS

TRIMMED_ROWS = 40_000

HEAD_WIDTH = 64


@dataclass(frozen=True)
class Shape:
    """What of an encoder decides how much memory it takes.

    Args:
        depth: Layers.
        width: Hidden size.
        heads: Attention heads.
        intermediate: Width inside of a layer.
        vocabulary: Rows of the embedding matrix.
        positions: Rows of the position embeddings.
        architecture: Its `model_type`.
    """

    depth: int
    width: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int = 514
    architecture: str = "xlm-roberta"

    def as_config(self, vocabulary: int | None = None) -> dict[str, Any]:
        """The keys of `config.json`, with all rows of the embedding matrix or so many."""
        spec = ENCODERS[self.architecture]
        return {
            "model_type": self.architecture,
            "num_hidden_layers": self.depth,
            "hidden_size": self.width,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "vocab_size": min(vocabulary or self.vocabulary, self.vocabulary),
            "max_position_embeddings": self.positions,
            "type_vocab_size": 2 if spec.pair_types else 1,
            "layer_norm_eps": 1e-5,
            "pad_token_id": spec.pad,
        }


@dataclass(frozen=True)
class Case:
    """One way to train, or to answer.

    Args:
        shape: The encoder.
        setup: A setup expression; frozen adapters in it count as of the same method.
        method: Adapter method.
        head: Type of the head, as in `adaptrans.modeling.heads`.
        labels: Labels of the head, or choices.
        items: Inputs in one forward pass: of a step, those that are computed at once.
        length: Pieces of each.
        precision: `fp32` or `bf16`.
        checkpointing: Whether activations are computed again instead of kept.
        vocabulary: Rows of the embedding matrix that are loaded; None for all.
        training: False for answering alone.
        quantize: `8bit` or `4bit` for the frozen encoder's linear layers, or `none`.
    """

    shape: Shape
    setup: str = "adapter"
    method: str = "seq_bn"
    head: str = "classification"
    labels: int = 3
    items: int = 32
    length: int = 128
    precision: str = "fp32"
    checkpointing: bool = False
    vocabulary: int | None = None
    training: bool = True
    quantize: str = "none"


@dataclass(frozen=True)
class Forecast:
    """Bytes, at the moment when most are in use.

    Args:
        weights: Parameters and buffers of the model.
        gradients: Gradients of what is trained.
        optimizer: AdamW's two moments of what is trained.
        activations: The rest of what is alive then: what is kept for the gradients, and what comes and goes.
        overhead: What operations take inside of themselves, and what lies between tensors.
        trained: Number of trained parameters.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    overhead: int
    trained: int

    @property
    def peak(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.overhead

    def as_json(self) -> dict[str, int]:
        """The parts and their sum."""
        return {**asdict(self), "peak": self.peak}


def shape_of(backbone: Backbone) -> Shape:
    """The shape of a backbone; of one that is not at hand, what XLM-R's would be at its depth and width."""
    path = backbone.path / "config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return Shape(
        backbone.depth,
        backbone.width,
        config.get("num_attention_heads", backbone.width // HEAD_WIDTH),
        config.get("intermediate_size", 4 * backbone.width),
        backbone.vocabulary,
        config.get("max_position_embeddings", backbone.spec.positions_for(backbone.longest)),
        backbone.architecture,
    )


def bytes_of(text: str) -> int:
    """A size as it is written.

    Raises:
        ConfigError: If it is none.

    Example:
        >>> bytes_of("8GB"), bytes_of("512 MiB")
        (8000000000, 536870912)
    """
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        value = int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except ValidationError:
        value = 0
    # A bare number is more likely a size in GB whose unit was forgotten than one in bytes.
    if value <= 0 or not text.strip()[-1:].isalpha():
        raise ConfigError(f"{text!r} is no amount of memory", remedy="write for instance 8GB or 500MiB")
    return value
