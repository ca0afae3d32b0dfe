"""Encoders that are known by a short name, and what is known of them without a download. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adaptrans.errors import UnknownNameError
from adaptrans.modeling.encoder import ENCODERS, FEATURES, EncoderSpec
from adaptrans.utils.yaml import load_yaml

FILE = Path(__file__).with_name("known_backbones.yaml")
HEAD = "masked language modeling: language adapters, text in mixes, cloze prompts"
"""What an encoder with its masked language model head can do beside the rest."""


class KnownBackbone(BaseModel):
    """One encoder, as the file of them describes it.

    Args:
        name: Its short name.
        source: `bundled` with the package, brought by an `extra`, or from the `hub`.
        hub: Its name on the Hugging Face Hub; None if it is not there.
        about: What it is, in a few words.
        languages: Number of languages of its pretraining; None if that is not known.
        license: Of its weights, as SPDX calls it; None if that is not known.
        head: Whether its files hold a masked language model head that is read here; None if not known.
        prefixes: What it was trained to find before a text.
        paper: Where it is described.
        parameters: Of the encoder without pooler and head; None where its architecture is not supported.
        config: The keys of `config.json` that decide its shape.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: Literal["bundled", "extra", "hub"] = "hub"
    hub: str | None = None
    about: str
    languages: int | None = None
    license: str | None = None
    head: bool | None = None
    prefixes: tuple[str, ...] = ()
    paper: str | None = None
    parameters: int | None = None
    config: Mapping[str, Any] = Field(repr=False)

    @property
    def architecture(self) -> str:
        """Its `model_type`."""
        return str(self.config["model_type"])

    @property
    def spec(self) -> EncoderSpec | None:
        """Its architecture; None where that is not supported."""
        known = self.architecture in ENCODERS
        return ENCODERS[self.architecture] if known else None

    @property
    def backbone(self) -> str:
        """What `--backbone` resolves it to: its name on the hub, or of the package's own its short name."""
        return self.hub if self.source == "hub" and self.hub else self.name

    def supports(self) -> dict[str, bool | None]:
        """What of the package works on it, in words; None where that depends on what is not known."""
        if self.spec is None:
            return {}
        own: dict[str, bool | None] = {FEATURES[name]: self.spec.supports(name) for name in FEATURES}
        return {**own, HEAD: self.head}

    def as_json(self) -> dict[str, Any]:
        """All that is known, by field; the shape under names that are the same for every architecture."""
        own = self.model_dump(exclude={"config"})
        shape = {"architecture": self.architecture, "supported": self.spec is not None}
        if self.spec is not None:
            sizes = {key: self.spec.value(self.config, key) for key in SHAPE}
            shape |= {word: sizes[key] for key, word in SHAPE.items()}
            shape["max_tokens"] = self.spec.longest_input(self.config)
        return {**own, **shape, "works": self.supports()}


SHAPE = {
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "num_attention_heads": "heads",
    "vocab_size": "vocabulary",
}
"""Keys of a configuration, and what they are called here."""


@cache
def known() -> Mapping[str, KnownBackbone]:
    """All of them by short name, in the order of the file."""
    data, _ = load_yaml(FILE)
    return {name: KnownBackbone(name=name, **values) for name, values in data.items()}


def find(name: str) -> KnownBackbone | None:
    """The encoder of a short name, or of a name on the hub; None if none is known.

    Example:
        >>> find("mbert").hub, find("google-bert/bert-base-multilingual-cased").name, find("none")
        ('google-bert/bert-base-multilingual-cased', 'mbert', None)
    """
    own = known().get(name)
    # The copy of an extra is not the original on the hub, whose weights have all their bits.
    others = (item for item in known().values() if item.source == "hub" and item.hub == name)
    return own or next(others, None)


def get(name: str) -> KnownBackbone:
    """As `find`.

    Raises:
        UnknownNameError: If none is known.
    """
    found = find(name)
    if found is None:
        raise UnknownNameError("backbone", name, known(), remedy="adaptrans backbones list shows all")
    return found


def suggestion(name: str) -> str | None:
    """What to say of a name that is not found, where it is near to a short one; None of a hub's full name.

    Example:
        >>> suggestion("mbret")
        'did you mean "mbert"?'
        >>> suggestion("someone/mbret")
    """
    if "/" in name or name in known():
        return None
    remedy = UnknownNameError("backbone", name, known()).remedy
    return remedy if remedy and remedy.startswith("did you mean") else None
