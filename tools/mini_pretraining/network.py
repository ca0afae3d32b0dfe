"""The encoder that is pretrained: made new or taken over, and run layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.modeling.backbone import check_encoder
from adaptrans.modeling.config_keys import refuse_repositories
from mini_pretraining.config import PretrainConfig, Shape

EXPORTED_DROPOUT = 0.1
"""Dropout written into the exported configuration, for fine-tuning. Source: XLM-R's config.json."""


def make(config: PretrainConfig, vocabulary: int) -> Any:
    """A new XLM-R with a masked-language-model head, its weights drawn from the seed.

    Attention is the plain one: without dropout its backward pass is a third faster on
    processors than the fused one.

    Args:
        config: Shape, seed and dropout.
        vocabulary: Ids of the tokenizer.
    """
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    shape = config.model
    torch.manual_seed(config.seed)
    return XLMRobertaForMaskedLM(
        XLMRobertaConfig(
            vocab_size=vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.feedforward,
            max_position_embeddings=shape.positions + 2,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            attn_implementation="eager",
        )
    )


@torch.no_grad()
def start_bias(model: Any, counts: Tensor) -> None:
    """Let a new model begin with guessing each token as often as it occurs.

    Args:
        model: Its output bias is replaced.
        counts: Occurrences of each id, shape (vocabulary,).
    """
    shares = (counts.float() + 1.0) / (counts.float() + 1.0).sum()
    model.lm_head.bias.copy_(shares.log())


def take_over(config: PretrainConfig) -> Any:
    """An existing XLM-R with its masked-language-model head.

    Raises:
        ArtifactError: If it cannot be loaded or is of another architecture.
    """
    from transformers import AutoConfig, XLMRobertaForMaskedLM

    try:
        found = AutoConfig.from_pretrained(config.base)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"cannot load {config.base}: {str(error).splitlines()[0]}",
            remedy="name a folder with config.json",
        ) from None
    if found.model_type != "xlm-roberta":
        raise ArtifactError(
            f"{config.base} is a {found.model_type}", remedy="pretraining goes on from XLM-R models only"
        )
    check_encoder(found.to_dict(), str(config.base))
    named = {"attn_implementation": found._attn_implementation}
    refuse_repositories({**found.to_dict(), **named}, str(config.base))
    torch.manual_seed(config.seed)
    return XLMRobertaForMaskedLM.from_pretrained(
        config.base,
        attn_implementation="eager",
        torch_dtype=torch.float32,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
    )


def shape_of(model: Any) -> Shape:
    """Shape of a model, as the configuration writes it."""
    found = model.config
    return Shape(
        layers=found.num_hidden_layers,
        width=found.hidden_size,
        heads=found.num_attention_heads,
        feedforward=found.intermediate_size,
        positions=found.max_position_embeddings - found.pad_token_id - 1,
    )


def check_fit(config: PretrainConfig, model: Any, vocabulary: int, padding: int) -> None:
    """Refuse a model whose vocabulary, padding, positions or depth do not fit the configuration.

    Args:
        config: The configuration.
        model: What it goes on from.
        vocabulary: Tokens of the tokenizer.
        padding: Id of its padding token.

    Raises:
        ConfigError: Naming the field.
    """
    shape = shape_of(model)
    if model.config.pad_token_id != padding:
        raise ConfigError(
            f"from: the tokenizer pads with {padding}, the model's config.json has pad_token_id "
            f"{model.config.pad_token_id}",
            remedy="put the id that the model was trained with into config.json",
        )
    if model.config.vocab_size < vocabulary:
        raise ConfigError(
            f"from: the tokenizer has {vocabulary} ids, the model {model.config.vocab_size} rows",
            remedy="name a folder whose tokenizer and model belong together",
        )
    longest = max(stage.length for stage in config.lengths)
    if longest > shape.positions:
        raise ConfigError(f"lengths: {longest} is beyond the {shape.positions} positions of {config.base}")
    for name in ("contrastive", "words", "links"):
        layer = getattr(config.objectives, name).layer
        if layer and layer > shape.layers:
            raise ConfigError(
                f"objectives.{name}.layer: {layer}, but {config.base} has {shape.layers} layers"
            )


def pooled_layer(layer: int | None, layers: int) -> int:
    """The layer that is pooled: the one asked for, or three quarters up, rounded.

    Example:
        >>> pooled_layer(None, 12), pooled_layer(None, 4), pooled_layer(5, 12)
        (9, 3, 5)
    """
    return layer or max(1, round(layers * 0.75))


def layer_states(
    model: Any, ids: Tensor, attention: Tensor, *, shift: int = 0, layers: int | None = None
) -> Iterator[Tensor]:
    """Embeddings, then the output of each of the first layers of the encoder.

    Args:
        model: An XLM-R with its head.
        ids: Token ids, shape (sequences, tokens).
        attention: True = real token, same shape.
        shift: Added to every position.
        layers: How many layers are run; none = all.

    Yields:
        Shape (sequences, tokens, width).
    """
    encoder = model.roberta
    # XLM-R counts positions from the id of the padding + 1, and gives padding its own position.
    first = model.config.pad_token_id + 1 + shift
    places = torch.arange(first, first + ids.shape[1], device=ids.device).expand_as(ids)
    places = places.masked_fill(~attention, model.config.pad_token_id)
    hidden = encoder.embeddings(input_ids=ids, position_ids=places)
    bias = None
    if not bool(attention.all()):
        bias = torch.zeros(attention.shape, dtype=hidden.dtype, device=hidden.device)
        bias = bias.masked_fill(~attention, torch.finfo(torch.bfloat16).min)[:, None, None, :]
    yield hidden
    for layer in encoder.encoder.layer[:layers]:
        hidden = layer(hidden, attention_mask=bias)[0]
        yield hidden


def hidden_states(
    model: Any, ids: Tensor, attention: Tensor, *, shift: int = 0, layers: int | None = None
) -> Tensor:
    """Output of the last of the layers that `layer_states` runs, shape (sequences, tokens, width)."""
    *_, last = layer_states(model, ids, attention, shift=shift, layers=layers)
    return last


def mean_pool(hidden: Tensor, attention: Tensor) -> Tensor:
    """Average token vectors of each sentence, special tokens included.

    Args:
        hidden: Shape (sentences, tokens, width).
        attention: True = real token, shape (sentences, tokens).

    Returns:
        Shape (sentences, width), float32.
    """
    mask = attention.unsqueeze(-1).float()
    return (hidden.float() * mask).sum(1) / mask.sum(1)
