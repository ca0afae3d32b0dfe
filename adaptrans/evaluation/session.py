"""A loaded setup that answers: the torch side of evaluation and of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from adaptrans.allocator import spare_memory
from adaptrans.data.encodings import Encoder, encode, encoded_file, encoding_path
from adaptrans.devices import pick_device, pick_precision
from adaptrans.environment import environment
from adaptrans.evaluation.attention import AttentionRecord, LayerShares, save_attention
from adaptrans.evaluation.predict import Predictor
from adaptrans.evaluation.vectors import sentence_vectors
from adaptrans.evaluation.zero_shot import Outcome, retrieval_outcome
from adaptrans.files import digest
from adaptrans.models.adapting import Assembled, assemble
from adaptrans.models.artefact import load_artefact
from adaptrans.models.backbone import load_tokenizer
from adaptrans.models.bits import FLOAT
from adaptrans.models.chain import first_place
from adaptrans.models.fusing import Attention
from adaptrans.models.language_adapters import use_language
from adaptrans.models.library import Model
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans.models.nodes import Fuse, has_language, language_parent
from adaptrans.models.trimming import NOTHING
from adaptrans.models.twins import cast_once, one_backbone
from adaptrans.registry import Registry
from adaptrans.runs.evaluations import BARE, EvaluateSpec
from adaptrans.tasks import subset
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

    def encoded(self, examples: Iterable[Any], data_key: str, cache: Path) -> Dataset:
        """Features of the examples, from the cache if they are there."""
        return encode(self._encoder, examples, self._encoding_key(data_key), cache, tell=lambda text: None)

    def is_encoded(self, data_key: str) -> bool:
        """Whether the cache has the features of these data."""
        cache = self.spec.workspace.store.cache
        return encoding_path(self._encoder, self._encoding_key(data_key), cache).is_file()

    def encoded_file(
        self,
        examples: Iterable[Any],
        data_key: str,
        tick: Callable[[int], None],
        tell: Callable[[str], None],
    ) -> Path:
        """The file of the cache that holds them; see `adaptrans.data.encodings.encoded_file`."""
        cache, key = self.spec.workspace.store.cache, self._encoding_key(data_key)
        return encoded_file(self._encoder, examples, key, cache, tick=tick, tell=tell)

    @property
    def _encoder(self) -> Encoder:
        task = self.spec.task
        return Encoder(
            self.kind,
            task,
            self.tokenizer,
            self.spec.workspace.tokenizer_key,
            self.spec.max_length,
            training=False,
        )

    def _encoding_key(self, data_key: str) -> str:
        config = self.spec.config
        return digest([data_key, config.split, config.limit, subset.rule(config.limit)])

    def answer(
        self,
        language: str,
        data_key: str,
        examples: Sequence[Any],
        tick: Callable[[int], None],
        layer: int | None = None,
    ) -> Outcome:
        """Predictions for the examples of one language.

        Args:
            language: The language, part of the encoding's key.
            data_key: Fingerprint of the language's data.
            examples: The examples.
            tick: Called with the number of examples answered.
            layer: For retrieval, the layer whose vectors are compared; by default that of the spec.
        """
        if self.kind.name in RETRIEVERS:
            chosen = self.spec.layer if layer is None else layer
            return RETRIEVERS[self.kind.name](self, language, data_key, examples, tick, chosen)
        features = self.encoded(examples, f"{language}:{data_key}", self.spec.workspace.store.cache)
        golds = [self.kind.gold(example) for example in examples]
        notes = self.switch_language(language)
        # A dev set on which something is chosen is answered too, of a language that may not be wanted.
        if not self.assembled.fusions or language not in self.spec.wanted_languages:
            return Outcome(golds, self.predictor().predictions(examples, features, tick), notes=notes)
        attention = Attention(self.assembled.fusions)
        predictions = self.predictor(attention).predictions(examples, features, tick)
        return Outcome(golds, self._recorded(predictions, attention, language), notes=notes)

    def switch_language(self, language: str) -> tuple[str, ...]:
        """Put the language adapter of a test language below a setup that has one, as its policy says.

        Returns:
            Which adapter answers, for the reader of the score; empty for a setup without language adapters.
        """
        if not has_language(self.assembled.setup):
            return ()
        parents = self.assembled.parents
        source = next(name for name in parents if name.startswith("{"))
        own, runs = language_parent(language), self.spec.language_runs
        if self.spec.policy == "none":
            use_language(self.assembled, None)
            return ("without a language adapter",)
        if self.spec.policy == "swap" and own != source and language in runs:
            use_language(self.assembled, runs[language].artefact)
            return (f"language adapter {own}",)
        use_language(self.assembled, parents[source])
        lacking = own != source and self.spec.policy == "swap"
        return (f"language adapter {source}{f', as there is none of {language}' if lacking else ''}",)

    def _recorded(self, predictions: Iterator[Any], attention: Attention, language: str) -> Iterator[Any]:
        """The predictions; after the last one, what the fusions attended to lies in the run."""
        yield from predictions
        members = [list(layer.sources) for layer in self.assembled.setup.layers if isinstance(layer, Fuse)]
        save_attention(
            self.spec.run,
            language,
            AttentionRecord(
                {
                    fused.name: tuple(map(str, sources))
                    for fused, sources in zip(self.assembled.fusions, members, strict=True)
                },
                tuple(cast(list[LayerShares], attention.shares())),
                attention.tokens,
            ),
        )

    def predictor(self, attention: Attention | None = None) -> Predictor:
        """The session's model as something that answers.

        Args:
            attention: Where to add up what its fusions attend to, if anywhere.
        """
        assert self.tokenizer.pad_token_id is not None
        return Predictor(
            self.assembled,
            self.kind,
            self.labels,
            self.tokenizer.pad_token_id,
            self.spec.config.tokens_per_batch,
            self.device,
            self.precision,
            attention,
        )

    def nearest_sentences(
        self,
        language: str,
        data_key: str,
        examples: Sequence[Any],
        tick: Callable[[int], None],
        layer: int | None,
    ) -> Outcome:
        """The nearest sentence of the language to every English one; see `answer`."""
        features = self.encoded(examples, f"{language}:{data_key}", self.spec.workspace.store.cache)
        assert layer is not None, "the best layer is chosen before"
        found = features.to_list()
        notes = self.switch_language(language)
        if not notes:
            outcome = retrieval_outcome(self._vectors(found, tick, 0), layer)
            return replace(outcome, notes=self.without_effect(layer))
        # Each sentence is followed by its English translation, and each side has a language of its own.
        own = self._vectors(found[0::2], tick, 0)
        self.switch_language("en")
        english = self._vectors(found[1::2], tick, len(found) // 2)
        vectors = np.stack([own, english], axis=2).reshape(len(own), -1, own.shape[-1])
        return replace(retrieval_outcome(vectors, layer), notes=(*notes, *self.without_effect(layer)))

    def without_effect(self, layer: int) -> tuple[str, ...]:
        """A note where no adapter acts below the layer whose vectors are compared."""
        active = self.assembled.layers
        if not active:
            return ()
        lowest = first_place(self.assembled.model, active).layer
        if lowest < layer:
            return ()
        return (
            f"the adapters leave out the encoder layers below {lowest}: layer {layer} is the bare backbone's",
        )

    def _vectors(self, features: Sequence[Any], tick: Callable[[int], None], before: int) -> np.ndarray:
        """Vectors of all layers, shape (layers + 1, sentences, width), after `before` other sentences."""
        assert self.tokenizer.pad_token_id is not None
        return sentence_vectors(
            self.assembled,
            self.kind,
            features,
            pooling=self.spec.config.pooling,
            padding_id=self.tokenizer.pad_token_id,
            tokens_per_batch=self.spec.config.tokens_per_batch,
            device=self.device,
            precision=self.precision,
            tick=lambda done: tick((before + done) // 2),
        )


RETRIEVERS: Registry[Callable[..., Outcome]] = Registry("kind of retrieval")
"""How tasks that compare vectors are answered, called as `Session.answer` with the session first."""
RETRIEVERS.add("bitext_retrieval", Session.nearest_sentences)
RETRIEVERS.add("bitext_mining", "adaptrans.evaluation.mining.answer:answer")
RETRIEVERS.add("passage_ranking", "adaptrans.evaluation.ranking:answer")


def open_sessions(specs: Sequence[EvaluateSpec]) -> list[Session]:
    """Load the models of several evaluations; adapter setups share the memory of their backbone."""
    if len(specs) == 1:
        return [open_session(specs[0])]
    device = pick_device(specs[0].workspace.device)
    precision = pick_precision(specs[0].config.precision, device)

    def prepare(model: Model) -> None:
        model.to(device)
        if precision == "bf16":
            cast_once(model)

    tokenizer = load_tokenizer(specs[0].workspace.backbone)
    with one_backbone(prepare):
        return [open_session(spec, tokenizer) for spec in specs]


def open_session(spec: EvaluateSpec, tokenizer: PreTrainedTokenizerFast | None = None) -> Session:
    """Load the model of an evaluation: its trained artefact, or what is below the target for retrieval.

    Args:
        spec: The evaluation.
        tokenizer: The backbone's tokenizer, if it is loaded.

    Raises:
        ArtefactError: If the artefact is damaged or does not fit the backbone.
    """
    spare_memory(False)
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    backbone = spec.workspace.backbone
    # The pieces are read as the languages' data are.
    tokens = NOTHING if spec.config.trim_vocabulary else None
    if spec.trained is not None:
        how = spec.config.quantise
        assembled = load_artefact(spec.trained.artefact, backbone, tokens=tokens, quantise=how)
    else:
        assembled = assemble(
            backbone,
            spec.setup,
            target=None,
            head=None,
            method=DEFAULT_METHOD if spec.answering == BARE else spec.method,
            parents={name: run.artefact for name, run in spec.parents.items()},
            seed=spec.seed,
            tokens=tokens,
            quantise=spec.config.quantise or FLOAT,
        )
    assembled.model.requires_grad_(False).to(device)
    if precision == "bf16":
        cast_once(assembled.model)
    labels = assembled.head.labels if assembled.head is not None else ()
    tokenizer = tokenizer or load_tokenizer(backbone)
    return Session(spec, assembled, KINDS[spec.task.kind], tokenizer, labels, device, precision)
