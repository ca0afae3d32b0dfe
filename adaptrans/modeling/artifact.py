"""Artifacts: one folder holds what a setup trained and says what it needs to answer again.

    artifact.json            see `adaptrans.modeling.manifest`
    adapters/NAME/           the trained adapter, in the adapters library's own format
    fusions/NAME/            a trained fusion over frozen adapters, likewise
    heads/NAME/              its head, likewise
    backbone/                for a whole model: the encoder, as transformers reads it

Frozen adapters below the target stay in their own artifacts and are named with
the hash of their weights. Everything is safetensors and JSON.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adaptrans.errors import ArtifactError
from adaptrans.modeling import adapters, encoder_files, fusion
from adaptrans.modeling.backbone import Backbone, identify
from adaptrans.modeling.efficiency import quantization
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.manifest import NAME, OWN_KEYS, Manifest, check_backbone, read_manifest
from adaptrans.modeling.model import SetupModel, assemble
from adaptrans.modeling.setup.nodes import mix_name, parent_language
from adaptrans.modeling.setup.validation import UNQUANTIZED
from adaptrans.utils.environment import package_versions
from adaptrans.utils.formats import ARTIFACT
from adaptrans.utils.io import atomic_write, write_json


def save_artifact(assembled: SetupModel, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write what a setup trained; an artifact already in the folder is replaced.

    Args:
        assembled: A trained model with a head.
        folder: Where to; it appears whole or not at all.
        extra: Further keys for `artifact.json`, such as scores.

    Raises:
        ArtifactError: If nothing was trained, the folder holds something else, or a key of `extra` is taken.
    """
    if assembled.head is None and assembled.adapter is None:
        raise ArtifactError(
            f"{assembled.setup} without a target trained nothing", remedy="evaluate it directly"
        )
    taken = sorted(set(extra or {}) & set(OWN_KEYS))
    if taken:
        raise ArtifactError(f"the key {taken[0]!r} of {NAME} is taken", remedy="choose another name")
    if folder.exists() and not (folder / NAME).is_file() and not (folder.is_dir() and _is_empty(folder)):
        raise ArtifactError(f"{folder} exists and is not an artifact", remedy="choose another folder")
    with atomic_write(folder) as temporary:
        temporary.mkdir(parents=True)
        if assembled.adapter is not None:
            adapters.save_adapter(
                assembled.model, assembled.adapter, temporary / "adapters" / assembled.adapter
            )
        for fused in assembled.fusions:
            fusion.save_fusion(assembled.model, fused.name, temporary / "fusions" / fused.name)
        if assembled.adapter is None and not assembled.fusions:
            encoder_files.save_encoder(assembled.model, temporary / "backbone")
        for name in assembled.heads:
            adapters.save_head(assembled.model, name, temporary / "heads" / name)
        write_json(temporary / NAME, {**_described(assembled, folder), **(extra or {})})


def load_artifact(
    folder: Path,
    backbone: Backbone | None = None,
    parents: Mapping[str, Path] | None = None,
    tokens: np.ndarray | None = None,
    quantize: str | None = None,
) -> SetupModel:
    """Load an artifact; its logits equal those of the model that was saved.

    Args:
        folder: The artifact.
        backbone: Its base; by default the one that it names.
        parents: Artifacts of the frozen adapters below it, by reference, where they are not at the place that
            it names.
        tokens: As for `assemble`.
        quantize: As for `assemble`, and also of a whole model; by default as it was trained.

    Raises:
        ArtifactError: If something is missing, damaged or changed, or the base is another one.
    """
    manifest = read_manifest(folder)
    if manifest.head is None:
        raise ArtifactError(
            f"{folder} is a language adapter and answers nothing alone", remedy="use it in a setup, as {lang}"
        )
    base = backbone or identify(manifest.backbone["name"])
    check_backbone(manifest.backbone, base, str(folder))
    how = manifest.quantize if quantize is None else quantize
    whole = manifest.adapter is None and not manifest.fusions
    assembled = assemble(
        base,
        manifest.setup.fresh(),
        target=manifest.target,
        head=_head(manifest.head),
        method=manifest.method,
        parents=_parents(manifest, parents or {}),
        seed=manifest.seed,
        more_heads=[
            HeadSpec(item["name"], item["type"], tuple(item["labels"])) for item in manifest.more_heads
        ],
        tokens=tokens,
        quantize=UNQUANTIZED if whole else how,
    )
    model = assembled.model
    if assembled.adapter is not None:
        adapters.replace_adapter(model, assembled.adapter, manifest.adapter_folder)
    for fused in assembled.fusions:
        fusion.load_fusion(model, fused.name, manifest.fusion_folder(fused.name))
    if whole:
        encoder_files.load_encoder(model, manifest.encoder_folder)
        quantization.quantize(adapters.stack_of(model), how)
    for name in assembled.heads:
        adapters.load_head(model, name, folder / "heads" / name)
    return replace(assembled, setup=manifest.setup, quantize=how)


def _head(values: Mapping[str, Any]) -> HeadSpec:
    return HeadSpec(values["name"], values["type"], tuple(values["labels"]))


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _described(assembled: SetupModel, folder: Path) -> dict[str, Any]:
    """The artifact's own keys."""
    needed = _frozen(assembled)
    heads = [
        {"name": head.name, "module": name, "type": head.type, "labels": list(head.labels)}
        for name, head in assembled.heads.items()
    ]
    return {
        "format": ARTIFACT,
        "setup": str(assembled.setup),
        "method": assembled.method,
        "seed": assembled.seed,
        "target": assembled.target,
        "adapter": assembled.adapter,
        "fusions": [fused.name for fused in assembled.fusions],
        "head": heads[0] if heads else None,
        "more_heads": heads[1:],
        "backbone": assembled.backbone.described(),
        "parents": {
            name: _parent(path, folder, needed=name in needed)
            for name, path in sorted(assembled.parents.items())
        },
        "versions": package_versions(),
        **({"quantize": assembled.quantize} if assembled.quantize != UNQUANTIZED else {}),
    }


def _parent(path: Path, folder: Path, *, needed: bool) -> dict[str, Any]:
    """Where a parent is, and, if the artifact cannot answer without it, the hash of its weights."""
    place = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    return {"path": place, "content": read_manifest(path).content() if needed else None}


def _frozen(assembled: SetupModel) -> set[str]:
    """References whose adapters answer together with what was trained."""
    languages = {name for name in assembled.parents if parent_language(name)}
    return languages | {mix_name(sources) for sources in assembled.setup.fresh().parents()}


def _parents(manifest: Manifest, given: Mapping[str, Path]) -> dict[str, Path]:
    """Folders of the frozen adapters below, each with the weights it had."""
    found: dict[str, Path] = {}
    for name, recorded in manifest.parents.items():
        if recorded["content"] is None:
            continue
        folder = given.get(name) or (manifest.folder / recorded["path"]).resolve()
        if not (folder / NAME).is_file():
            raise ArtifactError(
                f"{manifest.folder} needs '{name}', which is not in {folder}",
                remedy="put it back, or give its folder",
            )
        if read_manifest(folder).content() != recorded["content"]:
            raise ArtifactError(
                f"{manifest.folder} needs '{name}' as it was when it was trained; {folder} has other weights",
                remedy="put the old one back, or train again",
            )
        found[name] = folder
    return found
