"""Encoder and tokenizer of a model on disk, as transformers reads them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch

from adaptrans.modeling.adapters import Model, encoder_tensors, spec_of
from adaptrans.modeling.backbone import Backbone, load_tokenizer
from adaptrans.modeling.efficiency import vocab_trimming
from adaptrans.modeling.safetensors_io import fill, open_tensors, write_tensors
from adaptrans.utils.io import read_json, write_json

NOT_OF_THE_ENCODER = (
    "prediction_heads",
    "adapters",
    "adapter_fusion_models",
    "id2label",
    "label2id",
    "problem_type",
    "task_specific_params",
    "adaptrans",
)
"""Keys of a backbone's configuration that speak of a head, its labels or adapters.

Where the backbone is itself the export of a classifier, its number of labels would shape another head.
"""


def save_encoder(model: Model, folder: Path) -> None:
    """Write the encoder with its embeddings as transformers' own class reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    own, spec = encoder_tensors(model), spec_of(model)
    cut = vocab_trimming.trimmed(model)
    if cut is not None:
        own[spec.word_embeddings] = cut.whole()
    stored = {spec.name_in_encoder(key): value for key, value in own.items()}
    write_tensors(folder / "model.safetensors", stored)
    held = functools.reduce(torch.promote_types, (value.dtype for value in stored.values()))
    encoder_config(model, spec.bare_class, dtype=held).save_pretrained(str(folder))


def encoder_config(
    model: Model, architecture: str, *, dtype: torch.dtype = torch.float32, **more: Any
) -> Any:
    """The configuration of a model's encoder for a class of transformers, without traces of the library.

    Args:
        model: The model.
        architecture: The class.
        dtype: What the file beside it holds; by default float32, in which models are computed and written.
            That of the backbone's file would be taken over else, and by readers for this one's.
        more: Further keys.
    """
    values = model.config.to_dict()
    kept = {key: value for key, value in values.items() if key not in NOT_OF_THE_ENCODER}
    return type(model.config).from_dict({**kept, "architectures": [architecture], "dtype": dtype, **more})


def load_encoder(model: Model, folder: Path) -> None:
    """Replace the encoder's weights by stored ones.

    Raises:
        ArtifactError: If the file is missing, damaged, or of another model.
    """
    path = folder / "model.safetensors"
    spec = spec_of(model)
    words = spec.word_embeddings
    stored = {spec.name_in_model(key): value for key, value in open_tensors(path).items()}
    own, cut = encoder_tensors(model), vocab_trimming.trimmed(model)
    if cut is not None:
        own[words] = torch.empty(cut.num_embeddings, cut.embedding_dim, device="meta")
    fill(own, stored, f"the encoder in {path}", but=() if cut is None else (words,))
    if cut is not None:
        cut.read_from(stored[words])


TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_CLASS = "PreTrainedTokenizerFast"
"""The class that takes `tokenizer.json` as it stands.

transformers 5 builds tokenizers of the classes that it knows anew from their pieces and gives them a
normalizer of its own, so that an `XLMRobertaTokenizerFast` of another normalizer has other ids there.
"""


def save_tokenizer(backbone: Backbone, folder: Path) -> None:
    """Write the tokenizer of a backbone, as this package uses it, beside a model.

    Args:
        backbone: The backbone.
        folder: Where to; it must exist.

    Raises:
        ArtifactError: If the backbone's tokenizer is missing or damaged.
    """
    load_tokenizer(backbone).save_pretrained(str(folder))
    values = read_json(folder / TOKENIZER_CONFIG)
    # A class of no model has inputs of its own.
    inputs = list(backbone.spec.model_inputs)
    write_json(
        folder / TOKENIZER_CONFIG, {**values, "tokenizer_class": TOKENIZER_CLASS, "model_input_names": inputs}
    )
