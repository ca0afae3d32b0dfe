"""A setup as a folder that the `adapters` library reads by itself, and the lines that do it.

adapter_setup.json   what stands on what, for the library's `load_adapter_setup`
NAME/                an adapter, a fusion or a head: all that have this name, in the library's formats
backbone/            the encoder with its tokenizer, where the whole model was trained or it was asked for
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptrans.modeling import adapters, composition, encoder_files
from adaptrans.modeling.adapter_methods import SUBTRACTS_NOTHING, untold_lines
from adaptrans.modeling.adapters import Fused
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.encoder_files import save_tokenizer
from adaptrans.modeling.import_adapter import BASE_KEY, METHOD_KEY
from adaptrans.modeling.manifest import Manifest
from adaptrans.modeling.model import SetupModel

BACKBONE = "backbone"
ALARMED_ABOVE = 100_000
"""Pieces of a vocabulary. Source: transformers 4.57.6, `PreTrainedTokenizerBase._from_pretrained`."""
PLACE = 'folder = "."  # where this file lies'


def save_folder(
    assembled: SetupModel, folder: Path, languages: Mapping[str, Path], *, with_backbone: bool = False
) -> list[str]:
    """Write every active adapter, fusion and head.

    Args:
        assembled: The model.
        folder: Where to; it must exist.
        languages: Further language adapters for a setup with `{lang}`: artifact folders' adapters by code.
        with_backbone: Also write the encoder of a setup that leaves it as it is.

    Returns:
        The lines of Python that load the folder with nothing but the library.
    """
    assembled.backbone.spec.require("adapters_export")
    model, heads = assembled.model, list(assembled.heads)
    names = [layer for layer in assembled.layers if isinstance(layer, str)]
    for layer in assembled.layers:
        if isinstance(layer, Fused):
            names += layer.members
            composition.save_fusion(model, layer.name, folder / layer.name)
    base = assembled.backbone
    for code, path in languages.items():
        if code not in names:
            adapters.load_adapter(model, code, path)
    for name in dict.fromkeys([*names, *languages]):
        untold = SUBTRACTS_NOTHING if adapters.subtracts_nothing_in(model, name) else None
        adapters.save_adapter(model, name, folder / name, said_of(base, untold))
    for name in heads:
        adapters.save_head(model, name, folder / name)
    if assembled.layers:
        adapters.save_setup(assembled.layers, heads, folder)
    own_encoder = with_backbone or not assembled.layers
    if own_encoder:
        encoder_files.save_encoder(model, folder / BACKBONE)
        save_tokenizer(base, folder / BACKBONE)
    return _lines(assembled, languages, own_encoder=own_encoder)


def said_of(base: Backbone, method: str | None = None) -> dict[str, Any]:
    """What this package says in an adapter's configuration, and the library does not look.

    Args:
        base: The backbone that it was trained on.
        method: Its method, where the library's own keys do not tell.
    """
    said: dict[str, Any] = {BASE_KEY: {"depth": base.depth, "fingerprint": base.fingerprint}}
    return said | ({METHOD_KEY: method} if method else {})


def adapter_lines(backbone: Backbone, manifest: Manifest) -> list[str]:
    """The lines that load an adapter without a head, such as one of a language."""
    backbone.spec.require("adapters_export")
    name = str(manifest.adapter)
    return [
        *_imports(backbone),
        "",
        PLACE,
        *_backbone_lines(backbone),
        f'model.load_adapter(f"{{folder}}/{name}", with_head=False, use_safetensors=True)',
        *(untold_lines(name) if manifest.method.partition("[")[0] == SUBTRACTS_NOTHING else []),
        f'model.set_active_adapters("{manifest.adapter}")',
        "model.eval()",
    ]


def _imports(backbone: Backbone) -> tuple[str, str]:
    return f"from adapters import {backbone.spec.adapter_class}", "from transformers import AutoTokenizer"


def _lines(assembled: SetupModel, languages: Mapping[str, Path], *, own_encoder: bool) -> list[str]:
    heads = list(assembled.heads)
    found = [*_imports(assembled.backbone), "", PLACE]
    if own_encoder:
        found.append(f'backbone = f"{{folder}}/{BACKBONE}"')
        found += _from("backbone", assembled.backbone)
    else:
        found += _backbone_lines(assembled.backbone)
    if assembled.layers:
        found.append("model.load_adapter_setup(folder, set_active=True, use_safetensors=True)")
        own = [layer for layer in assembled.layers if isinstance(layer, str)]
        for name in own:
            if adapters.subtracts_nothing_in(assembled.model, name):
                found += untold_lines(name)
    else:
        found += [f'model.load_head(f"{{folder}}/{name}", use_safetensors=True)' for name in heads]
    if heads and (len(heads) > 1 or not assembled.layers):
        others = f"  # or {', '.join(heads[1:])}" if len(heads) > 1 else ""
        found.append(f'model.active_head = "{heads[0]}"{others}')
    found.append("model.eval()")
    if adapters.lets_padding_in(assembled.model):
        found.append(
            "# Inputs of one length in a batch: in the library padding changes what this method answers."
        )
    source, *above = assembled.layers or ("",)
    for code in languages:
        if code != source:
            found += _swapped(code, above, heads[0])
    return found


def _swapped(code: str, above: list[str | Fused], head: str) -> list[str]:
    """The lines that put another language adapter below a setup, as comments."""
    stack = f"Stack({', '.join([repr(code), *map(_written, above)])})"
    return [
        "",
        f"# for {code}:",
        "# from adapters.composition import Fuse, Stack",
        f'# model.load_adapter(f"{{folder}}/{code}", with_head=False, use_safetensors=True)',
        f"# model.set_active_adapters({stack})",
        f'# model.active_head = "{head}"',
    ]


def _written(layer: str | Fused) -> str:
    """A layer of a stack as Python."""
    if isinstance(layer, Fused):
        return f"Fuse({', '.join(map(repr, layer.members))}, name={layer.name!r})"
    return repr(layer)


def _backbone_lines(backbone: Backbone) -> list[str]:
    """The lines that load the encoder; one that is not on the hub is for the reader to find."""
    if backbone.revision is not None:
        return _from(f'"{backbone.name}", revision="{backbone.revision}"', backbone)
    return [
        f'backbone = "BACKBONE"  # the encoder whose fingerprint starts with {backbone.fingerprint[:12]}',
        *_from("backbone", backbone),
    ]


def _from(where: str, backbone: Backbone) -> list[str]:
    return [
        tokenizer_line(where, backbone),
        f"model = {backbone.spec.adapter_class}.from_pretrained({where})",
    ]


def tokenizer_line(where: str, backbone: Backbone) -> str:
    """The line that loads a tokenizer, without the alarm of transformers 4.57 where that sounds.

    From 4.57.3 to 4.57.6 it tells of every large vocabulary in a local folder that its tokens are wrong, and
    to say `fix_mistral_regex=True`, which is meant for other models and does change XLM-R's tokens.
    """
    silent = ", fix_mistral_regex=False" if backbone.vocabulary > ALARMED_ABOVE else ""
    return f"tokenizer = AutoTokenizer.from_pretrained({where}{silent})"
