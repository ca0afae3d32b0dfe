"""Loaded setups that answer: predictions and sentence vectors, memory flat in the number of examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from adaptrans.data.batching import FittingParts
from adaptrans.data.encoding import (
    FOUND,
    Encoder,
    count_examples,
    encode,
    encoded_file,
    encoding_path,
    rows,
    stream_features,
)
from adaptrans.errors import ConfigError, MissingDataError
from adaptrans.evaluation.fusion_attention import AttentionRecord, LayerShares, save_attention
from adaptrans.evaluation.results import Outcome, retrieval_outcome
from adaptrans.evaluation.sentence_vectors import SentenceEncoder
from adaptrans.formulations.together import Together
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.adapters import Model
from adaptrans.modeling.backbone import load_tokenizer
from adaptrans.modeling.composition import Attention
from adaptrans.modeling.efficiency.frozen_weights import cast_once, one_backbone
from adaptrans.modeling.efficiency.shared_layers import Common, first_place
from adaptrans.modeling.efficiency.vocab_trimming import NOTHING, cover, trimmed
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.nodes import language_parent, parent_language
from adaptrans.modeling.setup.validation import UNQUANTIZED
from adaptrans.runs.evaluation import BARE, EvaluateSpec
from adaptrans.runs.train import compares_vectors, is_retrieval
from adaptrans.task_types.base import Answer, TaskType
from adaptrans.task_types.rows import RowError, Rules
from adaptrans.tasks import loading
from adaptrans.tasks.readers.files import damage
from adaptrans.utils.devices import HEAP, autocast, pick_device, pick_precision, spare_memory
from adaptrans.utils.environment import environment
from adaptrans.utils.io import digest
from adaptrans.utils.progress import progress, remark

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast


CHUNK = 4_096
"""Features that are sorted by length together: bounds memory, leaves little padding."""


@dataclass(frozen=True)
class Predictor:
    """A model under its setup, ready to answer.

    Args:
        labels: Label names of its head.
        tokens_per_batch: Padded tokens per forward pass.
        precision: `fp32` or `bf16`.
        attention: Where to add up what the setup's fusions attend to, if anywhere.
    """

    assembled: SetupModel
    kind: TaskType
    labels: tuple[str, ...]
    padding_id: int
    tokens_per_batch: int
    device: torch.device
    precision: str
    attention: Attention | None = None

    def predictions(
        self,
        examples: Iterable[Any],
        features: Dataset,
        tick: Callable[[int], None] = lambda done: None,
    ) -> Iterator[Any]:
        """One prediction per example, in order; see `answers`."""
        return (answer.prediction for answer in self.answers(examples, features, tick))

    def answers(
        self,
        examples: Iterable[Any],
        features: Dataset,
        tick: Callable[[int], None] = lambda done: None,
    ) -> Iterator[Answer]:
        """One answer per example, in order.

        Args:
            examples: The examples.
            features: Their encoding, in the same order.
            tick: Called with the number of examples answered so far.
        """
        cover(self.assembled.model, features)
        for _, _, found in answered([self], [Part(examples, _in_order(features))], tick):
            yield found[0]

    def outputs(self, features: Sequence[dict[str, Any]]) -> list[Any]:
        """One decoded output per feature, computed in batches of like length."""
        return outputs_of([self], features)[0]

    def values(self, batch: dict[str, Tensor]) -> Tensor | tuple[Tensor, ...]:
        """What the head answers to one batch, on the CPU."""
        if self.attention is not None:
            self.attention.batch(batch["attention_mask"])
        watching = nullcontext() if self.attention is None else self.attention.watching(self.assembled.model)
        with watching, autocast(self.device, self.precision):
            values = self.assembled(batch)
        return tuple(value.cpu() for value in values) if isinstance(values, tuple) else values.cpu()


@dataclass(frozen=True)
class Part:
    """Examples that are answered one after the other, such as those of a language.

    Args:
        examples: The examples, gone through once.
        features: Their encoding, in the same order.
    """

    examples: Iterable[Any]
    features: Iterable[dict[str, Any]]


def answered(
    predictors: Sequence[Predictor],
    parts: Sequence[Part],
    tick: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[int, Any, tuple[Answer, ...]]]:
    """The answers of one or several models to all examples of some parts, in order.

    Inputs of like length are computed together, whatever part they belong to, `CHUNK` or so at a time.

    Args:
        predictors: The models; they answer to the same batches.
        parts: What is answered.
        tick: Called with the number of examples answered so far.

    Yields:
        Number of the part, example, and one answer of each model.
    """
    kind = predictors[0].kind
    examples: Iterator[Any] = iter(())
    current, done = -1, 0
    for chunk in _chunks(parts):
        outputs = outputs_of(predictors, [feature for _, feature in chunk])
        found = zip(chunk, zip(*outputs, strict=True), strict=True)
        for (number, _), group in groupby(found, key=lambda pair: _owner(pair[0])):
            if number != current:
                current, examples = number, iter(parts[number].examples)
            example = next(examples)
            own = list(zip(*map(itemgetter(1), group), strict=True))
            yield (
                number,
                example,
                tuple(
                    kind.answer(example, outputs, predictor.labels)
                    for predictor, outputs in zip(predictors, own, strict=True)
                ),
            )
            done += 1
        tick(done)


@torch.inference_mode()
def outputs_of(predictors: Sequence[Predictor], features: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """One decoded output per feature, of each of some models.

    What the models have in common below their first difference is computed once.
    """
    first = predictors[0]
    lengths = [feature["length"] for feature in features]
    results: list[list[Any]] = [[None] * len(features) for _ in predictors]
    for predictor in predictors:
        predictor.assembled.eval()
    _fetch(first.assembled.model, features)
    common = Common([predictor.assembled for predictor in predictors])
    parts = FittingParts(range(len(features)), lengths, first.tokens_per_batch, first.device)
    for part in parts:
        HEAP.look()
        with parts.attempt(part):
            chosen = [features[i] for i in part]
            batch = first.kind.batch(chosen, first.padding_id, first.device)
            with autocast(first.device, first.precision):
                states = common.states(batch)
            for predictor, own in zip(predictors, results, strict=True):
                with common.given(predictor.assembled, states):
                    values = predictor.values(batch)
                for place, output in zip(part, first.kind.decode(values, chosen), strict=True):
                    own[place] = output
    return results


def _fetch(model: torch.nn.Module, features: Sequence[dict[str, Any]]) -> None:
    """Read the embeddings of all pieces of some features in one go, where the model is without them."""
    embeddings = trimmed(model)
    if embeddings is not None and features:
        rows = (feature["input_ids"] for feature in features)
        ids = np.concatenate([np.asarray(row, dtype=np.int64) for row in _flat(rows)])
        embeddings.fetch(ids)


def _flat(rows: Iterable[Any]) -> Iterator[Any]:
    """Rows of token ids; several choices are rows of rows."""
    for row in rows:
        yield from row if row and isinstance(row[0], list) else (row,)


def _owner(pair: tuple[int, dict[str, Any]]) -> tuple[int, int]:
    """Part and example that a feature belongs to."""
    return pair[0], pair[1]["example"]


def _chunks(parts: Iterable[Part]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Lists of about `CHUNK` features, with their parts, that keep those of one example together."""
    chunk: list[tuple[int, dict[str, Any]]] = []
    for number, part in enumerate(parts):
        for feature in part.features:
            if len(chunk) >= CHUNK and _owner(chunk[-1]) != (number, feature["example"]):
                yield chunk
                chunk = []
            chunk.append((number, feature))
    if chunk:
        yield chunk


def _in_order(features: Dataset) -> Iterator[dict[str, Any]]:
    """The features of a data set one after the other."""
    for start in range(0, len(features), CHUNK):
        yield from rows(features, range(start, min(start + CHUNK, len(features))))


@dataclass(frozen=True)
class Session:
    """A model under its setup with its tokenizer, on its device.

    Args:
        spec: What is evaluated.
        labels: Label names of the head; empty for retrieval.
        precision: `fp32` or `bf16`.
    """

    spec: EvaluateSpec
    assembled: SetupModel
    kind: TaskType
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
        key, texts = self._encoding_key(data_key), self.as_read(examples)
        return encode(self._encoder, texts, key, cache, tell=lambda text: None)

    def as_read(self, examples: Iterable[Any]) -> Iterable[Any]:
        """The examples with the prefix, if there is one, before their texts."""
        before = self.spec.prefixes
        return (example.prefixed(before) for example in examples) if before else examples

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
        """The file of the cache that holds them; see `adaptrans.data.encoding.encoded_file`."""
        cache, key = self.spec.workspace.store.cache, self._encoding_key(data_key)
        return encoded_file(self._encoder, self.as_read(examples), key, cache, tick=tick, tell=tell)

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
        decided = [data_key, config.split, config.limit, loading.rule(config.limit)]
        if self.spec.perturbation is not None:
            decided.append(self.spec.perturbation.inputs)
        before = self.spec.prefixes
        return digest([*decided, before.key] if before else decided)

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
        if self.kind.retriever is not None:
            module, _, name = self.kind.retriever.partition(":")
            answer: Callable[..., Outcome] = getattr(import_module(module), name)
            chosen = self.spec.layer if layer is None else layer
            return answer(self, language, data_key, examples, tick, chosen)
        features = self.encoded(examples, f"{language}:{data_key}", self.spec.workspace.store.cache)
        golds = [self.kind.reference(example) for example in examples]
        notes = self.switch_language(language)
        # A dev set on which something is chosen is answered too, of a language that may not be wanted.
        if not self.assembled.fusions or language not in self.spec.wanted_languages:
            return Outcome(golds, self.predictor().answers(examples, features, tick), notes=notes)
        attention = Attention(self.assembled.fusions)
        answers = self.predictor(attention).answers(examples, features, tick)
        return Outcome(golds, self._recorded(answers, attention, language), notes=notes)

    def switch_language(self, language: str) -> tuple[str, ...]:
        """Put the language adapter of a test language below a setup that has one, as its policy says.

        Returns:
            Which adapter answers, for the reader of the score; empty for a setup without language adapters.
        """
        if not self.assembled.setup.has_language:
            return ()
        parents = self.assembled.parents
        source = next(name for name in parents if parent_language(name))
        own, runs = language_parent(language), self.spec.language_runs
        if self.spec.policy == "none":
            self.assembled.use_language(None)
            return ("without a language adapter",)
        if self.spec.policy == "swap" and own != source and language in runs:
            self.assembled.use_language(runs[language].artifact)
            return (f"language adapter {own}",)
        self.assembled.use_language(parents[source])
        lacking = own != source and self.spec.policy == "swap"
        return (f"language adapter {source}{f', as there is none of {language}' if lacking else ''}",)

    def _recorded(self, answers: Iterator[Answer], attention: Attention, language: str) -> Iterator[Answer]:
        """The answers; after the last one, what the fusions attended to lies in the run."""
        yield from answers
        members = [list(layer.sources) for layer in self.assembled.setup.fusions]
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

    def encoder(self, layer: int | None) -> SentenceEncoder:
        """The session's model as something that makes vectors, at one layer or at all."""
        assert self.tokenizer.pad_token_id is not None
        config = self.spec.config
        return SentenceEncoder(
            self.assembled,
            layer,
            config.pooling,
            self.tokenizer.pad_token_id,
            config.tokens_per_batch,
            self.device,
            self.precision,
        )


def nearest_sentences(
    session: Session,
    language: str,
    data_key: str,
    examples: Sequence[Any],
    tick: Callable[[int], None],
    layer: int | None,
) -> Outcome:
    """The nearest sentence of the language to every English one; see `Session.answer`."""
    found = session.encoded(examples, f"{language}:{data_key}", session.spec.workspace.store.cache)
    assert layer is not None, "the best layer is chosen before"
    rows = [feature["input_ids"] for feature in found.to_list()]
    notes = session.switch_language(language)

    def told(sentences: int) -> None:
        tick(sentences // 2)

    if notes:
        # Each sentence is followed by its English translation, and each side has a language of its own.
        own = session.encoder(None).pooled(rows[0::2], told)
        session.switch_language("en")
        english = session.encoder(None).pooled(rows[1::2], told, len(rows) // 2)
        vectors = np.stack([own, english], axis=2).reshape(len(own), -1, own.shape[-1])
    else:
        vectors = session.encoder(None).pooled(rows, told)
    return replace(retrieval_outcome(vectors, layer), notes=(*notes, *session.without_effect(layer)))


def open_sessions(specs: Sequence[EvaluateSpec]) -> list[Session]:
    """Load the models of several evaluations; adapter setups share the memory of their backbone."""
    if len(specs) == 1:
        return [open_session(specs[0])]
    if specs[0].task.type.untrained:
        # Formulations of one encoder: one model, which gives an answer of each.
        session = open_session(specs[0])
        kind = Together([spec.task.formulation for spec in specs])
        return [replace(session, spec=spec, kind=kind) for spec in specs]
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
    """Load the model of an evaluation: its trained artifact, or what is below the target for retrieval.

    Args:
        spec: The evaluation.
        tokenizer: The backbone's tokenizer, if it is loaded.

    Raises:
        ArtifactError: If the artifact is damaged or does not fit the backbone.
    """
    spare_memory(False)
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    backbone = spec.workspace.backbone
    # The pieces are read as the languages' data are.
    tokens = NOTHING if spec.config.trim_vocabulary else None
    if spec.trained is not None:
        how = spec.config.quantize
        assembled = SetupModel.load(spec.trained.artifact, backbone, tokens=tokens, quantize=how)
    elif spec.task.type.untrained:
        assembled = _untrained(spec, tokens)
    else:
        assembled = SetupModel.from_setup(
            backbone,
            spec.setup,
            target=None,
            head=None,
            method=DEFAULT_METHOD if spec.answering == BARE else spec.method,
            parents={name: run.artifact for name, run in spec.parents.items()},
            seed=spec.seed,
            tokens=tokens,
            quantize=spec.config.quantize or UNQUANTIZED,
        )
    assembled.requires_grad_(False).to(device)
    if precision == "bf16":
        cast_once(assembled.model)
    labels = assembled.head.labels if assembled.head is not None else ()
    tokenizer = tokenizer or load_tokenizer(backbone)
    return Session(spec, assembled, spec.task.type, tokenizer, labels, device, precision)


def _untrained(spec: EvaluateSpec, tokens: Any) -> SetupModel:
    """What is below the target, under the head that a formulation answers under.

    Raises:
        ArtifactError: If nothing of the setup has such a head.
    """
    form, folders = spec.task.formulation, [run.artifact for run in spec.parents.values()]
    found = lender(form, folders) if form.needs_lender else None
    if form.needs_lender and found is None:
        raise form.refusal(spec.setup)
    labels = form.head_labels(spec.task, (), spec.workspace.backbone.width) if found is None else found[1]
    return SetupModel.untrained(
        spec.workspace.backbone,
        spec.setup,
        head=HeadSpec(spec.task.name, form.head, labels),
        lent=None if found is None else found[0],
        method=DEFAULT_METHOD if spec.answering == BARE else spec.method,
        parents={name: run.artifact for name, run in spec.parents.items()},
        seed=spec.seed,
        tokens=tokens,
        quantize=spec.config.quantize or UNQUANTIZED,
    )


def lender(form: Any, folders: Sequence[Path]) -> tuple[Path, tuple[str, ...]] | None:
    """The head that a formulation answers under or begins with: of the last artifact that has one.

    Args:
        form: The formulation.
        folders: The artifacts of a setup, lowest first.
    """
    found = [read_manifest(folder).lent(form.lends) for folder in folders]
    return next((item for item in reversed(found) if item is not None), None)


@dataclass(frozen=True)
class Examples:
    """The examples of a language, read anew each time they are gone through.

    Args:
        notes: Receives a line if bad rows were left out.
    """

    spec: EvaluateSpec
    language: str
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        return self.spec.examples(self.language, self.notes)


@dataclass(frozen=True)
class LanguagePredictions:
    """The answers to one language, read to their end before those to the next.

    Args:
        examples: Its examples, which can be gone through again.
        rows: Id, reference, and the answer of each setup.
        notes: Filled by the last row, with what was left out.
        told: What the reader of the score has to know besides.
        layers: For retrieval, the primary value at every layer.
        half: The same on the first half of the sentences.
    """

    language: str
    examples: Examples | Sequence[Any]
    rows: Iterator[tuple[str, Any, tuple[Answer, ...]]]
    notes: list[str]
    told: tuple[str, ...] = ()
    layers: tuple[float, ...] = ()
    half: tuple[float, ...] = ()


def answer_languages(
    sessions: Sequence[Session], keys: Mapping[str, str], layer: int | None
) -> Iterator[LanguagePredictions]:
    """The answers of setups to the same languages, in their order.

    Args:
        sessions: The setups; several only if they answer the same inputs.
        keys: Fingerprint of the data of each language.
        layer: For retrieval, the layer whose vectors are compared.

    Raises:
        MissingDataError: If a language has no example.
    """
    first = sessions[0]
    # A language adapter is changed, and what a fusion attends to is noted, between languages.
    if compares_vectors(first.spec.task) or first.assembled.setup.has_language or first.assembled.fusions:
        return _one_by_one(first, keys, layer)
    return _together(sessions, keys)


def _one_by_one(
    session: Session, keys: Mapping[str, str], layer: int | None
) -> Iterator[LanguagePredictions]:
    spec = session.spec
    for language, data_key in keys.items():
        notes: list[str] = []
        examples = list(spec.examples(language, notes))
        _number(spec, language, examples)
        with progress(f"{spec.task.name} {language} ({spec.answering})", len(examples)) as meter:
            outcome = session.answer(language, data_key, examples, meter.to, layer)
            found = zip(examples, outcome.golds, outcome.answers, strict=True)
            rows = ((example.id, gold, (answer,)) for example, gold, answer in found)
            yield LanguagePredictions(
                language, examples, rows, notes, outcome.notes, outcome.layers, outcome.half
            )


def _together(sessions: Sequence[Session], keys: Mapping[str, str]) -> Iterator[LanguagePredictions]:
    first = sessions[0]
    spec, gold = first.spec, first.kind.reference
    examples = {language: Examples(spec, language) for language in keys}
    files = _encoded(first, examples, keys)
    totals = {language: count_examples(path) for language, path in files.items()}
    parts = [Part(examples[language], stream_features(path)) for language, path in files.items()]
    where = next(iter(keys)) if len(keys) == 1 else f"in {len(keys)} languages"
    who = spec.answering if len(sessions) == 1 else f"{len(sessions)} setups"
    with progress(f"{spec.task.name} {where} ({who})", sum(totals.values())) as meter:
        at_once = bool(first.kind.forms)
        models = sessions[:1] if at_once else sessions
        found = answered([session.predictor() for session in models], parts, meter.to)
        for language, total in totals.items():
            # Not one example more is asked for, or the next ones would be computed before this is scored.
            own = islice(found, total)
            rows = (
                (example.id, gold(example), answers[0].prediction if at_once else answers)
                for _, example, answers in own
            )
            yield LanguagePredictions(language, examples[language], rows, examples[language].notes)


def _encoded(session: Session, examples: Mapping[str, Examples], keys: Mapping[str, str]) -> dict[str, Path]:
    """Files with the token ids of all languages, and a word on which of them were made now."""
    spec = session.spec
    told: dict[str, str] = {}
    files: dict[str, Path] = {}
    # Reading the examples once more takes far less than encoding them, and tells how much there is to do.
    sizes = {
        language: _number(spec, language, examples[language])
        for language, key in keys.items()
        if not session.is_encoded(f"{language}:{key}")
    }
    done = 0
    with progress(f"encoding {spec.task.name}", sum(sizes.values())) as meter:
        for language, data_key in keys.items():

            def move(number: int, before: int = done) -> None:
                meter.to(before + number)

            files[language] = session.encoded_file(
                examples[language],
                f"{language}:{data_key}",
                tick=move,
                tell=partial(told.__setitem__, language),
            )
            done += sizes.get(language, 0)
    made = [language for language, text in told.items() if text != FOUND]
    remark(f"token ids of {spec.task.name}: {_summary(told, made)}")
    return files


def _summary(told: Mapping[str, str], made: Sequence[str]) -> str:
    """Where the token ids of some languages come from, in words."""
    if not made:
        return f"{FOUND}, {len(told)} language{'s' if len(told) > 1 else ''}"
    reasons = list(dict.fromkeys(told[language] for language in made))
    rest = len(told) - len(made)
    return f"{', '.join(made)} {'; '.join(reasons)}{f'; {rest} others {FOUND}' if rest else ''}"


def _number(spec: EvaluateSpec, language: str, examples: Iterable[Any]) -> int:
    """Number of the examples of a language, which is refused without any."""
    number = sum(1 for _ in examples)
    if not number:
        raise MissingDataError(
            f"{spec.task.name} {spec.config.split} has no examples in {language}",
            remedy="check the data folder",
        )
    return number


def predict_rows(spec: EvaluateSpec, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each row with its `prediction`, in order.

    Args:
        spec: The trained setup and the task whose head answers.
        rows: Inputs with the fields of the task's kind.

    Raises:
        ConfigError: If a row lacks a field or has one the kind does not know; says which row.
    """
    if is_retrieval(spec.task):
        raise ConfigError(
            f"{spec.task.name} compares sentences and has no head", remedy="name another target"
        )
    built = [_example(spec, number, row) for number, row in enumerate(rows, start=1)]
    form, spoken = spec.task.formulation, next(iter(spec.languages), "")
    if form is not None and form.asks_language and not spoken:
        raise ConfigError(f"{form} asks for the language of the text", remedy="add --lang, as --lang sw")
    examples = list(spec.task.type.spoken(built, spoken))
    if not examples:
        raise ConfigError("there is no text to answer", remedy="give --text, or --input FILE")
    session = open_session(spec)
    key = digest([dict(row) for row in rows], length=24)
    features = session.encoded(examples, f"own text:{key}", spec.workspace.store.cache)
    predictions = session.predictor().predictions(examples, features)
    for row, prediction in zip(rows, predictions, strict=True):
        yield {**row, "prediction": prediction}


def _example(spec: EvaluateSpec, number: int, row: Mapping[str, Any]) -> Any:
    kind = spec.task.type
    if fault := damage(row):
        raise ConfigError(f"row {number} {fault}", remedy="give it as UTF-8 text")
    gold = (*kind.reference_fields, "label", "tags", "answers", "impossible", "lines")
    asked = [name for name in (*kind.required, *kind.optional) if name not in gold]
    unknown = [name for name in row if name not in (*asked, *gold, "id")]
    if unknown:
        raise ConfigError(
            f'row {number}: {spec.task.kind} has no field "{unknown[0]}"', remedy=f"use {', '.join(asked)}"
        )
    fields = {name: row[name] for name in asked if row.get(name) is not None}
    lacking = [name for name in asked if name in spec.task.fields and name not in fields]
    if lacking:
        raise ConfigError(
            f'row {number}: the field "{lacking[0]}" is missing',
            remedy=f"{spec.task.name} needs {', '.join(n for n in asked if n in spec.task.fields)}",
        )
    if isinstance(fields.get("words"), str):
        fields["words"] = fields["words"].split()
    try:
        return kind.build(str(row.get("id", number)), fields, Rules(labels=spec.task.labels, labeled=False))
    except RowError as error:
        raise ConfigError(f"row {number}: {error.message}", remedy=f"give {', '.join(asked)}") from None
