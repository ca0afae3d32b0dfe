"""What a package may hold, checked before anything of it is loaded. Torch-free.

`before_fetch` judges what a manifest and a hub's listing claim, so that nothing of a bad package is
downloaded; `check_files` judges the files themselves. Both collect every refusal, each with its reason.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from adaptrans.errors import ArtifactError
from adaptrans.hub.base import Remote, name_problem
from adaptrans.hub.package import CARD, LARGEST_TEXT, NAME, Base, Package
from adaptrans.modeling.adapter_methods import ADAPTER_METHODS
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.config_keys import ATTENTION_KEYS
from adaptrans.modeling.encoder import ENCODERS
from adaptrans.modeling.manifest import BACKBONE_KEYS, Manifest, read_manifest
from adaptrans.modeling.manifest import NAME as ARTIFACT
from adaptrans.tasks import names
from adaptrans.utils.io import digest, sha256

REASONS = {
    "address": "its name is not the one that was asked for",
    "base": "it contradicts itself about its base",
    "class": "a configuration names another class than the ones it may, or makes a library run code",
    "content": "its weights are not those that it was scored with",
    "depth": "it belongs to a base of another depth",
    "file type": "a file is none of those that an artifact may hold",
    "fingerprint": "it belongs to a base with other weights",
    "hash": "a file is not the one that the manifest lists",
    "header": "a file of weights is damaged, or claims what it does not hold",
    "json": "a JSON file cannot be read",
    "key": "its run's inputs do not make its run's key",
    "link": "a file is a link",
    "look-alike": "a name has a character that looks like another one",
    "manifest": "the manifest cannot be read",
    "missing": "a file is missing",
    "name": "setups cannot say the name of its task",
    "not finite": "weights are infinite or not a number",
    "parent": "what it was built on is missing or another one",
    "path": "a path leads out of the artifact",
    "pickle": "a file is a pickle, which can run code",
    "shape": "a tensor has another shape than its configuration implies",
    "size": "a file is larger than it says, or than it may be",
    "tensors": "tensors are missing or too many for its configuration",
    "unlisted": "a file is not in the manifest",
    "vocabulary": "it belongs to a base of another vocabulary",
    "width": "it belongs to a base of another width",
}
"""Every reason for a refusal."""


def printable(text: str) -> str:
    """A text of unknown origin without what would steer a terminal.

    Example:
        >>> printable("a\\x1b[2Jb")
        'a?[2Jb'
    """
    return "".join(char if char.isprintable() else "?" for char in text)


@dataclass(frozen=True)
class Refusal:
    """Why a package is not loaded.

    Args:
        reason: A key of `REASONS`.
        place: The file or key concerned.
        message: What is wrong with it.
    """

    reason: str
    place: str
    message: str

    def __str__(self) -> str:
        return printable(f"[{self.reason}] {self.place}: {self.message}")


class Refused(ArtifactError):
    """A package that is not loaded, with all refusals."""

    def __init__(self, what: str, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(
            f"{what} is refused: {refusals[0]}{more}",
            remedy="see adaptrans hub verify; nothing of it was loaded",
        )


ENCODER_CONFIG = "backbone/config.json"
MODULE_KEYS = {
    "config", "hidden_size", "model_class", "model_name", "model_type", "name", "version", "adapter_names",
    "num_labels", "label2id", "config_id",
}  # fmt: skip
HEAD_TYPES = ("classification", "tagging", "question_answering", "multiple_choice", "masked_lm")
MODULES = {
    "adapters": ("adapter_config.json", "adapter.safetensors"),
    "fusions": ("adapter_fusion_config.json", "model_adapter_fusion.safetensors"),
    "heads": ("head_config.json", "model_head.safetensors"),
}
ENCODER = (ENCODER_CONFIG, "backbone/model.safetensors")

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
    module = re.fullmatch(r"([a-z]+)/[A-Za-z0-9_-]+/([^/]+)", path)
    return module is not None and module[2] in MODULES.get(module[1], ())


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
    key = digest(package.inputs)
    if key != package.run.key:
        found.append(Refusal("key", "inputs", f"make the key {key}, not {package.run.key}"))
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


def class_refusals(path: str, value: Mapping[str, Any], package: Package) -> Iterator[Refusal]:
    """Whether a configuration names only classes that it may."""
    if path == ARTIFACT:
        return
    if package.base.architecture not in ENCODERS:
        yield Refusal("class", path, f"belongs to the architecture {package.base.architecture[:80]!r}")
        return
    if path == ENCODER_CONFIG:
        yield from _encoder_class(path, value, package.base)
        return
    stray = sorted(set(value) - MODULE_KEYS)
    if stray:
        yield Refusal("class", path, f"has the key {stray[0]!r}, which no adapter's configuration has")
    spec = ENCODERS[package.base.architecture]
    if not re.fullmatch(f"{spec.classes}[A-Za-z]*", str(value.get("model_class") or spec.classes)):
        yield Refusal("class", path, f"is for the class {str(value['model_class'])[:80]!r}")
    if value.get("model_type", spec.architecture) != spec.architecture:
        yield Refusal("class", path, f"is for the model type {str(value['model_type'])[:80]!r}")
    if value.get("hidden_size", package.base.width) != package.base.width:
        yield Refusal(
            "width", path, f"is for a width of {value['hidden_size']}, the base has {package.base.width}"
        )
    check = CONFIGS[path.partition("/")[0]]
    problem = check(value.get("config"))
    if problem:
        yield Refusal("class", path, problem)


def adapter_config_problem(config: Any) -> str | None:
    """What is wrong with the configuration of an adapter, None if nothing is."""
    if not isinstance(config, dict):
        return "has no configuration of an adapter, but the name of one elsewhere"
    known = {form for name in ADAPTER_METHODS for form in ADAPTER_METHODS[name].architectures}
    if config.get("architecture") not in known:
        return f"names the architecture {str(config['architecture'])[:80]!r}"
    inner = config.get("configs", [])
    if not isinstance(inner, list) or len(inner) > 8:
        return "has no list of configurations"
    problem = next((found for item in inner if (found := adapter_config_problem(item))), None)
    return problem or code_problem(config)


def _fusion_config(config: Any) -> str | None:
    if not isinstance(config, dict):
        return "has no configuration of a fusion"
    return code_problem(config)


def _head_config(config: Any) -> str | None:
    if not isinstance(config, dict) or config.get("head_type") not in HEAD_TYPES:
        said = config.get("head_type") if isinstance(config, dict) else config
        return f"names the head type {str(said)[:80]!r}"
    return code_problem(config)


CONFIGS: dict[str, Callable[[Any], str | None]] = {
    "adapters": adapter_config_problem,
    "fusions": _fusion_config,
    "heads": _head_config,
}


def code_problem(value: Any) -> str | None:
    """What is wrong with a configuration that has, at any depth, a key that makes some library run code.

    Example:
        >>> code_problem({"inner": [{"_attn_implementation": "eager"}]})
        "has the key '_attn_implementation', which can make a library run code"
    """
    if isinstance(value, Mapping):
        found = next((key for key in value if runs_code(key)), None)
        if found is not None:
            return f"has the key {found!r}, which can make a library run code"
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return None
    return next((problem for item in value if (problem := code_problem(item))), None)


def runs_code(key: str) -> bool:
    """Whether a key of a configuration makes some library import, or fetch and run, code."""
    return key in (
        *ATTENTION_KEYS,
        "auto_map",
        "custom_pipelines",
        "trust_remote_code",
        "module",
        "class",
        "_target_",
        "__class__",
    )


def _encoder_class(path: str, value: Mapping[str, Any], base: Base) -> Iterator[Refusal]:
    problem = code_problem(value)
    if problem:
        yield Refusal("class", path, problem)
    own_class = ENCODERS[base.architecture].bare_class
    if value.get("model_type") != base.architecture or value.get("architectures") not in (None, [own_class]):
        yield Refusal("class", path, f"is the configuration of another class than {own_class}")
    for key, own in base.config.items():
        if own is not None and value.get(key) != own:
            yield Refusal("base", path, f"has {key} {value.get(key)}, the base {own}")
