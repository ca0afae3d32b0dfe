"""Heads: what they are for, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.modeling import adapters
from adaptrans.modeling.backbone import Backbone, weight_files
from adaptrans.modeling.safetensors_io import open_tensors, read_tensors
from adaptrans.utils.registry import Registry


@dataclass(frozen=True)
class HeadType:
    """One form of head in the adapters library.

    Args:
        library: Its name there.
        size: Keyword of its constructor for the number of labels; None if it has none.
        layers: Linear layers, with the activation between them. Source: the library's defaults.
        least: Fewest labels that make sense.
        activation: The activation.
        options: Further keywords of its constructor.
    """

    library: str
    size: str | None
    layers: int
    least: int
    activation: str = "tanh"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def picks_rows(self) -> bool:
        """Whether it compares rows of tokens of one input, of which one is right."""
        return self.library == "multiple_choice"

    @property
    def finds_spans(self) -> bool:
        """Whether it answers with the beginning and the end of a span."""
        return self.library == "question_answering"

    @property
    def answers_tokens(self) -> bool:
        """Whether it answers for all tokens, so that further ones in the sequence are in its way."""
        return self.finds_spans or self.library == "tagging"

    @property
    def fills_masks(self) -> bool:
        """Whether it answers for hidden tokens, over the whole vocabulary."""
        return self.library == "masked_lm"


HEADS: Registry[HeadType] = Registry("head type")
HEADS.add("classification", HeadType("classification", "num_labels", 2, 2))
HEADS.add("tagging", HeadType("tagging", "num_labels", 1, 2))
HEADS.add("span_qa", HeadType("question_answering", "num_labels", 1, 0))
HEADS.add("multiple_choice", HeadType("multiple_choice", "num_choices", 2, 2))
# A vector: its numbers are the labels, of the first token as in classification.
HEADS.add("passage_ranking", HeadType("classification", "num_labels", 1, 2))
# Begins as the pretrained one; the embeddings are its last matrix, see `masked_lm_logits`.
HEADS.add("mlm", HeadType("masked_lm", None, 2, 0, "gelu", {"layer_norm": True, "bias": True}))


@dataclass(frozen=True)
class HeadSpec:
    """The head of a target task.

    Args:
        name: The target task, after which head and adapter are named.
        type: `classification`, `tagging`, `span_qa`, `multiple_choice`, `passage_ranking` or `mlm`.
        labels: Label names in the order of the logits; for multiple choice one per choice; none for span QA
            and masked language modeling.
    """

    name: str
    type: str
    labels: tuple[str, ...] = ()

    @property
    def form(self) -> HeadType:
        """Its form in the adapters library."""
        return HEADS[self.type]

    def library_config(self) -> dict[str, Any]:
        """The head as the adapters library describes it.

        Raises:
            ConfigError: If there are too few labels, or one twice.
        """
        form = HEADS[self.type]
        if len(self.labels) < form.least or len(set(self.labels)) < len(self.labels):
            raise ConfigError(
                f"the {self.type} head of {self.name} has the labels {list(self.labels)}",
                remedy=f"name {form.least} labels or more, each once",
            )
        # A span has a start and an end.
        size = len(self.labels) if form.least else 2
        config: dict[str, Any] = {
            "head_type": form.library,
            **({form.size: size} if form.size else {}),
            "layers": form.layers,
            "activation_function": form.activation,
            "label2id": {label: i for i, label in enumerate(self.labels)} or None,
            **form.options,
        }
        return config


MASKED_LM = HeadSpec("mlm", "mlm")
"""The head that fills gaps in plain text, of no target task."""


def check_tied(backbone: Backbone) -> None:
    """Refuse an encoder whose word embeddings cannot be the last matrix of a head: they are narrower.

    Raises:
        ArtifactError: With both widths; ELECTRA's small models are such.
    """
    spec = backbone.spec
    for path in weight_files(backbone.path, backbone.name):
        for key, value in open_tensors(path).items():
            if spec.name_in_model(key) == spec.word_embeddings and value.shape[-1] != backbone.width:
                raise ArtifactError(
                    f"backbone {backbone.name} has word embeddings of width {value.shape[-1]} below states of"
                    f" {backbone.width}, from which no masked language model head of ours can guess",
                    remedy="do without language adapters, text in mixes and prompts with a gap",
                )


def pretrained_head(backbone: Backbone) -> dict[str, Tensor]:
    """The head that the backbone was pretrained with, in float32, by the library's names.

    Raises:
        ArtifactError: If the backbone comes without it, or cannot have one.
    """
    check_tied(backbone)
    stored: dict[str, Tensor] = {}
    for path in weight_files(backbone.path, backbone.name):
        stored |= read_tensors(path)
    parts, spec = backbone.spec.lm_head, backbone.spec
    stored = {spec.current(key): value for key, value in stored.items()}
    if parts["3.bias"] in stored:
        width = stored[parts["0.weight"]].shape[0] if parts["0.weight"] in stored else backbone.width
        stored |= {parts[bare]: torch.zeros(width) for bare in spec.lm_bare if parts[bare] not in stored}
    lacking = [name for name in parts.values() if name not in stored]
    if lacking:
        raise ArtifactError(
            f"backbone {backbone.name} has no masked language model head ({lacking[0]})",
            remedy=f"train one: adaptrans backbones add-head {backbone.name} --text FOLDER --out FOLDER",
        )
    return {own: stored[name].to(torch.float32) for own, name in parts.items()}


def masked_lm_logits(
    model: adapters.Model, head: Mapping[str, Tensor], batch: Mapping[str, Tensor]
) -> Tensor:
    """Logits of the hidden tokens alone, shape (hidden tokens, vocabulary).

    Args:
        model: The model with its adapters active.
        head: The head's tensors, by the names of `EncoderSpec.lm_head`.
        batch: `input_ids` and `attention_mask`, shape (batch, tokens); `hidden` is true where a token is to
            be predicted.
    """
    return decoded(model, head, hidden_states_of(model, batch))


def hidden_states_of(model: adapters.Model, batch: Mapping[str, Tensor]) -> Tensor:
    """Last hidden states of the hidden tokens alone, shape (hidden tokens, width).

    Vectors that prompt tuning puts before the text, or behind its first token, which is never hidden, are
    left out.
    """
    output = model.base_model(**adapters.model_inputs(model, batch), return_dict=True)
    found: Tensor = output.last_hidden_state
    own = found[:, found.shape[1] - batch["input_ids"].shape[1] :]
    states: Tensor = own[batch["hidden"]]
    return states


def decoded(model: adapters.Model, head: Mapping[str, Tensor], states: Tensor) -> Tensor:
    """What a masked language model head answers to last hidden states, shape (states, vocabulary)."""
    states = functional.gelu(functional.linear(states, head["0.weight"], head["0.bias"]))
    config = model.base_model.config
    eps = getattr(config, adapters.spec_of(model).key("layer_norm_eps"), UNNAMED_EPS)
    states = functional.layer_norm(states, states.shape[-1:], head["2.weight"], head["2.bias"], eps)
    # What an invertible adapter did to the embeddings is undone before they are compared with.
    states = adapters.inverted(model, states)
    return functional.linear(states, adapters.word_embeddings(model).weight, head["3.bias"])


UNNAMED_EPS = 1e-12
"""Epsilon of the layer norms of an architecture whose configuration does not name it, DistilBERT's."""


class MaskedLMHead(nn.Module):
    """The head that the backbone was pretrained with, frozen.

    Args:
        backbone: The base.

    Raises:
        ArtifactError: If the backbone comes without it.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.parts = tuple(backbone.spec.lm_head)
        for part, value in pretrained_head(backbone).items():
            self.register_buffer(part.replace(".", "_"), value)

    def forward(self, assembled: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits of a `SetupModel` at the hidden tokens alone; see `masked_lm_logits`."""
        head = {part: self.get_buffer(part.replace(".", "_")) for part in self.parts}
        return masked_lm_logits(assembled.model, head, batch)
