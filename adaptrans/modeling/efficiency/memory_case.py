"""What a forecast of memory is asked about, and what it answers. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from adaptrans.errors import ConfigError
from adaptrans.modeling.backbone import Backbone, control_of
from adaptrans.modeling.encoder import ENCODERS, spec_of
from adaptrans.modeling.known_backbones import find

TRIMMED_ROWS = 40_000
"""Tokens that a trimmed vocabulary is taken to hold where the data are not known; an assumption of ours."""

HEAD_WIDTH = 64
"""Width of an attention head of XLM-R, base and large. Source: their `config.json`."""


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
        further: What else of its configuration decides it, `EncoderSpec.shape_keys`, as pairs.
    """

    depth: int
    width: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int = 514
    architecture: str = "xlm-roberta"
    further: tuple[tuple[str, Any], ...] = ()

    def as_config(self, vocabulary: int | None = None) -> dict[str, Any]:
        """The keys of `config.json`, with all rows of the embedding matrix or so many."""
        spec = ENCODERS[self.architecture]
        sizes = {
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
        named = {spec.key(name): value for name, value in sizes.items()}
        return {"model_type": self.architecture, **named, **plain(self.further)}


def plain(further: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Pairs of a `Shape` as keys of a configuration: tuples, which can be hashed, are its lists."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in further}


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
    """The shape of a backbone; of one that is not at hand, what its architecture's would be at its size."""
    path = backbone.path / "config.json"
    if path.is_file():
        return shape_from(json.loads(path.read_text(encoding="utf-8")))
    known = find(control_of(backbone.name) or backbone.name)
    if known is not None:
        return shape_from(known.config)
    spec = backbone.spec
    return Shape(
        backbone.depth,
        backbone.width,
        backbone.width // HEAD_WIDTH,
        4 * backbone.width,
        backbone.vocabulary,
        spec.positions_for(backbone.longest),
        backbone.architecture,
    )


def shape_from(config: Mapping[str, Any]) -> Shape:
    """The shape that a configuration says.

    Args:
        config: What `config.json` holds.
    """
    spec = spec_of(config)
    config = spec.counted(config)
    width = int(spec.value(config, "hidden_size"))
    positions = spec.value(config, "max_position_embeddings")
    further = {key: config[key] for key in spec.shape_keys if key in config}
    return Shape(
        int(spec.value(config, "num_hidden_layers")),
        width,
        int(spec.value(config, "num_attention_heads") or width // HEAD_WIDTH),
        int(spec.value(config, "intermediate_size") or 4 * width),
        int(spec.value(config, "vocab_size")),
        int(positions or spec.positions),
        spec.architecture,
        tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in further.items()),
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
