"""The tokenizer of an exported model on disk: the same pieces in every version of transformers."""

from __future__ import annotations

from pathlib import Path

from adaptrans.modeling.backbone import Backbone, load_tokenizer
from adaptrans.utils.io import read_json, write_json

CONFIG = "tokenizer_config.json"
CLASS = "PreTrainedTokenizerFast"
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
    values = read_json(folder / CONFIG)
    # A class of no model has inputs of its own.
    inputs = list(backbone.spec.model_inputs)
    write_json(folder / CONFIG, {**values, "tokenizer_class": CLASS, "model_input_names": inputs})
