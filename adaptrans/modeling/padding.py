"""Answers that do not depend on the padding of a batch, for every adapter method.

Three parts of adapters 1.3.0 let padding in, so that an answer changed with the inputs beside its own:

- The mask of attention with `sdpa` lets the tokens of prompt tuning see all padding.
- A gate (`unipelt`, `use_gating=True`) is the mean over all tokens of its input, padding among them.
- The last positions of ReFT (`suffix_positions`) are wrong in texts that are shorter, or fail.

The parts are replaced by those below where an adapter needs them; names and shapes of all tensors stay.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaEncoder

from adaptrans.modeling.adapters import ForwardContext, ReftModule

LEAST = 1e-7
"""A mean gate nearer to 0 or 1 than this counts as so near: about one unit in the last place of float32."""


_GATE = re.compile(r"\.(?:prefix_tuning\.prefix_gates\.[^.]+|(?:adapters|loras)\.[^.]+\.gate)\Z")


def ignore_padding(model: nn.Module) -> None:
    """Let the adapters of a model answer the same whatever padding a batch has.

    Args:
        model: A model of the adapters library; call it again when an adapter has been added.
    """
    for name, module in model.named_modules():
        if type(module) is XLMRobertaEncoder:
            module.__class__ = EncoderOfPrompts
        elif type(module) is ReftModule and module.suffix_positions > 0:
            module.__class__ = ReftOfText
        elif type(module) is nn.Linear and _is_gate(name):
            module.__class__ = GateOfText


def lets_padding_in(model: nn.Module) -> bool:
    """Whether the library itself would answer otherwise in a batch with padding.

    Args:
        model: A model to which `ignore_padding` was applied.
    """
    parts = [module for module in model.modules() if isinstance(module, GateOfText | ReftOfText)]
    return bool(parts) or bool(len(getattr(model.base_model.prompt_tuning, "prompt_tunings", ())))


def _is_gate(name: str) -> bool:
    """Whether a module is the gate of an adapter.

    Example:
        >>> _is_gate("roberta.encoder.layer.0.output.adapters.mnli.gate")
        True
        >>> _is_gate("roberta.encoder.layer.0.attention.self.prefix_tuning.prefix_gates.mnli")
        True
        >>> _is_gate("heads.gate")
        False
    """
    return _GATE.search(name) is not None


def text_of(states: Tensor) -> tuple[Tensor, Tensor] | None:
    """The place of each token in its text, and how many tokens the text has; None where no mask was given.

    Args:
        states: Shape (inputs, tokens, width), of a forward pass that is under way.

    Returns:
        Places, shape (inputs, tokens), below 0 or not below the number where there is padding; and numbers,
        shape (inputs, 1).
    """
    context = ForwardContext.get_context()
    if context is None or not hasattr(context, "seqlens"):
        return None
    places = torch.arange(states.shape[1], device=states.device) - context.offsets.reshape(-1, 1)
    return places, context.seqlens.reshape(-1, 1)


class EncoderOfPrompts(XLMRobertaEncoder):
    """The encoder, whose mask covers the tokens that prompt tuning has put before the text."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *arguments: Any, **options: Any
    ) -> Any:
        """As the library's."""
        context = ForwardContext.get_context()
        length = getattr(context, "prompt_tokens_length", None)
        if length and attention_mask is not None:
            # All tokens see the same: the prompt and the text. Shape (inputs, 1, 1, tokens).
            row = attention_mask[:, :, :1, :]
            row = torch.cat([row.new_zeros(*row.shape[:3], length), row], dim=-1)
            rows = 1 if attention_mask.shape[2] == 1 else row.shape[3]
            attention_mask = row.expand(-1, -1, rows, -1)
            # Each layer would lengthen it again, also when it is computed once more for the gradients.
            context.prompt_tokens_length = None
        return super().forward(hidden_states, attention_mask, *arguments, **options)


class GateOfText(nn.Linear):
    """The gate of an adapter; the mean that the library takes is that over the tokens of the text alone."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (inputs, 1, gates): what the sigmoid makes the mean of the sigmoids of a text's tokens."""
        scores = super().forward(input)
        found = text_of(scores)
        if found is None:
            return scores
        places, lengths = found
        real = ((places >= 0) & (places < lengths)).unsqueeze(-1)
        shares = torch.where(real, torch.sigmoid(scores.float()), 0.0).sum(dim=1, keepdim=True)
        mean = shares / lengths.clamp_min(1).unsqueeze(-1)
        return torch.logit(mean, eps=LEAST).to(scores.dtype)


class ReftOfText(ReftModule):
    """Interventions at the first and last tokens of a text, however long it is; the last ones win."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """As the library's, where the text has tokens enough."""
        found = text_of(hidden_states)
        if found is None:
            return super().forward(hidden_states)
        places, lengths = found
        first = (places >= 0) & (places < lengths.clamp_max(self.prefix_positions))
        last = (places >= (lengths - self.suffix_positions).clamp_min(0)) & (places < lengths)
        changed = hidden_states
        for where, unit in ((first, self.units[0]), (last, self.units[-1])):
            changed = torch.where(where.unsqueeze(-1), unit(hidden_states).to(hidden_states.dtype), changed)
        return changed
