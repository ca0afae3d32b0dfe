"""Whether files of weights hold exactly what their configurations imply, read without loading a model.

The header of a safetensors file is judged byte by byte before its numbers are looked at; the names and
shapes that a configuration implies are those of a model without numbers in it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from adaptrans.hub.package import Base, Package
from adaptrans.hub.verification.checks import ENCODER, MODULES, Refusal, check_files
from adaptrans.modeling import adapters
from adaptrans.modeling.adapters import canonical_name
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.encoder import ENCODERS
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.manifest import Manifest, read_manifest
from adaptrans.utils.io import read_json, write_json
from adaptrans.utils.safetensors_header import SIZES, Damaged, Stored, not_finite, read_header

LARGEST_HEADER = 8 << 20
"""Bytes that the header of a safetensors file may have."""

DTYPES = {name: SIZES[name] for name in ("F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL")}
"""Types of numbers that a model of ours has."""

Shapes = dict[str, tuple[int, ...]]


def after_fetch(folder: Path, package: Package, backbone: Backbone | None = None) -> list[Refusal]:
    """Everything that can be refused with the files at hand, before anything is loaded.

    Args:
        folder: The package.
        package: Its manifest.
        backbone: The base that it is to be used with; None to check what does not depend on it.
    """
    return check_files(folder, package, backbone) or check_weights(folder, package, read_manifest(folder))


def check_weights(folder: Path, package: Package, manifest: Manifest) -> list[Refusal]:
    """Everything that is wrong with the weights of a package.

    Args:
        folder: The package, whose other files have been checked.
        package: Its manifest.
        manifest: Its `artifact.json`.
    """
    found: list[Refusal] = []
    headers: dict[str, dict[str, Stored]] = {}
    for file in package.files:
        if not file.path.endswith(".safetensors"):
            continue
        try:
            headers[file.path] = read_header(folder / file.path, largest=LARGEST_HEADER, dtypes=DTYPES)
        except Damaged as error:
            found.append(Refusal(error.reason, file.path, str(error)))
            continue
        bad = not_finite(folder / file.path, headers[file.path])
        if bad is not None:
            found.append(Refusal("not finite", file.path, f"{bad[:120]} contains NaN or infinity"))
    if found:
        return found
    return [*_complete(manifest, package), *_as_implied(folder, headers, package.base, manifest)]


def _complete(manifest: Manifest, package: Package) -> Iterator[Refusal]:
    """Whether the files are those that `artifact.json` names, no fewer and no more."""
    heads = [str(item["module"]) for item in (manifest.head, *manifest.more_heads) if item]
    parts = {
        "adapters": [manifest.adapter] if manifest.adapter else [],
        "fusions": list(manifest.fusions),
        "heads": heads,
    }
    wanted = {
        f"{part}/{name}/{file}" for part, names in parts.items() for name in names for file in MODULES[part]
    }
    if not manifest.adapter and not manifest.fusions:
        wanted |= set(ENCODER)
    there = {file.path for file in package.files if "/" in file.path}
    yield from (Refusal("missing", path, "is what artifact.json names") for path in sorted(wanted - there))
    yield from (Refusal("unlisted", path, "is not named by artifact.json") for path in sorted(there - wanted))


def _as_implied(
    folder: Path, headers: Mapping[str, Mapping[str, Stored]], base: Base, manifest: Manifest
) -> Iterator[Refusal]:
    """Names and shapes of all tensors against those that the configurations imply."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            model = adapters.empty_model(_stand_in(base, Path(temporary)))
        except Exception as error:  # whatever transformers raises for an impossible configuration
            yield Refusal("base", "base.config", f"makes no encoder: {error}")
            return
    for path, stored in headers.items():
        own = {canonical_name(name): item.shape for name, item in stored.items()}
        if path.startswith("fusions/"):
            yield from _fusion(path, {name: item.shape for name, item in stored.items()}, base)
            continue
        try:
            implied = _implied(model, path, folder, manifest)
        except Exception as error:  # whatever the library raises for an impossible configuration
            yield Refusal("class", path, f"its configuration makes nothing: {error}")
            continue
        yield from differences(path, own, implied)


def _stand_in(base: Base, folder: Path) -> Backbone:
    """The base without its weights."""
    known = {key: value for key, value in base.config.items() if value is not None}
    write_json(folder / "config.json", {**known, "model_type": base.architecture})
    return Backbone(
        base.id, folder, None, base.architecture, base.depth, base.width, base.vocabulary, base.fingerprint
    )


def _implied(model: adapters.Model, path: str, folder: Path, manifest: Manifest) -> Shapes:
    """Shapes by name that a file's configuration implies."""

    part, _, rest = path.partition("/")
    if part == "backbone":
        own = adapters.encoder_tensors(model)
        return {
            adapters.spec_of(model).name_in_encoder(key): tuple(value.shape) for key, value in own.items()
        }
    module = rest.partition("/")[0]
    with torch.device("meta"):
        if part == "heads":
            described = next(
                item for item in (manifest.head, *manifest.more_heads) if item and item["module"] == module
            )
            spec = HeadSpec(described["name"], described["type"], tuple(described["labels"]))
            adapters.add_head(model, module, spec.library_config(), 0)
            own = adapters.head_tensors(model, module)
        else:
            config = read_json(folder / part / module / adapters.ADAPTER_CONFIG)["config"]
            model.add_adapter("checked", config=adapters.AdapterConfig.load(config))
            own = adapters.adapter_tensors(model, "checked")
    return {canonical_name(key): tuple(value.shape) for key, value in own.items()}


def differences(path: str, stored: Shapes, implied: Shapes) -> Iterator[Refusal]:
    """How the tensors of a file differ from what they should be, the first of each kind."""
    lacking, more = sorted(implied.keys() - stored.keys()), sorted(stored.keys() - implied.keys())
    if lacking:
        yield Refusal("tensors", path, f"lacks {len(lacking)} tensors, the first is {lacking[0]}")
    if more:
        yield Refusal("tensors", path, f"holds {len(more)} tensors too many, the first is {more[0][:120]}")
    for name in sorted(stored.keys() & implied.keys()):
        if stored[name] != implied[name]:
            shapes = f"{list(stored[name])}, implied is {list(implied[name])}"
            yield Refusal("shape", path, f"{name} has the shape {shapes}")
            return


_FUSION = (
    r"(?:attention\.)?output\.adapter_fusion_layer\.([A-Za-z0-9_-]+)"
    r"\.(?:query|key|value)\.(weight|bias)\Z"
)


def _fusion(path: str, stored: Shapes, base: Base) -> Iterator[Refusal]:
    """A fusion alone: in which layers it is, its members say, which are in other artifacts."""
    module = path.split("/")[1]
    layer = re.compile(re.escape(ENCODERS[base.architecture].layer_prefix) + r"(\d+)\." + _FUSION)
    if not stored:
        yield Refusal("tensors", path, "holds no tensor")
    for name, shape in sorted(stored.items()):
        match = layer.match(name)
        if match is None or match[2] != module or int(match[1]) >= base.depth:
            yield Refusal("tensors", path, f"holds {name[:120]}, which is no part of this fusion")
            return
        wanted = (base.width, base.width) if match[3] == "weight" else (base.width,)
        if shape != wanted:
            yield Refusal("shape", path, f"{name} has the shape {list(shape)}, implied is {list(wanted)}")
            return
