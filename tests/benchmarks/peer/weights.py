"""Encoders of the true XLM-R shapes with random weights, and mini's tokenizer, made once in a folder.

python tests/benchmarks/peer/weights.py FOLDER [base large]

Time and memory of a step do not depend on the numbers in the weights. Nothing is downloaded. The folder takes
1.1 GB for the base shape and 2.2 GB for the large one.
"""

import json
import os
import shutil
import sys
from pathlib import Path

SHAPES = {
    # Source: config.json of FacebookAI/xlm-roberta-base and -large on the hub.
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    # None of XLM-R's: to try a script in seconds.
    "tiny": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4},
}
NO_DROPOUT = "-no-dropout"
VOCABULARY = 250_002


def model_folder(models: Path, shape: str, *, dropout: bool = True) -> Path:
    """The folder of an encoder, made now if it is not there; without dropout it shares the weights."""
    folder = models / f"xlmr-{shape}"
    if not (folder / "tokenizer.json").is_file():
        _make(folder, SHAPES[shape])
    if dropout:
        return folder
    other = models / f"{folder.name}{NO_DROPOUT}"
    if not (other / "tokenizer.json").is_file():
        other.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if path.name == "config.json":
                config = json.loads(path.read_text(encoding="utf-8"))
                config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
                (other / path.name).write_text(json.dumps(config), encoding="utf-8")
            elif not (other / path.name).exists():
                os.link(path, other / path.name)
    return other


def _make(folder: Path, shape: dict[str, int]) -> None:
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from adaptrans import mini

    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=514,
        type_vocab_size=1,
        intermediate_size=4 * shape["hidden_size"],
        layer_norm_eps=1e-5,
        **shape,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    # Last, for their presence says that the folder is whole.
    for name in ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"):
        shutil.copy(mini.FOLDER / name, folder / name)


if __name__ == "__main__":
    for wanted in sys.argv[2:] or ("base", "large"):
        print(model_folder(Path(sys.argv[1]), wanted))
