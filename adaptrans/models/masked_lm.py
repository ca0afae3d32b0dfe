"""The head that guesses hidden pieces: that of the pretrained model, its last matrix the word embeddings.

The logits are computed for the hidden pieces alone, which is about a seventh of what the library's own
forward pass would compute over the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from adaptrans.errors import ArtefactError
from adaptrans.models import library
from adaptrans.models.backbone import Backbone, weight_files

if TYPE_CHECKING:
    from adaptrans.models.adapting import Assembled

PARTS = {
    "0.weight": "dense.weight",
    "0.bias": "dense.bias",
    "2.weight": "layer_norm.weight",
    "2.bias": "layer_norm.bias",
    "3.bias": "bias",
}
"""The head's tensors in the adapters library, and under `lm_head` in transformers; without the embeddings."""


def pretrained(backbone: Backbone) -> dict[str, Tensor]:
    """The head that the backbone was pretrained with, in float32, by the library's names.

    Raises:
        ArtefactError: If the backbone comes without it.
    """
    stored: dict[str, Tensor] = {}
    for path in weight_files(backbone.path, backbone.name):
        stored |= library.read_tensors(path)
    lacking = [part for part in PARTS.values() if f"lm_head.{part}" not in stored]
    if lacking:
        raise ArtefactError(
            f"backbone {backbone.name} has no masked language model head (lm_head.{lacking[0]})",
            remedy="train on text with a backbone that was saved with it",
        )
    return {own: stored[f"lm_head.{part}"].to(torch.float32) for own, part in PARTS.items()}


def begin(model: library.Model, name: str, backbone: Backbone) -> None:
    """Give a head of the model the weights of the pretrained one; its last matrix are the embeddings."""
    own = library.head_tensors(model, name)
    stored = {f"heads.{name}.{part}": value for part, value in pretrained(backbone).items()}
    library.copy_tensors(own, stored, f"the head of backbone {backbone.name}")


def guesses(model: library.Model, head: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Logits of the hidden pieces alone, shape (hidden pieces, vocabulary).

    Args:
        model: The model with its adapters active.
        head: The head's tensors, by the names of `PARTS`.
        batch: `input_ids` and `attention_mask`, shape (batch, tokens); `hidden` is true where a piece is to
            be guessed.
    """
    base = model.base_model
    output = base(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], return_dict=True)
    states = output.last_hidden_state[batch["hidden"]]
    states = functional.gelu(functional.linear(states, head["0.weight"], head["0.bias"]))
    eps = base.config.layer_norm_eps
    states = functional.layer_norm(states, states.shape[-1:], head["2.weight"], head["2.bias"], eps)
    # What an invertible adapter did to the embeddings is undone before they are compared with.
    states = library.inverted(model, states)
    return functional.linear(states, base.embeddings.word_embeddings.weight, head["3.bias"])


def logits(assembled: Assembled, batch: Mapping[str, Tensor]) -> Tensor:
    """What the active head of a model guesses; see `guesses`."""
    own = dict(assembled.model.heads[assembled.head_name].named_parameters())
    return guesses(assembled.model, {part: own[part] for part in PARTS}, batch)
