"""Training of a masked language model head on a frozen encoder that was saved without one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from adaptrans.data.encoding import rows
from adaptrans.errors import MissingDataError
from adaptrans.modeling import adapters
from adaptrans.modeling.added_head import HEAD_ABOUT, HEAD_FILE
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.heads import MASKED_LM, check_tied, decoded, hidden_states_of
from adaptrans.modeling.model import BARE, SetupModel
from adaptrans.modeling.safetensors_io import write_tensors
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.masked_lm_head import MaskedLMHeadSpec
from adaptrans.task_types.masked_lm import MaskedLM
from adaptrans.training.loop import TrainingJob
from adaptrans.training.multitask import TrainingTask
from adaptrans.training.train import (
    DEV_BATCH,
    DEV_BLOCKS,
    Prepared,
    TaskData,
    described,
    language_numbers,
    padding_id,
    split,
)
from adaptrans.utils.devices import autocast
from adaptrans.utils.io import atomic_write, write_json
from adaptrans.utils.progress import progress

if TYPE_CHECKING:
    from datasets import Dataset


class HeadModel(SetupModel):
    """The frozen encoder and a fresh masked language model head, which alone is trained.

    Args:
        backbone: The encoder.
        seed: Seed of the head's weights.
        counts: How often each entry of the vocabulary is in the text, shape (vocabulary,): the head's bias
            begins with the logarithm of these frequencies, each count one more than it is. With a bias of
            zeros most of a short training would go into learning them.
    """

    def __init__(self, backbone: Backbone, seed: int, counts: Tensor) -> None:
        check_tied(backbone)
        super().__init__(backbone, parse("adapter"), method=BARE, target=MASKED_LM.name, seed=seed)
        name = adapters.module_name(MASKED_LM.name)
        adapters.add_head(self.model, name, MASKED_LM.library_config(), seed)
        self.heads, self.head, self.head_name = {name: MASKED_LM}, MASKED_LM, name
        trained = adapters.freeze_all_but(self.model, None, [name], whole=False)
        # What pretrained heads of the architecture lack stays zero, or transformers would read another head.
        bare = self.backbone.spec.lm_bare
        for part in bare:
            nn.init.zeros_(self.head_parts()[part].requires_grad_(False))
        self.trained = tuple(key for key in trained if key not in {f"heads.{name}.{part}" for part in bare})
        with torch.no_grad():
            more = counts.to(torch.float64) + 1
            self.head_parts()["3.bias"].copy_((more / more.sum()).log())
        self._activate()

    def head_parts(self) -> dict[str, Tensor]:
        """The head's tensors, by the names of `EncoderSpec.lm_head`."""
        own = dict(self.model.heads[self.head_name].named_parameters())
        return {part: own[part] for part in self.backbone.spec.lm_head}

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits of the hidden tokens, shape (hidden tokens, vocabulary); only the head is in their graph.

        The encoder answers as it does in use, without dropout.
        """
        self.model.base_model.eval()
        with torch.no_grad():
            states = hidden_states_of(self.model, batch)
        return decoded(self.model, self.head_parts(), states)

    def save(self, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
        """Write the head, and how it was made; the encoder is where it was."""
        spec = self.backbone.spec
        stored = {
            spec.lm_head[part]: value for part, value in self.head_parts().items() if part not in spec.lm_bare
        }
        with atomic_write(folder) as temporary:
            temporary.mkdir(parents=True)
            write_tensors(temporary / HEAD_FILE, stored)
            write_json(temporary / HEAD_ABOUT, {"backbone": self.backbone.described(), **(extra or {})})


@dataclass(frozen=True)
class HeldOut:
    """Text that a head was not trained on.

    Args:
        features: Its blocks.
        languages: The language of each.
        padding_id: Id of the padding token.
    """

    features: Dataset
    languages: Sequence[str]
    padding_id: int
    device: torch.device
    precision: str

    def by_language(self, assembled: SetupModel) -> dict[str, dict[str, float]]:
        """Mean loss in nats, perplexity and accuracy of the hidden tokens, and their number, by language.

        The same tokens are hidden every time.
        """
        found: dict[str, dict[str, float]] = {}
        assembled.eval()
        codes = list(dict.fromkeys(self.languages))
        with torch.inference_mode(), progress("held-out text", len(codes)) as meter:
            for code in codes:
                own = [place for place, language in enumerate(self.languages) if language == code]
                found[code] = self._measured(assembled, own)
                meter.advance()
        return found

    def _measured(self, assembled: SetupModel, places: Sequence[int]) -> dict[str, float]:
        total, right, terms = 0.0, 0, 0
        for start in range(0, len(places), DEV_BATCH):
            features = rows(self.features, places[start : start + DEV_BATCH])
            batch = MaskedLM().batch(features, self.padding_id, self.device)
            with autocast(self.device, self.precision):
                logits = assembled(batch)
            value, number = MaskedLM().loss(logits, batch)
            right += int((logits.argmax(dim=-1) == batch["labels"]).sum())
            total, terms = total + value.item(), terms + number
        mean = total / max(terms, 1)
        return {
            "loss": mean,
            "perplexity": math.exp(min(mean, 700.0)),
            "accuracy": 100 * right / max(terms, 1),
            "tokens": terms,
        }

    def score(self, assembled: SetupModel) -> float:
        """Minus the mean over languages of the mean loss."""
        found = self.by_language(assembled)
        return -sum(values["loss"] for values in found.values()) / len(found)


def head(spec: MaskedLMHeadSpec, device: torch.device, precision: str) -> Prepared:
    """A masked language model head, ready for training.

    Raises:
        MissingDataError: If there is no text, or too little to hold some out.
        DataError: If a line of it cannot be read.
    """
    data = TaskData(spec, ())
    examples, features = data.split("train", spec.config.limit_train, training=True)
    languages = [examples[place].language for place in features["example"][:]]
    training, dev, without = held_out(languages, spec.config.limit_dev)
    features, dev_features = features.select(training), features.select(dev)
    backbone = spec.workspace.backbone
    assembled = HeadModel(backbone, spec.seed, counts(features, backbone.vocabulary))
    assembled.to(device)
    padding = padding_id(data.tokenizer)
    measure = HeldOut(dev_features, [languages[place] for place in dev], padding, device, precision)
    source = TrainingTask(
        spec.reference,
        assembled,
        data.kind,
        features,
        [example.id for example in examples],
        groups=language_numbers(examples, features),
        # The model's own, without what a head of a setup goes through.
        forward=HeadModel.forward,
    )
    untrained = measure.by_language(assembled)
    job = TrainingJob(
        spec.about,
        assembled,
        (source,),
        spec.config,
        spec.seed,
        spec.run.path,
        padding,
        device,
        precision,
        measure.score,
        lambda: {"held_out": measure.by_language(assembled), "untrained": untrained},
    )
    notes = [f"{spec.task.name} {code}: too little text to hold some out" for code in without]
    if spec.config.limit_train is not None:
        notes.append(f"{spec.task.name}: trained on {len(examples):,} examples only")
    facts = {"examples": len(examples), "source_languages": [], "notes": [*notes, *data.notes]}
    return job, described(spec), facts


def held_out(languages: Sequence[str], most: int | None) -> tuple[list[int], list[int], list[str]]:
    """Blocks to train on, and blocks to measure on, of each language.

    Args:
        languages: The language of each block.
        most: About how many of each language are held out at most; None for 200.

    Returns:
        Places of both, in order, and the languages with a single block, which is trained on.

    Raises:
        MissingDataError: If none has more.

    Example:
        >>> held_out(["de"] * 4 + ["sw"], 8)
        ([1, 3, 4], [0, 2], ['sw'])
    """
    places: dict[str, list[int]] = {}
    for place, language in enumerate(languages):
        places.setdefault(language, []).append(place)
    alone = [code for code, own in places.items() if len(own) < 2]
    if len(alone) == len(places):
        raise MissingDataError("the text is too short to train on", remedy="give more of it")
    parts = [split(own, most or DEV_BLOCKS) for code, own in places.items() if code not in alone]
    training = [place for part, _ in parts for place in part] + [places[code][0] for code in alone]
    return sorted(training), sorted(place for _, part in parts for place in part), alone


def counts(features: Dataset, vocabulary: int) -> Tensor:
    """How often each entry of the vocabulary is in a text, shape (vocabulary,)."""
    found = torch.zeros(vocabulary, dtype=torch.int64)
    for start in range(0, len(features), 1_000):
        ids = [one for row in features[start : start + 1_000]["input_ids"] for one in row]
        found += torch.bincount(torch.tensor(ids), minlength=vocabulary)
    return found
