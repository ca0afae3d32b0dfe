"""What an artifact says of itself: `artifact.json`, read and checked. Torch-free.

Keys that this module knows: `format`, `setup`, `method`, `seed`, `target`,
`adapter` (its name in the library), `fusions` (theirs, lowest first), `head`,
`more_heads` (of a multi-task run), `backbone`, `parents`, `versions`, and `quantize`
where the base was kept in few bits.
Others belong to whoever saved the artifact and are kept as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrans.errors import ArtifactError, SetupError
from adaptrans.modeling.adapter_methods import SUBTRACTS_NOTHING
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.setup.nodes import Setup
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import QUANTIZED, UNQUANTIZED
from adaptrans.utils.formats import ARTIFACT
from adaptrans.utils.io import read_json

NAME = "artifact.json"
OWN_KEYS = (
    "format",
    "setup",
    "method",
    "seed",
    "target",
    "adapter",
    "fusions",
    "head",
    "more_heads",
    "backbone",
    "parents",
    "versions",
    "quantize",
)
# Compared in this order, so that the message names the most telling difference.
BACKBONE_KEYS = ("architecture", "depth", "width", "vocabulary", "fingerprint")

_TYPES: dict[str, type | tuple[type, ...]] = {
    "setup": str,
    "method": str,
    "seed": int,
    "target": str,
    "adapter": (str, type(None)),
    "head": (dict, type(None)),
    "backbone": dict,
    "parents": dict,
}
_PARTS = {"head": ("name", "module", "type", "labels"), "backbone": ("name", *BACKBONE_KEYS)}


@dataclass(frozen=True)
class Manifest:
    """A checked `artifact.json`.

    Args:
        folder: The artifact.
        setup: What was trained.
        method: Adapter method, or `full`.
        seed: Seed of the fresh weights.
        target: The task it was trained on.
        adapter: Name of its adapter in the library; None for a whole model, or a fusion alone.
        head: `name`, `type` and `labels` of its head; None for a language adapter.
        backbone: Name and identity of its base.
        parents: By reference as in the setup: `path` from the artifact, and `content`, the hash of its
            weights, if the artifact cannot answer without it.
        values: The whole file.
        fusions: Names of its fusions in the library, lowest first.
        more_heads: The heads of the further tasks of a multi-task run, as `head`.
    """

    folder: Path
    setup: Setup
    method: str
    seed: int
    target: str
    adapter: str | None
    head: Mapping[str, Any] | None
    backbone: Mapping[str, Any]
    parents: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Any]
    fusions: tuple[str, ...] = ()
    more_heads: tuple[Mapping[str, Any], ...] = ()

    @property
    def quantize(self) -> str:
        """How the base was kept while it was trained: `8bit`, `4bit` or `none`."""
        return str(self.values.get("quantize", UNQUANTIZED))

    @property
    def adapter_folder(self) -> Path:
        """Where its adapter is.

        Raises:
            ArtifactError: If it has none, being a whole model or a fusion.
        """
        if self.adapter is None and self.fusions:
            raise ArtifactError(
                f"{self.folder} is a fusion ({self.setup}) and has no adapter of its own",
                remedy=f"build on its parts, or train {self.target} with '{self.setup} > target'",
            )
        if self.adapter is None:
            raise ArtifactError(
                f"{self.folder} is a whole model ({self.setup}) and has no adapter",
                remedy=f"write 'full({self.target})' to build on it, or train {self.target} with 'adapter'",
            )
        return self.folder / "adapters" / self.adapter

    @property
    def encoder_folder(self) -> Path:
        """Where its encoder is.

        Raises:
            ArtifactError: If it has none, being an adapter.
        """
        if self.adapter is not None or self.fusions:
            raise ArtifactError(
                f"{self.folder} is an adapter ({self.setup}) and has no encoder of its own",
                remedy=f"write '{self.target} > target' to build on it, or train {self.target} with 'full'",
            )
        return self.folder / "backbone"

    def fusion_folder(self, name: str) -> Path:
        """Where one of its fusions is."""
        return self.folder / "fusions" / name

    def frozen_parents(self, given: Mapping[str, Path]) -> dict[str, Path]:
        """Folders of the frozen adapters below what was trained, by reference.

        Args:
            given: Where some of them are now.

        Raises:
            ArtifactError: If one is not there, or has other weights than it had.
        """
        found: dict[str, Path] = {}
        for name, recorded in self.parents.items():
            if recorded["content"] is None:
                continue
            folder = given.get(name) or (self.folder / recorded["path"]).resolve()
            if not (folder / NAME).is_file():
                raise ArtifactError(
                    f"{self.folder} needs '{name}', which is not in {folder}",
                    remedy="put it back, or give its folder",
                )
            if read_manifest(folder).content() != recorded["content"]:
                raise ArtifactError(
                    f"{self.folder} needs '{name}' as it was when it was trained; {folder} has other weights",
                    remedy="put the old one back, or train again",
                )
            found[name] = folder
        return found

    def lent(self, fits: Callable[[str, Sequence[str]], bool]) -> tuple[Path, tuple[str, ...]] | None:
        """Folder and labels of the first of its heads that fits; None where none does.

        Args:
            fits: Told the form of a head and its labels.
        """
        for head in (self.head, *self.more_heads):
            if head is not None and fits(head["type"], head["labels"]):
                return self.folder / "heads" / head["module"], tuple(head["labels"])
        return None

    def content(self) -> str:
        """Hash of its weights and of what says how they are used."""
        hashed = hashlib.sha256()
        for path in sorted([*self.folder.rglob("*.safetensors"), *self.folder.rglob("*_config.json")]):
            hashed.update(path.relative_to(self.folder).as_posix().encode())
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    hashed.update(block)
        return hashed.hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read and check what an artifact says of itself.

    Raises:
        ArtifactError: If it is missing, damaged, or of a newer format.
    """
    path = folder / NAME
    try:
        values = read_json(path)
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} is not an artifact: it has no {NAME}", remedy="check the path"
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}", remedy="train or fetch it again") from error
    if not isinstance(values, dict) or values.get("format") != ARTIFACT:
        found = values.get("format") if isinstance(values, dict) else None
        raise ArtifactError(
            f"{path} has format {found!r}, this version reads {ARTIFACT}",
            remedy="use the version of adaptrans that wrote it, or train it again",
        )
    problem = next(_problems(values), None)
    if problem:
        raise ArtifactError(f"{path}: {problem} is missing or wrong", remedy="train or fetch it again")
    try:
        setup = parse(values["setup"])
    except SetupError as error:
        raise ArtifactError(f"{path}: {error.message}", remedy="train or fetch it again") from error
    known = {key: values[key] for key in _TYPES if key != "setup"}
    fusions = tuple(values.get("fusions", ()))
    more = tuple(values.get("more_heads", ()))
    return Manifest(folder=folder, setup=setup, values=values, fusions=fusions, more_heads=more, **known)


def subtracts_nothing(folder: Path) -> bool:
    """Whether the adapter in a folder of an artifact is of the method that its configuration does not tell.

    Args:
        folder: The adapter's folder, `ARTIFACT/adapters/NAME`; another one is of no such method.
    """
    path = folder.parent.parent / NAME
    method = read_json(path).get("method") if path.is_file() else None
    return isinstance(method, str) and method.partition("[")[0] == SUBTRACTS_NOTHING


def _problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is missing or wrong, the first thing first."""
    for key, kind in _TYPES.items():
        if key not in values or not isinstance(values[key], kind):
            yield key
    for part, keys in _PARTS.items():
        if values[part] is None:
            continue
        yield from (f"{part}.{key}" for key in keys if key not in values[part])
    head = values["head"]
    if head is not None and not isinstance(head["labels"], list):
        yield "head.labels"
    # A module's name is the name of its folder; one that climbs out of the artifact is none of ours.
    fusions, more = values.get("fusions", []), values.get("more_heads", [])
    if not isinstance(fusions, list):
        yield "fusions"
        return
    if not isinstance(more, list) or not all(
        isinstance(i, dict) and {*_PARTS["head"]} <= i.keys() for i in more
    ):
        yield "more_heads"
        return
    module = [] if head is None else [head["module"]]
    for name in (*module, values["adapter"], *fusions, *(item["module"] for item in more)):
        if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", str(name)):
            yield f"the module name {name!r}"
    if values.get("quantize", UNQUANTIZED) not in (UNQUANTIZED, *QUANTIZED):
        yield "quantize"
    for name, parent in values["parents"].items():
        if not isinstance(parent, dict) or not {"path", "content"} <= parent.keys():
            yield f"parents.{name}"


def check_backbone(recorded: Mapping[str, Any], backbone: Backbone, what: str) -> None:
    """Refuse a base other than the one something was trained on.

    The library loads an adapter onto a base of another depth without a word.

    Raises:
        ArtifactError: With the first difference.
    """
    for key in BACKBONE_KEYS:
        own = getattr(backbone, key)
        if recorded[key] != own:
            values = (recorded[key], own) if key != "fingerprint" else (str(recorded[key])[:12], own[:12])
            raise ArtifactError(
                f"{what} was trained on a backbone of {key} {values[0]}, {backbone.name} has {values[1]}",
                remedy=f"use it with {recorded['name']}",
            )
