"""An encoder and a masked language model head that was trained for it, as one backbone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptrans.errors import ArtifactError
from adaptrans.modeling.adapters import empty_model, encoder_tensors
from adaptrans.modeling.backbone import WEIGHTS, Backbone, tokenizer_files, weight_files
from adaptrans.modeling.config_keys import TEXT_PREFIXES
from adaptrans.modeling.safetensors_io import read_tensors, write_tensors
from adaptrans.utils.io import atomic_write, read_json, write_json

ABOUT = "adaptrans_head.json"
"""How the head of a folder was made; no part of what identifies the backbone."""


HEAD_FILE = "head.safetensors"
"""The head as its run leaves it, by the names of transformers' class for masked language modeling."""

HEAD_ABOUT = "head.json"
"""How it was made."""


def refuse_other(folder: Path, trained_by: str) -> bool:
    """Refuse a folder that holds anything but an encoder with the head of a run.

    Args:
        folder: The folder.
        trained_by: Key of the run.

    Returns:
        Whether the folder holds it.

    Raises:
        ArtifactError: If it holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / ABOUT).is_file() or read_json(folder / ABOUT).get("trained_by") != trained_by:
        raise ArtifactError(
            f"{folder} exists and holds something else", remedy="choose another folder with --out"
        )
    return True


def write_backbone(
    base: Backbone, artifact: Path, folder: Path, trained_by: str, about: Mapping[str, Any]
) -> bool:
    """Write a folder that is a backbone: the encoder of one, bit by bit, with a head.

    Tensors have the names of transformers' class for masked language modeling, so that it reads the folder.

    Args:
        base: The encoder; a head of its own is left out.
        artifact: Folder of the head, as its run left it.
        folder: Where to; it appears whole or not at all.
        trained_by: Key of the run.
        about: What else is to be known of the head.

    Returns:
        Whether it was written now; False where the same was there.

    Raises:
        ArtifactError: If the folder holds anything else, or a file is damaged.
    """
    if refuse_other(folder, trained_by):
        return False
    spec = base.spec
    wanted = set(encoder_tensors(empty_model(base)))
    made = {key: value for key, value in read_json(artifact / HEAD_ABOUT).items() if key != "backbone"}
    with atomic_write(folder) as temporary:
        temporary.mkdir(parents=True)
        stored = {
            name: value
            for path in weight_files(base.path, base.name)
            for key, value in read_tensors(path).items()
            if (name := spec.name_in_model(key)) in wanted
        }
        write_tensors(temporary / WEIGHTS, {**stored, **read_tensors(artifact / HEAD_FILE)})
        for path in tokenizer_files(base.path):
            shutil.copyfile(path, temporary / path.name)
        config = read_json(base.path / "config.json")
        plain = spec.plain_heads.get("mlm")
        named = {"architectures": [plain.architecture]} if plain else {}
        prefixes = {TEXT_PREFIXES: list(base.prefixes)} if base.prefixes else {}
        write_json(temporary / "config.json", {**config, **named, **prefixes})
        write_json(temporary / ABOUT, {"encoder": base.described(), **made, **about})
    return True
