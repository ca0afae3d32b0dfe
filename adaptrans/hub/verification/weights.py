"""Whether files of weights hold exactly what their configurations imply, read without loading a model.

The header of a safetensors file is judged byte by byte before its numbers are looked at; the names and
shapes that a configuration implies are those of a model without numbers in it.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adaptrans.hub.package import Base, Package
from adaptrans.hub.verification.configurations import ENCODER, MODULES
from adaptrans.hub.verification.errors import Refusal
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.manifest import Manifest
from adaptrans.utils.io import read_json, write_json

if TYPE_CHECKING:
    from adaptrans.modeling import adapters


Shapes = dict[str, tuple[int, ...]]

LARGEST_HEADER = 8 << 20
"""Bytes of the header of a safetensors file."""
CHUNK = 1 << 22
"""Numbers that are looked at together."""
# Bytes of one number. Source: the format's list of dtypes, without those that no model of ours has.
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: dtype, shape, and where its bytes are."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Damaged(ValueError):
    """A file of weights that is not what it says, with the reason of the refusal."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of a safetensors file, from its header alone.

    Raises:
        Damaged: If the header is none, or does not fit the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            # Looked at only now: two of these bytes may also begin the length of a sound header.
            if first[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
                raise Damaged("pickle", "is a pickle under the name of a safetensors file")
            raise Damaged("header", f"says that its header has {length} bytes; the file has {size}")
        text = file.read(length)
    try:
        values = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Damaged("header", f"has no readable header: {error}") from None
    if not isinstance(values, dict):
        raise Damaged("header", "has no readable header")
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise Damaged("header", "has metadata that are no object")
    found = {name: _stored(name, entry, 8 + length) for name, entry in values.items()}
    place = 8 + length
    for name, item in sorted(found.items(), key=lambda pair: (pair[1].start, pair[1].end)):
        if item.start != place:
            raise Damaged("header", f"has bytes of {name[:80]} that overlap others or leave a gap")
        place = item.end
    if place != size:
        raise Damaged("header", f"claims {place} bytes, the file has {size}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _stored(name: str, entry: Any, start: int) -> Stored:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Damaged("header", f"describes {name[:80]} in another form")
    shape, offsets = entry["shape"], entry["data_offsets"]
    plain = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if not all(type(number) is int and 0 <= number < 1 << 50 for number in plain) or len(offsets) != 2:
        raise Damaged("header", f"gives {name[:80]} an impossible shape or place")
    if entry["dtype"] not in SIZES:
        raise Damaged("header", f"has numbers of type {str(entry['dtype'])[:20]!r} in {name[:80]}")
    count = 1
    for number in shape:
        count *= number
    if count * SIZES[entry["dtype"]] != offsets[1] - offsets[0]:
        raise Damaged("header", f"gives {name[:80]} the shape {shape}, for which it has not the bytes")
    return Stored(entry["dtype"], tuple(shape), start + offsets[0], start + offsets[1])


def not_finite(path: Path, tensors: Mapping[str, Stored]) -> str | None:
    """The first tensor that contains NaN or infinity, None if there is none."""
    for name, item in tensors.items():
        if item.dtype not in FLOATS and item.dtype != "BF16":
            continue
        kind = FLOATS.get(item.dtype, np.uint16)
        count = (item.end - item.start) // np.dtype(kind).itemsize
        if count == 0:
            continue
        numbers = np.memmap(path, dtype=kind, mode="r", offset=item.start, shape=(count,))
        for start in range(0, count, CHUNK):
            part = np.asarray(numbers[start : start + CHUNK])
            # A bfloat16 whose eight bits of exponent are all set is infinite or NaN.
            bad = (part & 0x7F80) == 0x7F80 if item.dtype == "BF16" else ~np.isfinite(part)
            if bad.any():
                return name
    return None


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
            headers[file.path] = read_header(folder / file.path)
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
    from adaptrans.modeling import adapters
    from adaptrans.modeling.adapters import canonical_name

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
    import torch

    from adaptrans.modeling import adapters
    from adaptrans.modeling.adapters import canonical_name
    from adaptrans.modeling.heads import HeadSpec

    part, _, rest = path.partition("/")
    if part == "backbone":
        own = adapters.encoder_tensors(model)
        return {key.removeprefix("roberta."): tuple(value.shape) for key, value in own.items()}
    module = rest.partition("/")[0]
    with torch.device("meta"):
        if part == "heads":
            described = next(
                item for item in (manifest.head, *manifest.more_heads) if item and item["module"] == module
            )
            spec = HeadSpec(described["name"], described["type"], tuple(described["labels"]))
            adapters.add_head(model, module, spec, 0)
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


_FUSION = re.compile(
    r"roberta\.encoder\.layer\.(\d+)\.(?:attention\.)?output\.adapter_fusion_layer\.([A-Za-z0-9_-]+)"
    r"\.(?:query|key|value)\.(weight|bias)\Z"
)


def _fusion(path: str, stored: Shapes, base: Base) -> Iterator[Refusal]:
    """A fusion alone: in which layers it is, its members say, which are in other artifacts."""
    module = path.split("/")[1]
    if not stored:
        yield Refusal("tensors", path, "holds no tensor")
    for name, shape in sorted(stored.items()):
        match = _FUSION.match(name)
        if match is None or match[2] != module or int(match[1]) >= base.depth:
            yield Refusal("tensors", path, f"holds {name[:120]}, which is no part of this fusion")
            return
        wanted = (base.width, base.width) if match[3] == "weight" else (base.width,)
        if shape != wanted:
            yield Refusal("shape", path, f"{name} has the shape {list(shape)}, implied is {list(wanted)}")
            return
