"""The configuration of a pretraining run: one YAML file, every key checked [no torch]."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.languages import unknown
from adaptrans.utils.yaml import load_yaml

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
LineRange = tuple[Positive, Positive | None]


SAMPLES = "sample-suite"
"""Name of the source of text made like the sample suite."""


class Section(BaseModel):
    """A frozen part of the configuration whose unknown keys are errors with a suggestion."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        names = {field.alias or name for name, field in cls.model_fields.items()}
        for key in values if isinstance(values, dict) else ():
            if key not in names and key not in cls.model_fields:
                raise UnknownNameError("key", str(key), names)
        return values


class Source(Section):
    """Where text comes from and what its authors allow."""

    licence: str = Field(min_length=2, description="as its authors state it")
    note: str = ""


class Text(Section):
    """What is read from the text folder, by source."""

    mono: dict[str, dict[str, LineRange]] | None = Field(
        None, description="language: {source: [first line, last line]}, from 1, last included; none = all"
    )
    parallel: tuple[str, ...] = Field((), description="folders of parallel/ to read")
    dictionary: tuple[str, ...] = Field((), description="folders of dictionary/ to read")
    samples: Annotated[int, Field(ge=0)] = Field(
        0, description="fresh parallel sentences like those of the sample suite, as corpus sample-suite"
    )
    sources: dict[str, Source] = Field(
        default_factory=dict, description="licences; if given, every source read must be among them"
    )
    held_out: Annotated[int, Field(ge=2)] = Field(
        100, description="one line in so many is kept for measuring"
    )

    @model_validator(mode="after")
    def _sources_stated(self) -> Text:
        used = [*self.parallel, *self.dictionary]
        used += [SAMPLES] if self.samples else []
        used += [source for parts in (self.mono or {}).values() for source in parts]
        for name in used if self.sources else ():
            if name not in self.sources:
                raise UnknownNameError("source", name, self.sources, remedy="state it under text.sources")
        for language, parts in (self.mono or {}).items():
            for source, (first, last) in parts.items():
                if last is not None and last < first:
                    raise ValueError(f"mono.{language}.{source}: last line {last} before first line {first}")
        return self


class TokenizerPlan(Section):
    """The Unigram tokenizer that is trained when none is taken over."""

    vocabulary: Annotated[int, Field(ge=20)] = Field(16000, description="ids, special tokens included")
    characters: Positive = Field(6_000_000, description="characters of text it is trained on")
    smoothing: Share = Field(0.3, description="exponent on the sizes of the languages")
    coverage: Annotated[float, Field(gt=0.9, le=1)] = 0.9995


class Shape(Section):
    """The encoder that is made when none is taken over."""

    layers: Positive = 4
    width: Positive = 256
    heads: Positive = 4
    feedforward: Positive = 1024
    positions: Positive = Field(512, description="longest input in pieces")

    @model_validator(mode="after")
    def _divisible(self) -> Shape:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class Masked(Section):
    """Masked language modeling on running text."""

    share: Share = Field(1.0, description="share of the steps; shares are made to sum to 1")
    weight: float = 1.0
    masking: Annotated[float, Field(gt=0, lt=1)] = Field(0.15, description="fraction of the pieces")
    whole_words: bool = False
    switch: Share = Field(0.0, description="share of the sequences with words put in another language")
    switch_words: Share = Field(0.4, description="of such a sequence, share of the words with a translation")


class Translation(Section):
    """Masked language modeling on a sentence and its translation, concatenated."""

    share: Share = 0.0
    weight: float = 1.0
    masking: Annotated[float, Field(gt=0, lt=1)] = 0.2
    whole_words: bool = False


class Spacing(Section):
    """Languages written without spaces, of whose sentences some get a boundary before each token.

    Tagging data of these languages comes as words; each then begins with a boundary, which
    running text never shows.
    """

    languages: tuple[str, ...] = ()
    share: Share = Field(0.3, description="share of their sequences")
    pieces: Share = Field(0.7, description="of such a sequence, share of the pieces that get one")
    begins: Annotated[int, Field(ge=0)] = Field(0, description="first step with it")


class Alignment(Section):
    """Words of a sentence next to the words that translate them, beside the contrastive objective."""

    weight: Annotated[float, Field(ge=0)] = Field(0.0, description="0 = none")
    temperature: Annotated[float, Field(gt=0)] = 0.1
    threshold: float = Field(0.3, description="least cosine of the embeddings of two aligned pieces")
    pairs: Annotated[int, Field(ge=2)] = Field(512, description="most pairs of pieces in a batch")


class Contrastive(Section):
    """Translations as nearest neighbors: in-batch negatives over mean-pooled vectors."""

    share: Share = 0.0
    weight: float = 1.0
    temperature: Annotated[float, Field(gt=0)] = 0.05
    layer: Positive | None = Field(None, description="layer whose output is pooled; none = three quarters up")
    pairs: Annotated[int, Field(ge=2)] = Field(96, description="pairs in a batch")
    length: Annotated[int, Field(ge=3)] = Field(64, description="pieces of a sentence, cut beyond")
    begins: Annotated[int, Field(ge=0)] = Field(0, description="first step with this objective")
    alignment: Alignment = Alignment()


class Objectives(Section):
    """Which objective a step may have, by share."""

    masked: Masked = Masked()
    translation: Translation = Translation()
    contrastive: Contrastive = Contrastive()
    words: Contrastive = Field(Contrastive(pairs=256, length=12), description="contrastive, dictionary pairs")
    links: Contrastive = Field(
        Contrastive(pairs=512, length=3), description="contrastive, pieces that translate each other"
    )

    def shares(self, step: int | None = None) -> dict[str, float]:
        """Share of each objective that has one, summing to 1: at a step, or when all have begun."""
        plans = {name: getattr(self, name) for name in type(self).model_fields}
        begun = {n: p for n, p in plans.items() if step is None or getattr(p, "begins", 0) <= step}
        total = sum(plan.share for plan in begun.values())
        return {name: plan.share / total for name, plan in begun.items() if plan.share}

    @model_validator(mode="after")
    def _some(self) -> Objectives:
        if not any(getattr(self, name).share for name in type(self).model_fields):
            raise ValueError("every share is 0")
        return self


class Bagging(Section):
    """One kind of text in a step of the static stage."""

    count: Annotated[int, Field(ge=0)] = Field(512, description="pairs a step; 0 = none")
    weight: float = 1.0
    temperature: Annotated[float, Field(gt=0)] = 0.05


class Static(Section):
    """Alignment of the embeddings alone, as bags of tokens, before the encoder is trained."""

    steps: Annotated[int, Field(ge=0)] = Field(0, description="0 = no such stage")
    rate: Annotated[float, Field(gt=0)] = Field(0.05, description="highest rate; embeddings have variance 1")
    scale: Annotated[float, Field(gt=0)] = Field(
        0.1, description="standard deviation of the embeddings that the encoder begins with"
    )
    length: Annotated[int, Field(ge=1)] = Field(48, description="pieces of a sentence, cut beyond")
    reach: Annotated[int, Field(ge=1)] = Field(4, description="pieces of context on either side of a word")
    sentences: Bagging = Bagging()
    words: Bagging = Field(Bagging(count=1024), description="dictionary pairs")
    links: Bagging = Field(Bagging(count=0), description="pieces that translate each other")
    contexts: Bagging = Field(
        Bagging(weight=0.5, temperature=0.1), description="words and what stands around them"
    )


class Sampling(Section):
    """How languages are drawn."""

    smoothing: Share = Field(0.5, description="exponent on the sizes of the languages")
    pivot: str = Field("en", description="language on one side of most pairs")
    pivot_share: Share = Field(0.7, description="share of the pairs that are drawn with the pivot")


class Stage(Section):
    """A stretch of training with one sequence length."""

    length: Annotated[int, Field(ge=8)]
    steps: Positive | None = Field(None, description="how many steps; the last stage has none")


class Optimizer(Section):
    """AdamW, its rate over the steps, and the running average of the weights."""

    rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="highest learning rate")
    warmup: Annotated[int, Field(ge=0)] = Field(200, description="steps from 0 to the highest rate")
    decay: Share = Field(0.2, description="last share of the steps, with the rate falling to a tenth")
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = Field(1.0, description="largest norm of the gradient")
    average: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="memory of the running average that is exported, per step; 0 exports the weights"
    )


class PretrainConfig(Section):
    """Everything a run depends on, except where the text lies and where results go."""

    name: str
    languages: tuple[str, ...] = Field(min_length=1)
    seed: int = 1
    steps: Positive = Field(10_000, description="steps in all; may be raised later")
    tokens: Positive = Field(4096, description="tokens in a batch, padding included")
    lengths: tuple[Stage, ...] = (Stage(length=64),)
    shifted: Share = Field(0.25, description="share of batches that begin at a later position")
    dropout: Share = Field(0.0, description="while pretraining")
    base: str | None = Field(None, alias="from", description="backbone folder or name to go on from")
    text: Text = Text()
    tokenizer: TokenizerPlan = TokenizerPlan()
    model: Shape = Shape()
    static: Static = Static()
    objectives: Objectives = Objectives()
    spacing: Spacing = Spacing()
    sampling: Sampling = Sampling()
    optimizer: Optimizer = Optimizer()
    licence: str = Field("", description="licence of the resulting weights, for the card")
    notes: str = Field("", description="Markdown for the end of the card: what was tried, results")
    save_every: Positive = Field(180, description="seconds between checkpoints")
    evaluate_every: Positive = Field(900, description="seconds between measurements and exports")

    @model_validator(mode="after")
    def _fits(self) -> PretrainConfig:
        doubled = {name for name in self.languages if self.languages.count(name) > 1}
        if doubled:
            raise ValueError(f"languages: {min(doubled)} is named twice")
        for language in self.text.mono or {}:
            if language not in self.languages:
                raise unknown("language under text.mono", language, self.languages)
        if self.base and {"tokenizer", "model"} & self.model_fields_set:
            raise ValueError("from: takes over tokenizer and model; leave out tokenizer: and model:")
        if self.base and self.static.steps:
            raise ValueError("from: goes on with trained embeddings, which static: would replace")
        if any(stage.steps is None for stage in self.lengths[:-1]):
            raise ValueError("lengths: only the last stage may be without steps")
        longest = max(stage.length for stage in self.lengths)
        if not self.base and longest > self.model.positions:
            raise ValueError(f"lengths: {longest} is beyond model.positions {self.model.positions}")
        if longest > self.tokens:
            raise ValueError(f"tokens: {self.tokens} holds no sequence of {longest}")
        if not self.objectives.shares(0):
            raise ValueError("objectives: none begins at step 0")
        layers = [getattr(self.objectives, name).layer for name in ("contrastive", "words", "links")]
        if not self.base and any(layer and layer > self.model.layers for layer in layers):
            raise ValueError(f"objectives: layer beyond model.layers {self.model.layers}")
        return self


def parse(values: Any, where: str) -> PretrainConfig:
    """Check a configuration that is already read.

    Args:
        values: The mapping, as YAML gives it.
        where: Name of the file, for messages.

    Raises:
        ConfigError: Unknown key, or impossible value; the field is named.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected keys and values", remedy="see the mini configuration")
    try:
        return PretrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {field + ': ' if field else ''}{reason}") from None
    except UnknownNameError as error:
        raise ConfigError(f"{where}: {error}") from None


def load_config(path: Path) -> PretrainConfig:
    """Read and check a configuration file.

    Args:
        path: A YAML file.

    Raises:
        ConfigError: If it is missing, not YAML, or does not fit.
    """
    try:
        values, _ = load_yaml(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}", remedy="name a YAML file") from None
    return parse(values, str(path))


def changed(config: PretrainConfig, **values: Any) -> PretrainConfig:
    """A copy with the values that are not None put in, checked again.

    Raises:
        ConfigError: If a value does not fit.
    """
    given = {key: value for key, value in values.items() if value is not None}
    plain = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return parse({**plain, **given}, "options") if given else config


def fingerprint(config: PretrainConfig) -> str:
    """Hash of all that decides the weights at a given step (not the number of steps, not the timing)."""
    plain = config.model_dump(
        mode="json", exclude={"steps", "save_every", "evaluate_every", "licence", "name", "notes"}
    )
    plain["text"].pop("sources")
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
