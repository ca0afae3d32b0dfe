"""Architectures of encoders: all that differs from one to the next, in one entry each. Torch-free.

Everything else in this package works on any of them through its entry. A further encoder of BERT's form is
one entry here, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from adaptrans.errors import ConfigError, SetupError
from adaptrans.utils.registry import Registry

FEATURES: Mapping[str, str] = {
    "shared_layers": "computing the layers that several setups share once",
    "frozen_prefix": "keeping the outputs of frozen layers on disk",
    "cpu_attention": "the fast attention of a CPU",
    "gradient_checkpointing": "gradient checkpointing",
    "quantization": "a base in few bits",
    "vocab_trimming": "embeddings of the tokens in the data alone",
    "adapters_export": "an export for the adapters library",
}
"""What works on the inside of an encoder, in words for a message."""


@dataclass(frozen=True)
class PlainHead:
    """How transformers calls a head.

    Args:
        architecture: The class of the whole model.
        auto: The class that finds it.
        names: Layers of our head, by their place in it, and what they are called there.
        config: Further keys of its configuration.
    """

    architecture: str
    auto: str
    names: Mapping[int, str]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EncoderSpec:
    """One architecture.

    Args:
        architecture: `model_type` of its configuration.
        classes: What the names of its classes begin with, in transformers and in adapters.
        module: Its package in `transformers.models` and `adapters.models`.
        prefix: What holds the encoder in a model with a head.
        example: A hub name, for messages.
        lm_head: Tensors of the masked language model head: names in the adapters library, and in the file.
            The last matrix are the embeddings.
        plain_heads: Heads by type in transformers' own classes.
        pad: `pad_token_id` where the configuration does not say it.
        counts_from_padding: Whether positions count from behind the id of the padding, not from 0.
        positions: `max_position_embeddings` where the configuration does not say it.
        pair_types: Whether the second text of a pair has a token type of its own.
        embeddings: The word embeddings, from the encoder.
        layers: Its layers, from the encoder.
        config_names: Keys of BERT's configuration that are called otherwise in this one's.
        stack: The module that holds the layers, from the encoder; empty for the encoder itself.
        attention: The implementation that is asked for.
        pooler: Whether it has one, which feeds no head of ours.
        last_norm: Whether a norm behind the last layer is part of the last hidden state.
        lm_bare: Tensors of the masked language model head that may be missing, and are zero then.
        refused: Adapter methods that do not work on it.
        interface: For an encoder without classes in the adapters library, the fields of its
            `AdapterModelInterface`, by which the library hooks into any model; empty for the library's own
            entry. None where the library has classes.
        counted: Makes of a configuration one of the same sizes for counting alone, without what cannot be run
            on tensors without content.
        shape_keys: Keys of its configuration beside BERT's that decide how much memory it takes.
        former: Endings of tensors in old files, and what they are called now.
        features: What of `FEATURES` works on it.
    """

    architecture: str
    classes: str
    module: str
    prefix: str
    example: str
    lm_head: Mapping[str, str]
    plain_heads: Mapping[str, PlainHead]
    pad: int = 0
    counts_from_padding: bool = False
    positions: int = 512
    pair_types: bool = False
    embeddings: str = "embeddings.word_embeddings"
    layers: str = "encoder.layer"
    stack: str = "encoder"
    attention: str = "sdpa"
    pooler: bool = True
    last_norm: bool = False
    lm_bare: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    interface: Mapping[str, Any] | None = None
    config_names: Mapping[str, str] = field(default_factory=dict)
    counted: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    shape_keys: tuple[str, ...] = ()
    former: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset(FEATURES)

    def __post_init__(self) -> None:
        stray = self.features - set(FEATURES)
        if stray:
            raise ValueError(f"{self.architecture}: no such feature: {', '.join(sorted(stray))}")

    @property
    def word_embeddings(self) -> str:
        """Name of the embedding matrix in a model."""
        return f"{self.prefix}.{self.embeddings}.weight"

    @property
    def layer_prefix(self) -> str:
        """What the names of tensors of layers begin with, before the number, in a model."""
        return f"{self.prefix}.{self.layers}."

    @property
    def unused(self) -> str:
        """What the names of tensors begin with that no head of this package sees."""
        return f"{self.prefix}.pooler."

    @property
    def bare_class(self) -> str:
        """The class of the encoder without a head."""
        return f"{self.classes}Model"

    @property
    def adapter_class(self) -> str:
        """The class of the adapters library with heads that can be added."""
        return f"{self.classes}AdapterModel"

    @property
    def model_inputs(self) -> tuple[str, ...]:
        """What its tokenizer gives it."""
        return ("input_ids", *(("token_type_ids",) if self.pair_types else ()), "attention_mask")

    def key(self, name: str) -> str:
        """What a key of BERT's configuration is called in this architecture's."""
        return self.config_names.get(name, name)

    def value(self, config: Mapping[str, Any], name: str) -> Any:
        """The value of a key of BERT's configuration; None where the configuration does not say it."""
        return config.get(self.key(name))

    def name_in_model(self, key: str) -> str:
        """The name in a model of a tensor of a checkpoint, bare or under any head.

        Example:
            >>> ENCODERS["xlm-roberta"].name_in_model("embeddings.LayerNorm.bias")
            'roberta.embeddings.LayerNorm.bias'
            >>> ENCODERS["bert"].name_in_model("bert.embeddings.LayerNorm.gamma")
            'bert.embeddings.LayerNorm.weight'
        """
        return f"{self.prefix}.{self.current(key).removeprefix(f'{self.prefix}.')}"

    def current(self, key: str) -> str:
        """The name of a tensor of a checkpoint as it is today."""
        for old, new in self.former.items():
            key = key.removesuffix(old) + new if key.endswith(old) else key
        return key

    def name_in_encoder(self, key: str) -> str:
        """The name of a tensor of a model in the bare encoder."""
        return key.removeprefix(f"{self.prefix}.")

    def longest_input(self, config: Mapping[str, Any]) -> int:
        """Tokens of the longest input.

        Args:
            config: What `config.json` holds.

        Example:
            >>> ENCODERS["xlm-roberta"].longest_input({"max_position_embeddings": 514, "pad_token_id": 1})
            512
            >>> ENCODERS["bert"].longest_input({"max_position_embeddings": 512, "pad_token_id": 0})
            512
        """
        positions = int(config.get("max_position_embeddings", self.positions))
        if not self.counts_from_padding:
            return positions
        pad = config.get("pad_token_id", self.pad)
        return positions - (self.pad if pad is None else int(pad)) - 1

    def positions_for(self, longest: int) -> int:
        """Rows of position embeddings that inputs of so many tokens need."""
        return longest + (self.pad + 1 if self.counts_from_padding else 0)

    def supports(self, feature: str) -> bool:
        """Whether one of `FEATURES` works on it."""
        return feature in self.features

    def require(self, feature: str) -> None:
        """Refuse one of `FEATURES` that does not work on it.

        Raises:
            ConfigError: If it does not.
        """
        if not self.supports(feature):
            raise ConfigError(
                f"{FEATURES[feature]} does not work on {self.architecture}", remedy="leave it out"
            )

    def require_method(self, method: str) -> None:
        """Refuse an adapter method that does not work on it.

        Raises:
            SetupError: If it does not.
        """
        if method in self.refused:
            raise SetupError(
                f"the method {method} does not work on {self.architecture}",
                remedy="use another, for instance seq_bn or lora",
            )

    def of_transformers(self, ending: str) -> Any:
        """One of its classes in transformers, for instance `Config` or `Encoder`."""
        kind = "configuration" if ending == "Config" else "modeling"
        module = import_module(f"transformers.models.{self.module}.{kind}_{self.module}")
        return getattr(module, f"{self.classes}{ending}")


ENCODERS: Registry[EncoderSpec] = Registry("architecture")


def _plain_heads(
    classes: str, classifier: Mapping[int, str], pooled: Mapping[int, str], lm: Mapping[int, str]
) -> dict[str, PlainHead]:
    """The heads of one architecture in transformers.

    Args:
        classes: What its classes begin with.
        classifier: The two layers of the head for classification.
        pooled: Those of the head for multiple choice, the first of which is the pooler: it has the form of
            ours, first token, linear, tanh.
        lm: Those of the masked language model head; the last has a bias alone, its matrix are the embeddings.
    """
    tokens = PlainHead(
        f"{classes}ForTokenClassification", "AutoModelForTokenClassification", {1: "classifier"}
    )
    return {
        "classification": PlainHead(
            f"{classes}ForSequenceClassification",
            "AutoModelForSequenceClassification",
            classifier,
            {"problem_type": "single_label_classification"},
        ),
        "tagging": tokens,
        "span_qa": PlainHead(
            f"{classes}ForQuestionAnswering", "AutoModelForQuestionAnswering", {1: "qa_outputs"}
        ),
        "multiple_choice": PlainHead(f"{classes}ForMultipleChoice", "AutoModelForMultipleChoice", pooled),
        # The vector of a passage is what one linear layer makes of its first token.
        "passage_ranking": tokens,
        "mlm": PlainHead(f"{classes}ForMaskedLM", "AutoModelForMaskedLM", lm),
    }


def _heads_of_tokens(classes: str, lm: Mapping[int, str]) -> dict[str, PlainHead]:
    """Those of an architecture whose classes for classification and multiple choice have another form."""
    kinds = ("tagging", "span_qa", "passage_ranking", "mlm")
    found = _plain_heads(classes, {}, {}, lm)
    return {kind: found[kind] for kind in kinds}


def _lm_head(dense: str, norm: str, bias: str) -> dict[str, str]:
    """The tensors of a masked language model head of one layer before the embeddings."""
    layers = {"0": dense, "2": norm}
    found = {
        f"{place}.{part}": f"{name}.{part}" for place, name in layers.items() for part in ("weight", "bias")
    }
    return {**found, "3.bias": bias}


# Source: transformers 4.57, models/xlm_roberta and models/bert; adapters 1.3.0, `heads/language_modeling.py`.
ENCODERS.add(
    "xlm-roberta",
    EncoderSpec(
        architecture="xlm-roberta",
        classes="XLMRoberta",
        module="xlm_roberta",
        prefix="roberta",
        example="FacebookAI/xlm-roberta-base",
        lm_head={
            "0.weight": "lm_head.dense.weight",
            "0.bias": "lm_head.dense.bias",
            "2.weight": "lm_head.layer_norm.weight",
            "2.bias": "lm_head.layer_norm.bias",
            "3.bias": "lm_head.bias",
        },
        plain_heads=_plain_heads(
            "XLMRoberta",
            {1: "classifier.dense", 4: "classifier.out_proj"},
            {1: "roberta.pooler.dense", 4: "classifier"},
            {0: "lm_head.dense", 2: "lm_head.layer_norm", 3: "lm_head"},
        ),
        pad=1,
        counts_from_padding=True,
    ),
)
ENCODERS.add(
    "bert",
    EncoderSpec(
        architecture="bert",
        classes="Bert",
        module="bert",
        prefix="bert",
        example="google-bert/bert-base-multilingual-cased",
        lm_head={
            "0.weight": "cls.predictions.transform.dense.weight",
            "0.bias": "cls.predictions.transform.dense.bias",
            "2.weight": "cls.predictions.transform.LayerNorm.weight",
            "2.bias": "cls.predictions.transform.LayerNorm.bias",
            "3.bias": "cls.predictions.bias",
        },
        plain_heads=_plain_heads(
            "Bert",
            {1: "bert.pooler.dense", 4: "classifier"},
            {1: "bert.pooler.dense", 4: "classifier"},
            {
                0: "cls.predictions.transform.dense",
                2: "cls.predictions.transform.LayerNorm",
                3: "cls.predictions",
            },
        ),
        pair_types=True,
        # Files that were converted from TensorFlow.
        former={".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"},
    ),
)


_ROBERTA = ENCODERS["xlm-roberta"]
# The same computation; English models and those of single languages have it.
ENCODERS.add(
    "roberta",
    replace(
        _ROBERTA,
        architecture="roberta",
        classes="Roberta",
        module="roberta",
        example="FacebookAI/roberta-base",
        plain_heads=_plain_heads(
            "Roberta",
            {1: "classifier.dense", 4: "classifier.out_proj"},
            {1: "roberta.pooler.dense", 4: "classifier"},
            {0: "lm_head.dense", 2: "lm_head.layer_norm", 3: "lm_head"},
        ),
    ),
)
ONE_STACK = frozenset({"gradient_checkpointing", "quantization", "vocab_trimming"})
"""What works on every encoder whose layers stand in one list."""

# Norms before attention and feed-forward part, not behind. Source: transformers 4.57, models/xlm_roberta_xl.
ENCODERS.add(
    "xlm-roberta-xl",
    replace(
        _ROBERTA,
        architecture="xlm-roberta-xl",
        classes="XLMRobertaXL",
        module="xlm_roberta_xl",
        example="facebook/xlm-roberta-xl",
        plain_heads=_heads_of_tokens(
            "XLMRobertaXL", {0: "lm_head.dense", 2: "lm_head.layer_norm", 3: "lm_head"}
        ),
        features=ONE_STACK,
        pooler=False,
        last_norm=True,
        refused=frozenset({"prefix_tuning", "mam", "unipelt", "prompt_tuning"}),
        interface={
            "adapter_methods": ["bottleneck", "lora", "reft", "invertible"],
            "model_embeddings": "embeddings",
            "model_layers": "encoder.layer",
            "layer_self_attn": "attention",
            "layer_cross_attn": None,
            "attn_q_proj": "self.query",
            "attn_k_proj": "self.key",
            "attn_v_proj": "self.value",
            "attn_o_proj": "output.dense",
            "layer_intermediate_proj": "intermediate.dense",
            "layer_output_proj": "output.dense",
            # Their first input is what is added to their output.
            "layer_pre_self_attn": "attention",
            "layer_pre_ffn": "LayerNorm",
        },
    ),
)
# Source: transformers 4.57, models/distilbert; its layer norms have an epsilon that no key names.
ENCODERS.add(
    "distilbert",
    EncoderSpec(
        architecture="distilbert",
        classes="DistilBert",
        module="distilbert",
        prefix="distilbert",
        example="distilbert/distilbert-base-multilingual-cased",
        lm_head=_lm_head("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        plain_heads=_heads_of_tokens(
            "DistilBert", {0: "vocab_transform", 2: "vocab_layer_norm", 3: "vocab_projector"}
        ),
        layers="transformer.layer",
        stack="transformer",
        pooler=False,
        config_names={
            "num_hidden_layers": "n_layers",
            "hidden_size": "dim",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
        },
        features=ONE_STACK | {"adapters_export"},
        # Padding would change what a prefix does.
        refused=frozenset({"prefix_tuning", "mam", "unipelt", "prompt_tuning"}),
    ),
)


def _without_buckets(config: Mapping[str, Any]) -> dict[str, Any]:
    """DeBERTa with as many distances as it has buckets of them, which a compiled function would find."""
    buckets = config.get("position_buckets", -1)
    same = {"max_relative_positions": buckets, "position_buckets": -1} if buckets > 0 else {}
    return {**config, **same}


# Source: transformers 4.57, models/deberta_v2; it attends without PyTorch's fused kernel.
ENCODERS.add(
    "deberta-v2",
    EncoderSpec(
        architecture="deberta-v2",
        classes="DebertaV2",
        module="deberta_v2",
        prefix="deberta",
        example="microsoft/mdeberta-v3-base",
        lm_head=_lm_head(
            "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"
        ),
        plain_heads=_heads_of_tokens(
            "DebertaV2",
            {
                0: "cls.predictions.transform.dense",
                2: "cls.predictions.transform.LayerNorm",
                3: "cls.predictions",
            },
        ),
        attention="eager",
        pooler=False,
        counted=_without_buckets,
        shape_keys=(
            "relative_attention",
            "max_relative_positions",
            "position_buckets",
            "norm_rel_ebd",
            "share_att_key",
            "pos_att_type",
            "position_biased_input",
            "type_vocab_size",
            "conv_kernel_size",
        ),
        features=ONE_STACK | {"adapters_export"},
        refused=frozenset({"prompt_tuning", "unipelt"}),
    ),
)
# Source: transformers 4.57, models/electra. Generators have this head, the published discriminators none.
ENCODERS.add(
    "electra",
    EncoderSpec(
        architecture="electra",
        classes="Electra",
        module="electra",
        prefix="electra",
        example="google/electra-base-discriminator",
        lm_head=_lm_head(
            "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"
        ),
        plain_heads=_heads_of_tokens(
            "Electra",
            {0: "generator_predictions.dense", 2: "generator_predictions.LayerNorm", 3: "generator_lm_head"},
        ),
        pair_types=True,
        attention="eager",
        pooler=False,
        shape_keys=("embedding_size",),
        features=ONE_STACK | {"adapters_export"},
    ),
)
# Rotated positions; most layers see a window of tokens alone. Source: transformers 4.57, models/modernbert;
# the interface is that of adapters 1.3.0, `wrappers/interfaces.py`.
ENCODERS.add(
    "modernbert",
    EncoderSpec(
        architecture="modernbert",
        classes="ModernBert",
        module="modernbert",
        prefix="model",
        example="jhu-clsp/mmBERT-base",
        lm_head=_lm_head("head.dense", "head.norm", "decoder.bias"),
        lm_bare=frozenset({"0.bias", "2.bias"}),
        plain_heads={},  # Those of transformers stand on a further layer, which ours lack.
        positions=8192,
        embeddings="embeddings.tok_embeddings",
        layers="layers",
        stack="",
        pooler=False,
        config_names={"layer_norm_eps": "norm_eps"},
        interface={},
        shape_keys=(
            "global_attn_every_n_layers",
            "local_attention",
            "norm_bias",
            "mlp_bias",
            "attention_bias",
        ),
        features=ONE_STACK - {"quantization"},
        refused=frozenset({"prefix_tuning", "mam", "unipelt", "prompt_tuning"}),
    ),
)


def spec_of(config: Mapping[str, Any]) -> EncoderSpec:
    """The architecture of a configuration.

    Args:
        config: What `config.json` holds, with its `model_type`.

    Raises:
        UnknownNameError: If there is none.
    """
    return ENCODERS[str(config.get("model_type"))]
