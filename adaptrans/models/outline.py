"""A backbone for a plan: its shape, also where its weights are not on this machine. Torch-free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adaptrans import mini
from adaptrans.errors import ArtefactError
from adaptrans.models.backbone import (
    ARCHITECTURES,
    Backbone,
    NotFetchedError,
    identify,
    recommended_layer,
)
from adaptrans.models.configkeys import PAD, longest_input
from adaptrans.models.control import control_of
from adaptrans.tasks.locate import hub_cache

ABSENT = "absent:"
"""What stands for the hash of content that is not here begins with it; no hash does."""

BASE, LARGE = (12, 768, 250002), (24, 1024, 250002)

SHAPES = {
    "FacebookAI/xlm-roberta-base": BASE,
    "FacebookAI/xlm-roberta-large": LARGE,
    "xlm-roberta-base": BASE,
    "xlm-roberta-large": LARGE,
}
"""Layers, width, vocabulary by hub name. Source: their `config.json`; Conneau et al. 2020 (1911.02116)."""


def outlined(name_or_folder: str | Path, controls: Path | None = None) -> Backbone:
    """The backbone of a name, not downloaded: where it is not at hand, what is known of it.

    Args:
        name_or_folder: As for `identify`.
        controls: As for `identify`.

    Returns:
        The backbone; if it is not at hand, `fetched` is False and its fingerprint stands for none.

    Raises:
        ArtefactError: If there is no such folder, it cannot be used, or nothing is known of its shape.

    Example:
        >>> outlined("mini").fetched
        True
    """
    name = str(name_or_folder)
    of = control_of(name) or name
    # The hub's client takes longer to import than a plan: it is asked only where it may have something.
    places = (Path(of), hub_cache() / f"models--{of.replace('/', '--')}")
    try:
        if of not in SHAPES or any(place.is_dir() for place in places):
            return identify(name, controls=controls, fetch=False)
    except NotFetchedError:
        pass
    config = _config(of)
    return Backbone(
        name,
        Path(),
        None,
        ARCHITECTURES[0],
        config["num_hidden_layers"],
        config["hidden_size"],
        config["vocab_size"],
        f"{ABSENT}{name}",
        fetched=False,
        longest=longest_input(config),
        retrieval_layer=recommended_layer(config, name),
    )


SHAPE_KEYS = ("num_hidden_layers", "hidden_size", "vocab_size")


def _config(name: str) -> dict[str, Any]:
    """What the configuration of a backbone of the hub says of its shape; at most that file is read."""
    if name in SHAPES:
        known = dict(zip(SHAPE_KEYS, SHAPES[name], strict=True))
        return {**known, "max_position_embeddings": mini.LONGEST + PAD + 1, "pad_token_id": PAD}
    from huggingface_hub import constants, hf_hub_download

    try:
        path = hf_hub_download(name, "config.json", local_files_only=constants.HF_HUB_OFFLINE)
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        longest_input(config)
        return {**config, **{key: int(config[key]) for key in SHAPE_KEYS}}
    except Exception as error:  # the client raises a dozen kinds for "no network" and "no such repository"
        raise ArtefactError(
            f"backbone {name!r} is neither a folder nor in the hub cache, and nothing is known of its shape",
            remedy=f"fetch it where there is a network: huggingface-cli download {name} config.json",
        ) from error
