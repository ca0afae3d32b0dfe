"""A loaded setup that answers: the torch side of evaluation and of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from adaptrans.data.encodings import Encoder, encode
from adaptrans.devices import pick_device, pick_precision
from adaptrans.environment import environment
from adaptrans.evaluation.predict import Predictor
from adaptrans.evaluation.vectors import sentence_vectors
from adaptrans.evaluation.zero_shot import Outcome, retrieval_outcome
from adaptrans.files import digest
from adaptrans.models.adapting import Assembled, assemble
from adaptrans.models.artefact import load_artefact
from adaptrans.models.backbone import load_tokenizer, tokenizer_fingerprint
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans.runs.specs import BARE, EvaluateSpec
from adaptrans.tasks.kinds import KINDS, Kind

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Session:
    """A model under its setup with its tokenizer, on its device.

    Args:
        spec: What is evaluated.
        assembled: The model.
        kind: Kind of the task.
        tokenizer: The backbone's tokenizer.
        labels: Label names of the head; empty for retrieval.
        device: Where it runs.
        precision: `fp32` or `bf16`.
    """

    spec: EvaluateSpec
    assembled: Assembled
    kind: Kind
    tokenizer: PreTrainedTokenizerFast
    labels: tuple[str, ...]
    device: torch.device
    precision: str

    @property
    def environment(self) -> dict[str, Any]:
        """What this session runs on."""
        return environment(str(self.device), self.precision)

    def encoded(self, examples: Sequence[Any], data_key: str, cache: Path) -> Dataset:
        """Features of the examples, from the cache if they are there."""
        config, task = self.spec.config, self.spec.task
        encoder = Encoder(
            self.kind,
            task,
            self.tokenizer,
            tokenizer_fingerprint(self.spec.workspace.backbone),
            config.max_length or task.max_length,
            training=False,
        )
        return encode(encoder, examples, digest([data_key, config.split, len(examples)]), cache)

    def answer(
        self, language: str, data_key: str, examples: Sequence[Any], tick: Callable[[int], None]
    ) -> Outcome:
        """Predictions for the examples of one language.

        Args:
            language: The language, part of the encoding's key.
            data_key: Fingerprint of the language's data.
            examples: The examples.
            tick: Called with the number of examples answered.
        """
        features = self.encoded(examples, f"{language}:{data_key}", self.spec.workspace.store.cache)
        if self.kind.answers is None:
            return self._retrieve(features, tick)
        golds = [self.kind.gold(example) for example in examples]
        return Outcome(golds, self.predictor.predictions(examples, features, tick))

    @property
    def predictor(self) -> Predictor:
        """The session's model as something that answers."""
        assert self.tokenizer.pad_token_id is not None
        return Predictor(
            self.assembled,
            self.kind,
            self.labels,
            self.tokenizer.pad_token_id,
            self.spec.config.tokens_per_batch,
            self.device,
            self.precision,
        )

    def _retrieve(self, features: Dataset, tick: Callable[[int], None]) -> Outcome:
        assert self.tokenizer.pad_token_id is not None
        vectors = sentence_vectors(
            self.assembled,
            self.kind,
            features.to_list(),
            pooling=self.spec.config.pooling,
            padding_id=self.tokenizer.pad_token_id,
            tokens_per_batch=self.spec.config.tokens_per_batch,
            device=self.device,
            precision=self.precision,
            tick=lambda done: tick(done // 2),
        )
        return retrieval_outcome(vectors, self.spec.layer)


def open_session(spec: EvaluateSpec) -> Session:
    """Load the model of an evaluation: its trained artefact, or what is below the target for retrieval.

    Raises:
        ArtefactError: If the artefact is damaged or does not fit the backbone.
    """
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    backbone = spec.workspace.backbone
    if spec.trained is not None:
        assembled = load_artefact(spec.trained.artefact, backbone)
    else:
        assembled = assemble(
            backbone,
            spec.setup,
            target=None,
            head=None,
            method=DEFAULT_METHOD if spec.answering == BARE else spec.method,
            parents={name: run.artefact for name, run in spec.parents.items()},
            seed=spec.seed,
        )
    assembled.model.to(device)
    labels = assembled.head.labels if assembled.head is not None else ()
    tokenizer = load_tokenizer(backbone)
    return Session(spec, assembled, KINDS[spec.task.kind], tokenizer, labels, device, precision)
