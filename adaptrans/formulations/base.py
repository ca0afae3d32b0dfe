"""What a formulation is: the type of a task, made from its own type for that one task.

So a formulated task is a task like others: reading, encoding, batches, loss, answers, prediction files and
scores keep their one path, and nothing else asks how a task is put. A kind of formulation is one subclass
and one file.

An example becomes rows of tokens and candidates, which are the answers to choose from; every candidate is
scored on one of the rows, and the best one is the answer. Torch is imported where tensors are made.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from adaptrans.errors import ConfigError, SetupError
from adaptrans.formulations.prompts import ENGLISH, UNIVERSAL, Prompt, PromptBook, fill, odd_words, reading
from adaptrans.formulations.written import CALIBRATED, OWN, SWITCHED, UNTRAINED, Wording, Written
from adaptrans.task_types.base import Batch, Feature, Input, Level, TaskSettings, TaskType, tokens
from adaptrans.task_types.inputs import IGNORED, padded_inputs, summed_cross_entropy
from adaptrans.task_types.rows import Example, Rules
from adaptrans.utils.io import digest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

CONTENT_FREE = "N/A"
"""Stands for a text without content. Source: Zhao et al. 2021, Calibrate Before Use (arXiv 2102.09690)."""

SAME = (
    "title", "source", "required", "optional", "reference_fields", "text_field", "needs_labels", "tags_words",
    "one_label", "options_like", "scores", "layout", "too_long", "pipeline",
)  # fmt: skip
"""What of a task's own type stays."""


@dataclass(frozen=True, slots=True)
class Asked(Example):
    """An example, and the language that it is in."""

    id: str
    example: Any
    language: str

    def shortened(self) -> Asked:
        """The same with a shortened example."""
        return replace(self, example=self.example.shortened())

    def changed(self, change: Callable[[str, str], str]) -> Asked:
        """The same with the texts of its example changed."""
        return replace(self, example=self.example.changed(change))

    @property
    def number_of_choices(self) -> int:
        """Of its example."""
        found: int = self.example.number_of_choices
        return found

    def reordered(self, order: Sequence[int]) -> Asked:
        """The same with the choices of its example in another order."""
        return replace(self, example=self.example.reordered(order))

    def shown(self) -> dict[str, Any]:
        """The fields of the example, and its language."""
        return {**self.example.shown(), "language": self.language}


@dataclass(frozen=True)
class Row:
    """One row of tokens before it is tokenized.

    Args:
        templates: Of a text, or of the two texts of a pair.
        values: Texts of the example, of which the longest is cut where the row is too long.
        fixed: What is never cut.
    """

    templates: tuple[str, ...]
    values: Mapping[str, str]
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> str | tuple[str, ...]:
        """What the tokenizer gets."""
        found = tuple(fill(template, {**self.values, **self.fixed}) for template in self.templates)
        return found if len(found) > 1 else found[0]

    def without_content(self, kept: str = "") -> Row:
        """The row with nothing in its texts but what is kept."""
        empty = {name: text if name == kept else CONTENT_FREE for name, text in self.values.items()}
        return replace(self, values=empty)

    def cut(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Row:
        """The row with its longest text cut until it fits; the template is never cut.

        Raises:
            ConfigError: If the template alone is too long.
        """
        row = self
        while (over := len(_ids(tokenizer, [row])[0]) - max_length) > 0:
            ends = {name: [end for _, end in _offsets(tokenizer, text)] for name, text in row.values.items()}
            name = max(ends, key=lambda name: len(ends[name]))
            if len(ends[name]) < 2:
                raise ConfigError(
                    f"the prompt alone is longer than {max_length} subword tokens",
                    remedy="give a larger max_length",
                )
            end = ends[name][max(0, len(ends[name]) - over - 1)]
            row = replace(row, values={**row.values, name: row.values[name][:end]})
        return row


def _ids(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]) -> list[list[int]]:
    """The ids of some rows, as long as they are."""
    texts: list[Any] = [row.texts for row in rows]
    found: list[list[int]] = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    return found


def _offsets(tokenizer: PreTrainedTokenizerFast, text: str) -> list[tuple[int, int]]:
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets: list[tuple[int, int]] = found["offset_mapping"]
    return offsets


@dataclass(frozen=True)
class Put:
    """An example under one prompt.

    Args:
        rows: Its rows of tokens.
        candidates: For each answer its `row`, the `prior` row without content (-1: none), and more.
        names: What each candidate is, for a preview.
    """

    rows: tuple[Row, ...]
    candidates: tuple[dict[str, Any], ...]
    names: tuple[str, ...]


class Formulation(TaskType):
    """A task's type in which its examples are put otherwise.

    A subclass gives the form of the head, `put` and `candidate_scores`.

    Class attributes:
        NAME: What it is called.
        VERSION: Part of the keys of its runs; raised when what it gives changes.
        OPTIONS: What may follow a slash.
        MUST: Fields that a template has to name.
        FIELDS: Further fields that it may name.
        TYPES: Types of tasks that it can put.

    Attributes:
        inner: The task's own type.
        written: How it was asked for.
        book: Its templates and words.
        untrained: Whether it answers without training on the target.
        labels: Labels of the task.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int] = 1
    OPTIONS: ClassVar[tuple[str, ...]] = (UNTRAINED, CALIBRATED)
    MUST: ClassVar[tuple[str, ...]] = ()
    FIELDS: ClassVar[tuple[str, ...]] = ()
    TYPES: ClassVar[tuple[str, ...]] = ("classification", "multiple_choice")

    def __init__(self, written: Written, inner: TaskType, labels: tuple[str, ...], book: PromptBook) -> None:
        self.written, self.inner, self.labels, self.book = written, inner, labels, book
        self.untrained = UNTRAINED in written.options
        self.calibrated = CALIBRATED in written.options
        for name in SAME:
            setattr(self, name, getattr(inner, name))
        self.name = f"{inner.name} as {written} {self.identity[:12]}"  # type: ignore[misc]

    def __str__(self) -> str:
        return str(self.written)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formulation) and self.inputs == other.inputs

    def __hash__(self) -> int:
        return hash(self.identity)

    def answers_beside(self, other: Formulation) -> bool:
        """Whether another formulation of the task answers under the same head, untrained too."""
        return (self.NAME, self.head, self.untrained) == (other.NAME, other.head, other.untrained)

    @cached_property
    def identity(self) -> str:
        """Hash of all that can change an answer."""
        said = self.book.model_dump(mode="json", include={"reads", "languages"})
        return digest([self.NAME, self.VERSION, str(self.written), said])

    @property
    def inputs(self) -> dict[str, str]:
        """What enters the key of a run."""
        return {"name": str(self.written), "content": self.identity}

    # Rows, as the task's own type has them

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> Example:
        """The example of a row, as the task's own type has it."""
        return self.inner.build(id, fields, rules)

    def spoken(self, examples: Iterable[Any], language: str) -> Iterator[Any]:
        """The examples with the language that they are in."""
        return (Asked(example.id, example, language) for example in examples)

    def group(self, example: Any) -> str:
        """As the task's own type has it; of an example as it is read, which has no language yet."""
        return self.inner.group(example)

    def reference(self, example: Asked) -> Any:
        """As the task's own type has it."""
        return self.inner.reference(example.example)

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """As the task's own type has it."""
        return self.inner.chance(task, _Plain(examples), references, level)

    def answering(self, task: TaskSettings) -> dict[str, Any]:
        """The formulation with its prompts, beside what the task's own type says."""
        return {**self.inner.answering(task), "formulation": self.described()}

    def described(self) -> dict[str, Any]:
        """The formulation with the prompts that it may use, for an artifact."""
        wordings = [[wording.template, wording.words] for wording in self.written.wordings]
        said = {"options": list(self.written.options), "wordings": wordings, "labels": list(self.labels)}
        return {**self.inputs, **said, **self.book.model_dump(mode="json"), "kind": self.NAME}

    def notes_on(self, languages: Sequence[str]) -> list[str]:
        """What the reader of a score has to know."""
        found = []
        if self.asks_language:
            lacking = [code for code in languages if code not in self.book.languages]
            if lacking:
                found.append(f"{self}: English prompts in {', '.join(lacking)}, for which there is none")
        return found

    @property
    def asks_language(self) -> bool:
        """Whether it has to be known in which language an example is."""
        return any(OWN in (wording.template, wording.words) for wording in self.written.wordings)

    def remarks(self, languages: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[str]:
        """What looks odd in its words, or does not suit a tokenizer; a line for each language.

        Args:
            languages: Languages of the task.
            tokenizer: The backbone's tokenizer.
        """
        return odd_words(self.book)

    # Prompts

    def wordings(self, asked: Asked) -> list[tuple[str, str]]:
        """Languages of template and words under which an example is put, each pair once."""
        known = sorted(set(self.book.languages) - {UNIVERSAL})

        def meant(language: str) -> str:
            if language == SWITCHED:
                drawn = hashlib.blake2b(asked.id.encode(), digest_size=8, key=b"adaptrans prompt").digest()
                return known[int.from_bytes(drawn, "big") % len(known)]
            wanted = asked.language if language == OWN else language
            return wanted if wanted in self.book.languages else ENGLISH

        pairs = [(meant(wording.template), meant(wording.words)) for wording in self.written.wordings]
        return list(dict.fromkeys(pairs))

    def texts(self, example: Any) -> tuple[dict[str, str], list[str]]:
        """The texts of an example that a template may name, and its choices where it has some.

        Raises:
            ConfigError: If a prompt is not of the form that the book reads.
        """
        if not hasattr(example, "choices"):
            pair = {} if example.pair is None else {"pair": example.pair}
            return {"text": example.text, **pair}, []
        found = reading(self.book.reads, example.prompt) if self.book.reads else {"prompt": example.prompt}
        if found is None:
            raise ConfigError(
                f'{self}: the prompt of {example.id}, "{example.prompt[:60]}", is not of the form '
                f'"{self.book.reads}"',
                remedy="mend reads in the prompt file",
            )
        return found, list(example.choices)

    @abstractmethod
    def put(
        self, example: Any, prompt: Prompt, words: Mapping[str, str], tokenizer: PreTrainedTokenizerFast
    ) -> Put:
        """An example under one prompt.

        Args:
            example: The example, of the task's own type.
            prompt: Its template.
            words: Its label words.
            tokenizer: The backbone's tokenizer.
        """

    def with_priors(self, put: Put, kept: str = "") -> Put:
        """The same with a row without content beside every row, where scores are calibrated."""
        if not self.calibrated:
            return put
        rows = (*put.rows, *(row.without_content(kept) for row in put.rows))
        shift = len(put.rows)
        candidates = tuple({**own, "prior": own["row"] + shift} for own in put.candidates)
        return replace(put, rows=rows, candidates=candidates)

    # Token ids and batches

    def encode(
        self,
        examples: Sequence[Any],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per example and prompt: rows of ids, and what scores each candidate."""
        puts: list[tuple[int, Asked, Put]] = []
        for index, asked in enumerate(examples):
            for template, words in self.wordings(asked):
                prompt, own = self.book.of(template), self.book.of(words).words
                puts.append((index, asked, self.put(asked.example, prompt, own, tokenizer)))
        every = [row for _, _, put in puts for row in put.rows]
        ids = _ids(tokenizer, every)
        for place, row in enumerate(every):
            if len(ids[place]) > max_length:
                every[place] = row.cut(tokenizer, max_length)
                ids[place] = _ids(tokenizer, [every[place]])[0]
        found, start = [], 0
        for index, asked, put in puts:
            end = start + len(put.rows)
            found.append(
                self._feature(index, asked.example, put, every[start:end], ids[start:end], tokenizer)
            )
            start = end
        return found

    def _feature(
        self,
        index: int,
        example: Any,
        put: Put,
        cut: Sequence[Row],
        ids: Sequence[list[int]],
        tokenizer: PreTrainedTokenizerFast,
    ) -> Feature:
        label = example.label
        if label is not None and self.labels:
            label = self.labels.index(label)
        found: Feature = {
            "example": index,
            "length": max(map(len, ids)) * len(ids),
            "input_ids": list(ids),
            "label": IGNORED if label is None else label,
        }
        candidates = self.located(put, cut, tokenizer)
        for key in candidates[0]:
            found[key] = [own[key] for own in candidates]
        return found | self.constants(tokenizer)

    def located(
        self, put: Put, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast
    ) -> Sequence[dict[str, Any]]:
        """The candidates, with what is known of them only when their rows are cut."""
        return put.candidates

    def constants(self, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
        """What every feature states of the vocabulary."""
        return {}

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Rows that are the same in several features stand once; shape (rows, tokens)."""
        import torch

        rows, _ = _rows_once(features)
        batch = padded_inputs(rows, padding_id)
        batch["labels"] = torch.tensor([feature["label"] for feature in features])
        return batch | self.answers(features)

    def answers(self, features: Sequence[Feature]) -> Batch:
        """What scores each candidate, shape (features, candidates): its row, prior, and whether it is one."""
        import torch

        _, places = _rows_once(features)
        width = max(len(feature["row"]) for feature in features)
        row, prior, real = [], [], []
        for own, feature in zip(places, features, strict=True):
            missing = width - len(feature["row"])
            row.append([own[number] for number in feature["row"]] + [0] * missing)
            priors = [own[number] if number >= 0 else -1 for number in feature["prior"]]
            prior.append(priors + [-1] * missing)
            real.append([True] * len(feature["row"]) + [False] * missing)
        return {
            "row": torch.tensor(row), "prior": torch.tensor(prior), "candidate_mask": torch.tensor(real)
        }  # fmt: skip

    @abstractmethod
    def candidate_scores(self, logits: Any, batch: Batch, which: str) -> torch.Tensor:
        """Log-probability of each candidate on its row, or on its `prior`, shape (features, candidates)."""

    def _final(self, logits: Any, batch: Batch) -> torch.Tensor:
        """The scores, calibrated where there is a prior; minus infinity where there is no candidate."""
        found = self.candidate_scores(logits, batch, "row")
        without = batch["prior"] < 0
        if not without.all():
            found = found - self.candidate_scores(logits, batch, "prior").masked_fill(without, 0.0)
        return found.masked_fill(~batch["candidate_mask"], float("-inf"))

    def loss(self, logits: Any, batch: Batch) -> tuple[torch.Tensor, int]:
        """Cross-entropy over the candidates' scores."""
        return summed_cross_entropy(self._final(logits, batch), batch["labels"])

    def decode(self, logits: Any, features: Sequence[Feature]) -> list[list[float]]:
        """The scores of the candidates of each feature."""
        batch = {name: value.to(_device(logits)) for name, value in self.answers(features).items()}
        values = self._final(logits, batch).tolist()
        return [own[: len(item["row"])] for own, item in zip(values, features, strict=True)]

    def predict(self, example: Asked, outputs: Sequence[Sequence[float]], labels: Sequence[str]) -> Any:
        """The candidate with the highest mean of scores over the prompts; the first of equal ones."""
        return self.inner.predict(example.example, [_means(outputs)], self.labels)

    def log_probabilities(self, outputs: Sequence[Sequence[float]]) -> list[float]:
        """Of the candidates, from their mean scores over the prompts; the probabilities sum to 1."""
        means = _means(outputs)
        highest = max(means)
        total = highest + math.log(sum(math.exp(value - highest) for value in means))
        return [value - total for value in means]

    def head_size(self, task: TaskSettings, width: int) -> int:
        """As many as the task has labels."""
        return max(2, len(task.labels))

    # Whose head answers

    def lends(self, kind: str, labels: Sequence[str]) -> bool:
        """Whether a trained task of this type and these labels has a head that this one answers under."""
        return False

    @property
    def needs_lender(self) -> bool:
        """Whether, untrained, it answers under the head of a trained task."""
        return False

    def refusal(self, setup: Any) -> SetupError:
        """The error for a setup in which nothing has such a head, of those that need one."""
        raise NotImplementedError(self.NAME)

    # Preview

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """Each row of tokens, with the candidates that are scored on it."""
        found = []
        for (template, words), feature in zip(self.wordings(example), features, strict=True):
            prompt, own = self.book.of(template), self.book.of(words).words
            put = self.put(example.example, prompt, own, tokenizer)
            for number, ids in enumerate(feature["input_ids"]):
                here = [name for name, row in zip(put.names, feature["row"], strict=True) if row == number]
                note = ", ".join(here) or "without content"
                found.append(Input(tokens(tokenizer, ids), note=f"[{Wording(template, words)}] {note}"))
        return found


class _Plain:
    """The examples of a task's own type; can be gone through several times, as those that it is made of."""

    def __init__(self, examples: Iterable[Asked]) -> None:
        self._examples = examples

    def __iter__(self) -> Iterator[Any]:
        return (asked.example for asked in self._examples)


def _means(outputs: Sequence[Sequence[float]]) -> list[float]:
    """The mean score of each candidate over the prompts."""
    return [sum(own) / len(own) for own in zip(*outputs, strict=True)]


def _device(logits: Any) -> Any:
    return (logits[0] if isinstance(logits, tuple) else logits).device


def _rows_once(features: Sequence[Feature]) -> tuple[list[list[int]], list[list[int]]]:
    """The rows of some features, equal ones once, and where those of each feature stand among them."""
    places: dict[tuple[int, ...], int] = {}
    found = [
        [places.setdefault(tuple(row), len(places)) for row in feature["input_ids"]] for feature in features
    ]
    return [list(row) for row in places], found
