"""Language adapters: trained by masked language modelling under the backbone's own head, saved without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling import model as masked_lm
from adaptrans.modeling.adapters import Fused, module_name
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.efficiency import weight_sharing
from adaptrans.modeling.manifest import check_backbone, read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import UNQUANTIZED, check_quantized


def assemble_language(
    backbone: Backbone, language: str, method: str, seed: int, quantize: str = UNQUANTIZED
) -> SetupModel:
    """A fresh language adapter on the frozen backbone, in evaluation mode.

    Args:
        backbone: The base.
        language: Code of the language, which names the adapter.
        method: Adapter method.
        seed: Seed of the fresh weights.
        quantize: Keep the linear layers of the encoder in `8bit` or `4bit`; `none` as they are.
    """
    parsed = adapter_methods.parse(method)
    check_quantized(quantize, method, f"the language adapter {language}")
    model = weight_sharing.bare_model(backbone, quantize=quantize)
    name = module_name(language)
    adapters.add_adapter(model, name, parsed, seed)
    trained = adapters.freeze_all_but(model, name, [], whole=False)
    composition = adapters.activate(model, [name], None)
    return SetupModel(
        model, parse("adapter"), backbone, str(parsed), language, None, name, None, trained, composition, {},
        seed, layers=(name,), quantize=quantize,
    )  # fmt: skip


def use_language(assembled: SetupModel, folder: Path | None) -> SetupModel:
    """Put another language adapter below a setup with `{lang}`, or none.

    Args:
        assembled: The model; its weights stay where they are.
        folder: Artifact of the language adapter; None to answer without one.

    Returns:
        The same model with what is active now.

    Raises:
        ArtifactError: If it is damaged, or was trained on another backbone.
    """
    above = assembled.layers[1:]
    below: list[str | Fused] = []
    if folder is not None:
        manifest = read_manifest(folder)
        check_backbone(manifest.backbone, assembled.backbone, str(folder))
        name = module_name(f"language_{manifest.target}")
        if not adapters.has_adapter(assembled.model, name):
            device = assembled.model.device
            adapters.load_adapter(assembled.model, name, manifest.adapter_folder)
            assembled.model.requires_grad_(False).to(device).eval()
        below = [name]
    layers = (*below, *above)
    composition = adapters.activate(assembled.model, layers, assembled.head_name)
    return replace(assembled, layers=layers, composition=composition)


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
        for part, value in masked_lm.pretrained(backbone).items():
            self.register_buffer(part.replace(".", "_"), value)

    def forward(self, assembled: SetupModel, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits of the hidden pieces alone; see `masked_lm.guesses`."""
        head = {part: self.get_buffer(part.replace(".", "_")) for part in self.parts}
        return masked_lm.guesses(assembled.model, head, batch)
