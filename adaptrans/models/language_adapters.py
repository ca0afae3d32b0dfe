"""Language adapters: trained by masked language modelling under the backbone's own head, saved without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from adaptrans.models import library, masked_lm, methods, twins
from adaptrans.models.adapting import Assembled
from adaptrans.models.backbone import Backbone
from adaptrans.models.bits import FLOAT, check_quantised
from adaptrans.models.library import Fused
from adaptrans.models.manifest import check_backbone, read_manifest
from adaptrans.models.names import module_name
from adaptrans.models.setup import parse


def assemble_language(
    backbone: Backbone, language: str, method: str, seed: int, quantise: str = FLOAT
) -> Assembled:
    """A fresh language adapter on the frozen backbone, in evaluation mode.

    Args:
        backbone: The base.
        language: Code of the language, which names the adapter.
        method: Adapter method.
        seed: Seed of the fresh weights.
        quantise: Keep the linear layers of the encoder in `8bit` or `4bit`; `none` as they are.
    """
    parsed = methods.parse(method)
    check_quantised(quantise, method, f"the language adapter {language}")
    model = twins.bare_model(backbone, quantise=quantise)
    name = module_name(language)
    library.add_adapter(model, name, parsed, seed)
    trained = library.freeze_all_but(model, name, [], whole=False)
    composition = library.activate(model, [name], None)
    return Assembled(
        model, parse("adapter"), backbone, str(parsed), language, None, name, None, trained, composition, {},
        seed, layers=(name,), quantise=quantise,
    )  # fmt: skip


def use_language(assembled: Assembled, folder: Path | None) -> Assembled:
    """Put another language adapter below a setup with `{lang}`, or none.

    Args:
        assembled: The model; its weights stay where they are.
        folder: Artefact of the language adapter; None to answer without one.

    Returns:
        The same model with what is active now.

    Raises:
        ArtefactError: If it is damaged, or was trained on another backbone.
    """
    above = assembled.layers[1:]
    below: list[str | Fused] = []
    if folder is not None:
        manifest = read_manifest(folder)
        check_backbone(manifest.backbone, assembled.backbone, str(folder))
        name = module_name(f"language_{manifest.target}")
        if not library.has_adapter(assembled.model, name):
            device = assembled.model.device
            library.load_adapter(assembled.model, name, manifest.adapter_folder)
            assembled.model.requires_grad_(False).to(device).eval()
        below = [name]
    layers = (*below, *above)
    composition = library.activate(assembled.model, layers, assembled.head_name)
    return replace(assembled, layers=layers, composition=composition)


class MaskedLMHead(nn.Module):
    """The head that the backbone was pretrained with, frozen.

    Args:
        backbone: The base.

    Raises:
        ArtefactError: If the backbone comes without it.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        for part, value in masked_lm.pretrained(backbone).items():
            self.register_buffer(part.replace(".", "_"), value)

    def forward(self, assembled: Assembled, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits of the hidden pieces alone; see `masked_lm.guesses`."""
        head = {part: self.get_buffer(part.replace(".", "_")) for part in masked_lm.PARTS}
        return masked_lm.guesses(assembled.model, head, batch)
