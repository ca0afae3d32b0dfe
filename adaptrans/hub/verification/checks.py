"""What a package may hold, checked before anything of it is loaded. Torch-free.

`before_fetch` judges what a manifest and a hub's listing claim, so that nothing of a bad package is
downloaded; `check_files` judges the files themselves. Both collect every refusal, each with its reason.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from adaptrans.errors import ArtifactError
from adaptrans.hub.base import Remote, name_problem
from adaptrans.hub.package import CARD, LARGEST_TEXT, NAME, Base, Package, key_of, module_folder
from adaptrans.hub.verification.configurations import (
    ENCODER,
    MODULES,
    class_refusals,
    code_problem,
)
from adaptrans.hub.verification.errors import Refusal
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.encoder import ENCODERS
from adaptrans.modeling.manifest import BACKBONE_KEYS, Manifest, read_manifest
from adaptrans.modeling.manifest import NAME as ARTIFACT
from adaptrans.tasks import names
from adaptrans.utils.io import sha256

LARGEST = 20 << 30
"""Bytes of a whole package, unless the user allows more."""
MOST_FILES = 200
ROOM = 64 << 20
"""Bytes that a file of weights may have beyond what its base implies."""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".h5", ".msgpack")


def allowed(path: str) -> bool:
    """Whether an artifact may hold a file of this name.

    Example:
        >>> allowed("adapters/xnli/adapter.safetensors"), allowed("adapters/xnli/run.py")
        (True, False)
    """
    if path in (CARD, ARTIFACT, *ENCODER):
        return True
    module = module_folder(path)
    return module is not None and module[2] in MODULES.get(module[0], ())


def path_refusal(path: str) -> Refusal | None:
    """Why a path may not be in a manifest, None if it may."""
    shown = ascii(path)[1:-1][:120]
    if path.startswith(("/", "\\", "~")) or PureWindowsPath(path).drive:
        return Refusal("path", shown, "is an absolute path")
    if "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return Refusal("path", shown, "leads out of the artifact")
    if any(not 32 < ord(char) < 127 for char in path):
        return Refusal("look-alike", shown, "has a character that is not plain ASCII")
    if path.lower().endswith(PICKLES):
        return Refusal("pickle", shown, "is of a type that can run code when it is loaded")
    if not allowed(path):
        return Refusal("file type", shown, "is none of the files that an artifact holds")
    return None


def largest_weights(base: Base) -> int:
    """Bytes that one file of weights for this base may have."""
    inner = base.config.get(_key(base, "intermediate_size"))
    wide = max(base.width, inner if isinstance(inner, int) else 4 * base.width)
    return 8 * (base.vocabulary * base.width + base.depth * 16 * base.width * wide) + ROOM


def _key(base: Base, name: str) -> str:
    """What a key of BERT's configuration is called in that of a base, whose architecture may be unknown."""
    return ENCODERS[base.architecture].key(name) if base.architecture in ENCODERS else name


def before_fetch(
    package: Package, listing: Iterable[Remote], *, name: str | None = None, largest: int = LARGEST
) -> list[Refusal]:
    """Everything that can be refused without downloading a file.

    Args:
        package: The manifest.
        listing: The hub's files of the package.
        name: The name that was asked for.
        largest: Bytes that the package may have.
    """
    found = list(_name(package, name))
    if len(package.files) > MOST_FILES:
        return [*found, Refusal("size", NAME, f"lists {len(package.files)} files, more than {MOST_FILES}")]
    found += [refusal for file in package.files if (refusal := path_refusal(file.path))]
    paths = [file.path for file in package.files]
    folded = [path.lower() for path in paths]
    found += [Refusal("path", path, "is listed twice") for path in paths if folded.count(path.lower()) > 1]
    room = largest_weights(package.base)
    for file in package.files:
        most = room if file.path.endswith(".safetensors") else LARGEST_TEXT
        if file.size > most:
            found.append(
                Refusal(
                    "size",
                    file.path,
                    f"claims {file.size} bytes, of which {most} are the most that it can have",
                )
            )
    if package.size > largest:
        found.append(Refusal("size", NAME, f"claims {package.size} bytes, the limit is {largest}"))
    needed = {ARTIFACT, CARD} - set(paths)
    found += [Refusal("missing", path, "is not in the manifest") for path in sorted(needed)]
    return found + list(_listed(package, list(listing)))


def _name(package: Package, name: str | None) -> Iterator[Refusal]:
    problem = name_problem(package.name)
    if problem:
        yield Refusal("look-alike", "name", f"the name {package.name!a} {problem}")
    elif name is not None and package.name != name:
        yield Refusal("address", "name", f"is {package.name!r}, asked for was {name!r}")
    unsayable = names.name_problem(package.target)
    if unsayable:
        yield Refusal("name", "target", f"is {package.target[:80]!a}, which {unsayable}")


def _listed(package: Package, listing: Sequence[Remote]) -> Iterator[Refusal]:
    """How a hub's listing and the manifest differ."""
    there = {item.path: item for item in listing}
    for file in package.files:
        item = there.pop(file.path, None)
        if item is None:
            yield Refusal("missing", file.path, "is in the manifest and not in the hub")
        elif item.link:
            yield Refusal("link", file.path, "is a link")
        elif item.size is not None and item.size != file.size:
            yield Refusal("size", file.path, f"has {item.size} bytes, the manifest says {file.size}")
    there.pop(NAME, None)
    for path in sorted(there):
        refusal = path_refusal(path)
        if refusal is not None:
            yield Refusal(refusal.reason, refusal.place, f"is not in the manifest, and {refusal.message}")
        else:
            yield Refusal("unlisted", path, "is not in the manifest")


def check_files(folder: Path, package: Package, backbone: Backbone | None = None) -> list[Refusal]:
    """Everything that can be refused with the files at hand, their tensors apart.

    Args:
        folder: The package.
        package: Its manifest.
        backbone: The base that it is to be used with; None to check what does not depend on it.
    """
    found = list(_files(folder, package))
    if found:
        return found
    texts: dict[str, Any] = {}
    for file in package.files:
        if file.path.endswith(".json"):
            try:
                texts[file.path] = _object(folder / file.path)
            except ValueError as error:
                found.append(Refusal("json", file.path, str(error)))
    if found:
        return found
    found += list(own_base(package, backbone))
    found += [refusal for path, value in texts.items() for refusal in class_refusals(path, value, package)]
    if key_of(package.inputs) != package.run.key:
        found.append(
            Refusal("key", "inputs", f"make the key {key_of(package.inputs)}, not {package.run.key}")
        )
    try:
        manifest = read_manifest(folder)
    except ArtifactError as error:
        return [*found, Refusal("json", ARTIFACT, error.message)]
    return [*found, *_agreeing(package, manifest)]


def _files(folder: Path, package: Package) -> Iterator[Refusal]:
    listed = {file.path: file for file in package.files}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield Refusal("link", relative, "is a link")
        elif stat.S_ISDIR(mode) or relative == NAME:
            continue
        elif not stat.S_ISREG(mode):
            yield Refusal("file type", relative, "is no plain file")
        elif relative not in listed:
            refusal = path_refusal(relative)
            yield refusal or Refusal("unlisted", relative, "is not in the manifest")
    for file in package.files:
        path = folder / file.path
        if path_refusal(file.path) or not path.is_file() or path.is_symlink():
            yield path_refusal(file.path) or Refusal("missing", file.path, "is in the manifest and not there")
        elif path.stat().st_size != file.size:
            yield Refusal(
                "size", file.path, f"has {path.stat().st_size} bytes, the manifest says {file.size}"
            )
        elif sha256(path) != file.sha256:
            yield Refusal("hash", file.path, "is not the file that the manifest lists")


def _object(path: Path) -> Any:
    """A JSON file that holds an object of plain values."""

    def refuse(text: str) -> None:
        raise ValueError(f"holds {text}, which is no number")

    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return value


def own_base(package: Package, backbone: Backbone | None) -> Iterator[Refusal]:
    """What a manifest says of the base, against itself and against the base at hand (if one is given)."""
    base = package.base
    said = {"hidden_size": base.width, "num_hidden_layers": base.depth, "vocab_size": base.vocabulary}
    for name, value in said.items():
        key = _key(base, name)
        if base.config.get(key, value) != value:
            yield Refusal("base", f"base.config.{key}", f"is {base.config[key]}, elsewhere it says {value}")
    problem = code_problem(base.config)
    if problem:
        yield Refusal("class", "base.config", problem)
    if package.inputs.get("backbone") not in (None, base.fingerprint):
        yield Refusal("base", "inputs.backbone", "is another fingerprint than that of the base")
    if backbone is None:
        return
    for key in BACKBONE_KEYS:
        own, other = getattr(base, key), getattr(backbone, key)
        if own != other:
            short = (str(own)[:12], str(other)[:12])
            yield Refusal(
                "class" if key == "architecture" else key,
                f"base.{key}",
                f"is {short[0]}, that of {backbone.name} is {short[1]}",
            )


def _agreeing(package: Package, manifest: Manifest) -> Iterator[Refusal]:
    """Whether `artifact.json` says the same as the manifest."""
    for key in BACKBONE_KEYS:
        if manifest.backbone[key] != getattr(package.base, key):
            yield Refusal("base", ARTIFACT, f"says {key} {manifest.backbone[key]}, the manifest another one")
    for key in ("method", "seed", "target"):
        if getattr(manifest, key) != getattr(package, key):
            yield Refusal("json", ARTIFACT, f"says another {key} than the manifest")
    if str(manifest.setup) != package.setup:
        yield Refusal("json", ARTIFACT, "says another setup than the manifest")
    parents = {parent.reference: parent for parent in package.parents}
    if set(parents) != set(manifest.parents):
        yield Refusal("parent", ARTIFACT, "names other parents than the manifest")
        return
    for name, recorded in manifest.parents.items():
        parent = parents[name]
        if (
            recorded["content"] != parent.content
            or recorded["path"] != f"../../../{parent.run.folder}/artifact"
        ):
            yield Refusal("parent", f"{ARTIFACT}: {name!a}", "is not the parent that the manifest names")
    if manifest.content() != package.content:
        yield Refusal("content", "content", "is not the hash of these weights")
