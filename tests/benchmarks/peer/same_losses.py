"""Losses of ours and of the peer on the same batches from the same weights, without dropout.

    python tests/benchmarks/peer/same_losses.py --data DATA --models MODELS --shape tiny --steps 20

Prints both curves and the largest difference; exits with 1 if it is beyond rounding. Part of every bar on
training: what is faster has to be the same training.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ours
import recipe
import texts
import torch
from adapters import AdapterTrainer
from datasets import IterableDataset
from transformers import AutoTokenizer, DataCollatorWithPadding
from weights import SHAPES, model_folder

from adaptrans.data.batching import epoch_batches
from adaptrans.modeling.backbone import identify
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse

NAME, BATCH, SEED = texts.NLI, 32, 1
BOUNDS = {"fp32": 2e-5, "bf16": 5e-2}
"""Largest difference of two losses of about 1 that passes for rounding; in fp32 there was none at all."""


class Recording(AdapterTrainer):
    """Keeps every loss as it is; the trainer's own log rounds to four digits."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        found = super().compute_loss(*args, **kwargs)
        self.kept = [*getattr(self, "kept", []), found.item()]
        return found


def our_losses(folder: Path, work: Path, rows: list[dict], precision: str) -> list[float]:
    """Losses of every step of one epoch of ours."""
    texts.write_task(work, NAME, rows)
    options = {"precision": precision, "warmup": 0.0, "log_every": 1, "epochs": 1}
    return ours.train(ours.workspace(folder, work), NAME, batch=BATCH, seed=SEED, **options).losses


def peer_losses(folder: Path, rows: list[dict], precision: str) -> list[float]:
    """Losses of the peer on the batches that ours takes, from the weights that ours starts with."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = recipe.Settings(pad_to_longest_allowed=False, bf16=precision == "bf16")
    features = recipe.encoded_pairs(rows, tokenizer, texts.LABELS, settings)
    lengths = [len(ids) for ids in features["input_ids"]]
    order = epoch_batches(lengths, BATCH, seed=SEED, epoch=0)

    def in_order() -> Iterator[dict[str, Any]]:
        for batch in order:
            for place in batch:
                yield features[place]

    model = recipe.adapter_model(folder, NAME, len(texts.LABELS))
    copy_start(folder, model)
    ordered = IterableDataset.from_generator(in_order)
    built = recipe.trainer(
        model, tokenizer, ordered, settings, batch_size=BATCH, seed=SEED, max_steps=len(order)
    )
    recorder = Recording(
        model=model,
        args=built.args,
        train_dataset=ordered,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    recorder.train()
    return recorder.kept


def copy_start(folder: Path, model: Any) -> None:
    """Give the peer's adapter and head the weights that ours starts from."""
    start = SetupModel.from_setup(
        identify(folder),
        parse("adapter"),
        target=NAME,
        head=HeadSpec(NAME, "classification", texts.LABELS),
        method="seq_bn",
        parents={},
        seed=SEED,
    )
    values = dict(start.model.named_parameters())
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    renamed = {name: name.replace(f".{start.adapter}.", f".{NAME}.") for name in start.trained}
    assert sorted(renamed.values()) == sorted(own), "the two sides train different parameters"
    with torch.no_grad():
        for name, theirs in renamed.items():
            own[theirs].copy_(values[name])


def main() -> int:
    """Train both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--shape", default="tiny", choices=tuple(SHAPES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", choices=tuple(BOUNDS), default="fp32")
    given = parser.parse_args()
    folder = model_folder(given.models, given.shape, dropout=False)
    rows = texts.drawn(texts.pairs(given.data), given.steps * BATCH, SEED)
    with tempfile.TemporaryDirectory() as work:
        own = our_losses(folder, Path(work), rows, given.precision)
    theirs = peer_losses(folder, rows, given.precision)
    difference = max(abs(a - b) for a, b in zip(own, theirs, strict=True))
    same = difference <= BOUNDS[given.precision]
    found = {
        "precision": given.precision,
        "steps": len(own),
        "ours": own,
        "peer": theirs,
        "largest_difference": difference,
        "bound": BOUNDS[given.precision],
        "same": same,
    }
    print(json.dumps(found, indent=2))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
