"""Language adapters: trained by masked language modelling under the backbone's own head, saved without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptrans.errors import ArtefactError
from adaptrans.models import library, methods
from adaptrans.models.adapting import Assembled
from adaptrans.models.backbone import Backbone, weight_files
from adaptrans.models.library import Fused
from adaptrans.models.manifest import check_backbone, read_manifest
from adaptrans.models.setup import parse

PARTS = ("dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias", "bias")


def assemble_language(backbone: Backbone, language: str, method: str, seed: int) -> Assembled:
    """A fresh language adapter on the frozen backbone, in evaluation mode.

    Args:
        backbone: The base.
        language: Code of the language, which names the adapter.
        method: Adapter method.
        seed: Seed of the fresh weights.
    """
    parsed = methods.parse(method)
    model = library.bare_model(backbone)
    name = library.module_name(language)
    library.add_adapter(model, name, parsed, seed)
    trained = library.freeze_all_but(model, name, [], whole=False)
    composition = library.activate(model, [name], None)
    return Assembled(
        model, parse("adapter"), backbone, str(parsed), language, None, name, None, trained, composition, {},
        seed, layers=(name,),
    )  # fmt: skip


def use_language(assembled: Assembled, folder: Path | None) -> None:
    """Put another language adapter below a setup with `{lang}`, or none.

    Args:
        assembled: The model; its weights stay where they are.
        folder: Artefact of the language adapter; None to answer without one.

    Raises:
        ArtefactError: If it is damaged, or was trained on another backbone.
    """
    above = assembled.layers[1:]
    below: list[str | Fused] = []
    if folder is not None:
        manifest = read_manifest(folder)
        check_backbone(manifest.backbone, assembled.backbone, str(folder))
        name = library.module_name(f"language_{manifest.target}")
        if not library.has_adapter(assembled.model, name):
            device = assembled.model.device
            library.load_adapter(assembled.model, name, manifest.adapter_folder)
            assembled.model.requires_grad_(False).to(device).eval()
        below = [name]
    library.activate(assembled.model, [*below, *above], assembled.head_name)


class MaskedLMHead(nn.Module):
    """The head that the backbone was pretrained with, frozen; its last matrix is the embedding.

    Args:
        backbone: The base.

    Raises:
        ArtefactError: If the backbone comes without it.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        stored: dict[str, Tensor] = {}
        for path in weight_files(backbone.path, backbone.name):
            stored |= library.read_tensors(path)
        lacking = [part for part in PARTS if f"lm_head.{part}" not in stored]
        if lacking:
            raise ArtefactError(
                f"backbone {backbone.name} has no masked language model head (lm_head.{lacking[0]})",
                remedy="train language adapters on a backbone that was saved with it",
            )
        for part in PARTS:
            self.register_buffer(part.replace(".", "_"), stored[f"lm_head.{part}"].to(torch.float32))

    def forward(self, assembled: Assembled, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits of the hidden pieces alone, shape (hidden pieces, vocabulary).

        Args:
            assembled: The model with the language adapter active.
            batch: `input_ids` and `attention_mask`, shape (batch, tokens); `hidden` is true where a piece is
                to be guessed.
        """
        model = assembled.model.base_model
        output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], return_dict=True)
        states = output.last_hidden_state[batch["hidden"]]
        states = functional.gelu(functional.linear(states, self.dense_weight, self.dense_bias))
        eps = model.config.layer_norm_eps
        states = functional.layer_norm(
            states, states.shape[-1:], self.layer_norm_weight, self.layer_norm_bias, eps
        )
        # What the invertible part did to the embeddings is undone before they are compared with.
        states = library.inverted(assembled.model, str(assembled.adapter), states)
        return functional.linear(states, model.embeddings.word_embeddings.weight, self.bias)
