"""Keys of an encoder's `config.json`: which can change an output, and which name code to run. Torch-free.

Whatever is not known to be harmless counts, so that a key that nobody thought of makes another encoder, and
never the old result of one that differs.

Transformers before 5.3.0, with the package `kernels` installed, fetches and runs the code of a repository
that the configuration of a model names as its attention, whatever `trust_remote_code` says: CVE-2026-4372.
Here `sdpa` computes whatever a configuration says; the name of a repository is refused before anything is
loaded, and in a shared artifact the key itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adaptrans.errors import ArtifactError

ESSENTIALS = (
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "position_embedding_type",
    "pad_token_id",
)
"""What makes the shape and the arithmetic of the encoder; counted also where it is not said."""

DEFAULTS: Mapping[str, Any] = {
    # Training: dropout of the encoder, of heads and fusions; the spread of fresh weights of a head.
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "initializer_range": 0.02,
    # The arithmetic.
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "tie_encoder_decoder": False,
    "tie_word_embeddings": True,
    "chunk_size_feed_forward": 0,
    "pruned_heads": {},
    "gradient_checkpointing": False,
    # What a forward pass answers with, which also decides how attention is computed.
    "return_dict": True,
    "output_attentions": False,
    "output_hidden_states": False,
    "torchscript": False,
    # Which tokenizer reads the files where its own configuration does not say so.
    "tokenizer_class": None,
}
"""Keys that count where their value is not this one, which XLM-R has without them.

Source: `XLMRobertaConfig` and `PretrainedConfig` of transformers 4.57; `gradient_checkpointing` is older.
"""

RETRIEVAL_LAYER = "retrieval_layer"
"""The layer whose vectors find translations best; a key of this package, not of transformers."""

TEXT_PREFIXES = "text_prefixes"
"""What an encoder was trained to find before queries and before passages; a key of this package."""

_NAMES = "a name or a version, read by nobody who computes"
_TYPES = "weights are read with the types of their file and computed in float32"
_GENERATION = "for generating text, which an encoder does not"
_GENERATION_KEYS = (
    "bad_words_ids", "begin_suppress_tokens", "decoder_start_token_id", "diversity_penalty", "do_sample",
    "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty",
    "forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length", "min_length",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "output_scores",
    "prefix", "remove_invalid_values", "repetition_penalty", "return_dict_in_generate", "suppress_tokens",
    "temperature", "top_k", "top_p", "typical_p",
)  # fmt: skip
_HEAD = "of a head that is not loaded; ours have labels of their own"
_STRAY = "of adapters saved in the same folder; taken out before a model is built"
_OTHER = "of TensorFlow"

HARMLESS: Mapping[str, str] = {
    **dict.fromkeys(("_name_or_path", "architectures", "transformers_version", "adapters_version"), _NAMES),
    **dict.fromkeys(("dtype", "torch_dtype"), _TYPES),
    "adaptrans": "how an exported model is read, for its users",
    "_attn_implementation_autoset": "how attention is computed is asked for whenever a model is made",
    **dict.fromkeys(("use_cache", "output_past"), "keys and values of the past, which only decoders keep"),
    **dict.fromkeys(
        ("bos_token_id", "eos_token_id", "sep_token_id"), "the tokenizer puts these pieces in, by its own ids"
    ),
    **dict.fromkeys(
        ("finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params"),
        _HEAD,
    ),
    **dict.fromkeys(("adapters", "adapter_fusion_models", "prediction_heads"), _STRAY),
    **dict.fromkeys(("tf_legacy_loss", "use_bfloat16"), _OTHER),
    **dict.fromkeys(_GENERATION_KEYS, _GENERATION),
    TEXT_PREFIXES: "read where an option asks for them, and then they stand in the key",
    RETRIEVAL_LAYER: "a default of evaluations, in whose keys the layer itself stands",
}
"""Keys that cannot change an output, each with the reason."""

DECODING = ("is_decoder", "add_cross_attention")
"""Keys that make a decoder of the encoder: a piece no longer sees those after it."""


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """All of a configuration that can change an output.

    Args:
        config: What `config.json` holds.

    Returns:
        The essentials, and what else is neither harmless nor as it is in XLM-R anyway.

    Example:
        >>> base = {"model_type": "xlm-roberta", "use_cache": True, "hidden_dropout_prob": 0.1}
        >>> deciding(base) == deciding({"model_type": "xlm-roberta"})
        True
        >>> deciding({**base, "hidden_dropout_prob": 0.5})["hidden_dropout_prob"]
        0.5
    """
    essential = {key: config.get(key) for key in ESSENTIALS}
    further = {
        key: value
        for key, value in config.items()
        if key not in essential and key not in HARMLESS and not (key in DEFAULTS and value == DEFAULTS[key])
    }
    return essential | further


ATTENTION_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
PLAIN = re.compile(r"[A-Za-z0-9_|]+")
"""A name of an implementation that transformers itself has, such as `eager`; a repository has a slash."""


def named_attention(values: Any) -> Iterator[tuple[str, Any]]:
    """Keys that name an attention implementation, at every depth, with what they name.

    Example:
        >>> list(named_attention({"a": [{"_attn_implementation": "eager"}], "attn_implementation": None}))
        [('_attn_implementation', 'eager'), ('attn_implementation', None)]
    """
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key in ATTENTION_KEYS:
                yield key, value
            else:
                yield from named_attention(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from named_attention(value)


def refuse_repositories(config: Mapping[str, Any], what: str) -> None:
    """Refuse the configuration of an encoder that names a repository as its attention.

    A name that transformers itself has is left alone: it has no effect.

    Args:
        config: The configuration.
        what: What it belongs to, for the message.

    Raises:
        ArtifactError: With the key.
    """
    for key, value in named_attention(config):
        if value is not None and not (isinstance(value, str) and PLAIN.fullmatch(value)):
            raise ArtifactError(
                f"{what}: config.json names the attention {str(value)[:80]!r}, which transformers would fetch"
                " and run",
                remedy=f"delete the key {key!r}, if you trust the rest; sdpa is used whatever it says",
            )
