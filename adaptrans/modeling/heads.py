"""Heads: what they are for, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ConfigError
from adaptrans.utils.registry import Registry

if TYPE_CHECKING:
    pass


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
        """Whether it answers for single tokens, so that further ones in the sequence are in its way."""
        return self.finds_spans or self.fills_masks or self.library == "tagging"

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
# Begins as the pretrained one; the embeddings are its last matrix, see `adaptrans.modeling.model`.
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
