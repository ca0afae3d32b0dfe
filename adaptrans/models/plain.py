"""A setup as a plain transformers model: what its adapters do is merged into the backbone.

That is possible where they act inside linear layers alone: whole models, and `lora`, `dora`, `vera`, `ia3`,
alone, stacked, or merged with each other. A bottleneck, a prefix or a fusion has no place in a plain model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptrans.errors import SetupError
from adaptrans.models import encoder_files, library
from adaptrans.models.adapting import Assembled
from adaptrans.models.tensorfiles import write_tensors
from adaptrans.registry import Registry

WEIGHTS = "model.safetensors"


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
    config: Mapping[str, Any]


# Source: the classes of transformers 4.57 in models/xlm_roberta/modeling_xlm_roberta.py. The head for
# multiple choice has its first layer in the pooler, which has the same form: first token, linear, tanh.
PLAIN_HEADS: Registry[PlainHead] = Registry("head of a plain transformers model")
PLAIN_HEADS.add(
    "classification",
    PlainHead(
        "XLMRobertaForSequenceClassification",
        "AutoModelForSequenceClassification",
        {1: "classifier.dense", 4: "classifier.out_proj"},
        {"problem_type": "single_label_classification"},
    ),
)
PLAIN_HEADS.add(
    "tagging",
    PlainHead("XLMRobertaForTokenClassification", "AutoModelForTokenClassification", {1: "classifier"}, {}),
)
PLAIN_HEADS.add(
    "span_qa",
    PlainHead("XLMRobertaForQuestionAnswering", "AutoModelForQuestionAnswering", {1: "qa_outputs"}, {}),
)
PLAIN_HEADS.add(
    "multiple_choice",
    PlainHead(
        "XLMRobertaForMultipleChoice",
        "AutoModelForMultipleChoice",
        {1: "roberta.pooler.dense", 4: "classifier"},
        {},
    ),
)
# The vector of a passage is what one linear layer makes of its first token.
PLAIN_HEADS.add("passage_ranking", PLAIN_HEADS["tagging"])
# The last layer has a bias alone: its matrix are the embeddings.
PLAIN_HEADS.add(
    "mlm",
    PlainHead(
        "XLMRobertaForMaskedLM",
        "AutoModelForMaskedLM",
        {0: "lm_head.dense", 2: "lm_head.layer_norm", 3: "lm_head"},
        {},
    ),
)


def obstacle(assembled: Assembled) -> str | None:
    """Why a setup is no plain transformers model, or None if it can be one.

    Args:
        assembled: A model with a head.
    """
    if assembled.head is None or assembled.head.type not in PLAIN_HEADS:
        what = "no head" if assembled.head is None else f"a head for {assembled.head.type}"
        return f"transformers has no class for {what}"
    if assembled.fusions:
        return "a fusion weighs its adapters anew for every token"
    for name in (layer for layer in assembled.layers if isinstance(layer, str)):
        own = library.adapter_tensors(assembled.model, name)
        if any(".loras." not in key and "shared_parameters." not in key for key in own):
            return f"the adapter '{name}' has layers of its own"
        if any(".gate." in key for key in own):
            return f"the adapter '{name}' is gated by its input"
    if not all(_is_affine(assembled, layer) for _, layer in _adapted(assembled)):
        return "stacked adapters of different methods multiply each other's outputs"
    return None


def merged_encoder(assembled: Assembled) -> dict[str, Tensor]:
    """All tensors of the encoder with the active adapters merged in, by their names in the model, float32.

    Raises:
        SetupError: If an adapter has layers of its own.
    """
    reason = obstacle(assembled)
    if reason:
        raise _refusal(assembled, reason)
    found = library.encoder_tensors(assembled.model)
    for name, layer in _adapted(assembled):
        weight, bias = _affine(assembled, layer)
        for part, value in (("weight", weight), ("bias", bias)):
            found[f"{name}.{part}"] = value.to(torch.float32)
    return found


def save_plain(assembled: Assembled, folder: Path, more: Mapping[str, Any] | None = None) -> PlainHead:
    """Write the encoder, with its adapters merged in, and the head as transformers reads them.

    Args:
        assembled: A model with a head.
        folder: Where to; it must exist.
        more: Further keys of its configuration, at which transformers does not look.

    Returns:
        What transformers calls the model.

    Raises:
        SetupError: If the setup is no plain model; says why.
    """
    encoder = merged_encoder(assembled)
    head, name = assembled.head, assembled.head_name
    assert head is not None
    assert name is not None
    form = PLAIN_HEADS[head.type]
    own = library.head_tensors(assembled.model, name)
    renamed = {
        f"{there}.{part}": own[key]
        for place, there in form.names.items()
        for part in ("weight", "bias")
        if (key := f"heads.{name}.{place}.{part}") in own
    }
    if len(renamed) != len(own):
        raise _refusal(assembled, f"its head for {head.type} has {len(own)} tensors, not {len(renamed)}")
    write_tensors(folder / WEIGHTS, {**encoder, **renamed})
    labels: dict[str, Any] = {}
    if head.labels:
        labels["id2label"] = dict(enumerate(head.labels))
        labels["label2id"] = {label: number for number, label in enumerate(head.labels)}
    own_keys = {**form.config, **labels, **(more or {})}
    encoder_files.encoder_config(assembled.model, form.architecture, **own_keys).save_pretrained(str(folder))
    return form


def _adapted(assembled: Assembled) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers in which an active adapter acts, by name."""
    active = {layer for layer in assembled.layers if isinstance(layer, str)}
    for name, module in assembled.model.named_modules():
        if active & set(getattr(module, "loras", ())):
            yield name, module


def _affine(assembled: Assembled, layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight, shape (outputs, inputs), and bias, shape (outputs,), of a layer with its adapters, float64.

    The layer answers to nothing and to the identity, so that whatever method and stack is merged by the
    library's own forward pass. Its own merge leaves the bias of `ia3` and `dora` unscaled.
    """
    inputs = torch.eye(layer.in_features, dtype=torch.float64, device=layer.weight.device)
    answers = library.layer_outputs(assembled.model, layer, torch.cat([torch.zeros_like(inputs[:1]), inputs]))
    return (answers[1:] - answers[0]).T.contiguous(), answers[0]


def _is_affine(assembled: Assembled, layer: nn.Module) -> bool:
    """Whether a layer with its adapters is a linear layer still: f(x + y) + f(0) = f(x) + f(y)."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 1, layer.in_features, dtype=torch.float64, generator=generator)
    inputs = torch.cat([x + y, torch.zeros_like(x), x, y]).to(layer.weight.device)
    both, nothing, one, other = library.layer_outputs(assembled.model, layer, inputs)
    return torch.allclose(both + nothing, one + other, rtol=1e-9, atol=1e-9)


def _refusal(assembled: Assembled, reason: str) -> SetupError:
    return SetupError(
        f"{assembled.setup} with {assembled.method} is no plain transformers model: {reason}",
        remedy="export it for the adapters library: --format adapters",
    )
