"""What a task asks of the model: the contract of a type, and the registry of all types.

Everything that differs from type to type stands in the one class of the type: how a row becomes an
example, an example token ids, token ids a batch, logits a loss and a prediction; its files, scores and
baselines; and what can be done with it. Everything else (reading, batching, training, scoring, storing)
is the same for all. No type imports torch before it computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from adaptrans.task_types.inputs import Batch, Feature, padded_inputs, summed_cross_entropy
from adaptrans.task_types.rows import Example, Rules
from adaptrans.utils.registry import Registry
from adaptrans.utils.yaml import load_yaml

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


HERE = Path(__file__).parent

Level = Callable[[Iterable[tuple[Any, Any]]], float]
"""What a task's first score gives to pairs of a reference and an answer, x 100."""


class TaskSettings(Protocol):
    """What a type reads of a task; `adaptrans.tasks.schema.Task` has it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of the logits."""

    @property
    def labels_from(self) -> object | None:
        """Whether labels are found in the data, so that rare ones are not learned."""

    @property
    def tag_on(self) -> str:
        """The subword token of a word that bears its tag: `first_piece` or `first_text_piece`."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """Field of the type to a path in the row."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to an example.

    Args:
        prediction: The answer, JSON-serializable.
        log_probabilities: Of each label or choice, in their order; None where there are none to choose from.
    """

    prediction: Any
    log_probabilities: Sequence[float] | None = None


LEARNED: Mapping[str, tuple[str, ...]] = {"train": ("en",), "dev": ("en",), "test": ("en", "sw")}
"""Languages of a template's rows by split, where a task is learned in English."""


@dataclass(frozen=True)
class Template:
    """The file that `tasks new` writes for a type, and rows that fit it.

    Args:
        asks: What the type asks of the model, for the first comment.
        settings: Lines of labels, scores, length and fields.
        format: Lines of the source's format.
        suffix: Suffix of the data files.
        rows: The content of a data file, by language or by `split-language`.
        splits: Split name to the languages of its example rows.
        beside: Further files: what follows the split and language in their names, and their content.
        sections: The splits of the task file; None for train, dev and test.
    """

    asks: str
    settings: str
    format: str
    suffix: str
    rows: Mapping[str, str]
    splits: Mapping[str, Sequence[str]] = field(default_factory=lambda: LEARNED)
    beside: Mapping[str, str] = field(default_factory=dict)
    sections: str | None = None


@dataclass(frozen=True)
class Recipe:
    """How an exported model of a type answers without this package, see `adaptrans.task_types.recipes`.

    Args:
        settings: The numbers and names that `config.json` states and the code needs, of a task's rules.
        text: Markdown: what a reader has to know, and Python that defines `answer`, given `tokenizer` and
            `model`. `$name` is one of `names`; there always are `$max_length` and, as Python, `$labels`.
        names: What `$name` stands for, of a task's rules.
        further: A further way to answer, for a plain model of transformers.
    """

    settings: Callable[[Mapping[str, Any]], dict[str, Any]]
    text: str
    names: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda own: {}
    further: str = ""


def answer_text(name: str) -> str:
    """The Markdown of a recipe that ships, by its name."""
    return (HERE / "answers" / f"{name}.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Input:
    """One row of tokens that the model gets, for a preview.

    Args:
        tokens: The tokens, special ones included.
        labels: A label per token, empty where none is learned or scored; None for types without.
        span: First and last token of the reference answer, None where this input does not hold it.
        note: What this input is for, such as the choice it holds.
    """

    tokens: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    span: tuple[int, int] | None = None
    note: str = ""


class TaskType(ABC):
    """All that differs between types of tasks. One subclass and one file per type.

    A subclass gives `name`, the fields of a row, `build`, `encode` and `chance`. One that learns gives
    `head`; loss and answers are by default those of one label per input. One that compares vectors without
    training gives `retriever`. The rest has defaults.

    Attributes:
        name: Name used in task files.
        title: What it is, as a heading.
        version: Raised when `encode` changes, so that cached encodings are made anew.
        source: SHA-256 of the file of a type from outside this package; part of the keys of its runs.

        required: Fields that every row must map.
        optional: Fields that a row may map; `id` is always allowed.
        reference_fields: Those of them that hold the reference, which the user's own text does not have.
        text_field: The field that a lone text fills.
        needs_labels: Whether a task must list its labels; otherwise it may not.
        tags_words: Whether words bear labels: a task may then find its labels in the data, and say on which
            subword token of a word a label sits.
        may_be_unanswered: Whether a question may have no answer, found by a threshold tuned on dev.

        head: Name of the form of head, see `adaptrans.modeling.heads`; None for types that are not trained.
        whole: Whether the inputs of a step are each other's wrong answers, so that it cannot be cut.
        targets: Numbers in a batch that the loss needs, one per input, to their keys in a feature.
        fixed_inputs: Whether the inputs are the same in every epoch, one row each.
        plain_text: Whether it is text without labels: trained on in every language at hand, never a target.
        text_roles: Roles of its texts that can be changed, see `Example.changed`.
        takes_prefix: What of `Prefixes` can be put before its texts, see `Example.prefixed`.
        rows_per_input: Rows of tokens that an input has at least.
        one_label: Whether an example has one label, so that few-shot draws can be balanced.
        options_like: The type whose options of a preset it takes; None for its own.

        retriever: `module:function` that answers by comparing vectors; None for a head's answers.
        searches: Which side looks for which, in a word and in words; None for types that compare none.
        mines: Whether references are sets of partners, and a threshold of similarity is tuned.
        scores: Scores of a task that names none, the primary one first.
        layout: Name of the layout of prediction files, see `adaptrans.evaluation.xtreme_format`.
        too_long: What happens to examples over the maximum length.
        pipeline: What the Hugging Face Hub calls it. Source: huggingface.co/tasks.
        template: The file of `tasks new`; None for types without. Those that ship have it in `templates/`.
        recipe: How an export answers; None for types whose exports do not say.
        fills_masks: Whether it answers over the vocabulary, for which an encoder has to be whole.
        untrained: Whether what is below the target answers for a target, under a head that is there already.
        forms: Formulations that answer at once, each with a prediction of its own; none for a single answer.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    version: ClassVar[int] = 1
    source: str = ""

    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    reference_fields: ClassVar[tuple[str, ...]] = ("label",)
    text_field: ClassVar[str] = "text"
    needs_labels: ClassVar[bool] = False
    tags_words: ClassVar[bool] = False
    may_be_unanswered: ClassVar[bool] = False

    head: ClassVar[str | None] = None
    targets: ClassVar[Mapping[str, str]] = {}
    whole: ClassVar[bool] = False
    fixed_inputs: ClassVar[bool] = False
    plain_text: ClassVar[bool] = False
    text_roles: ClassVar[tuple[str, ...]] = ()
    takes_prefix: ClassVar[tuple[str, ...]] = ()
    rows_per_input: ClassVar[int] = 1
    one_label: ClassVar[bool] = False
    options_like: ClassVar[str | None] = None

    retriever: ClassVar[str | None] = None
    searches: ClassVar[tuple[str, str] | None] = None
    mines: ClassVar[bool] = False
    scores: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[str] = "labels"
    too_long: ClassVar[str] = "are cut"
    pipeline: ClassVar[str] = "text-classification"
    recipe: ClassVar[Recipe | None] = None
    fills_masks: ClassVar[bool] = False
    untrained: bool = False
    forms: Sequence[Any] = ()

    @cached_property
    def template(self) -> Template | None:
        """The file of `tasks new`, from `templates/`; a type from outside gives its own in place of this."""
        path = HERE / "templates" / f"{self.name}.yaml"
        return Template(**load_yaml(path)[0]) if path.is_file() else None

    @property
    def trainable(self) -> bool:
        """Whether it has a head, and is trained."""
        return self.head is not None

    @property
    def compares_vectors(self) -> bool:
        """Whether it is answered by comparing vectors with each other, trained or not."""
        return self.retriever is not None

    # Rows

    @abstractmethod
    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> Example:
        """The example of a row.

        Args:
            id: Its id.
            fields: The mapped fields of the row, see `required` and `optional`.
            rules: What the task demands of every row.

        Raises:
            RowError: If the row does not fit; without file and line, which the caller knows.
        """

    def spoken(self, examples: Iterable[Any], language: str) -> Iterable[Any]:
        """The examples of a language as they are answered, for types that ask for the language."""
        return examples

    def group(self, example: Any) -> str:
        """What examples share that must not stand on both sides of a holdout, such as a passage."""
        return example.id

    def labels_in(self, example: Any) -> Iterable[str]:
        """The labels in an example, for tasks that find theirs in the data."""
        return ()

    # Token ids and batches

    @abstractmethod
    def encode(
        self,
        examples: Sequence[Any],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """Model inputs of examples; an example may give several (windows, segments), in order.

        Args:
            examples: The examples.
            tokenizer: The backbone's tokenizer.
            task: The task.
            max_length: Subword tokens per input.
            training: Whether reference answers are encoded for a loss.
        """

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """A padded batch of features: here `input_ids`, `attention_mask`, and `targets`, shape (batch,)."""
        import torch

        batch = padded_inputs([feature["input_ids"] for feature in features], padding_id)
        for name, key in self.targets.items():
            batch[name] = torch.tensor([feature[key] for feature in features])
        return batch

    def batch(self, features: Sequence[Feature], padding_id: int, device: torch.device) -> Batch:
        """A batch of features on a device."""
        return {name: value.to(device) for name, value in self.collate(features, padding_id).items()}

    # Learning and answering, for types with a head

    def head_labels(
        self,
        task: TaskSettings,
        examples: Sequence[Any],
        width: int,
    ) -> tuple[str, ...]:
        """Names of what a fresh head tells apart, in the order of its logits.

        Args:
            task: The task.
            examples: The training data.
            width: Width of the backbone's states.
        """
        return task.labels

    def head_size(self, task: TaskSettings, width: int) -> int:
        """How many numbers a head answers for one input, before the data are read; for estimates."""
        return max(2, len(task.labels))

    def loss(self, logits: Any, batch: Batch) -> tuple[torch.Tensor, int]:
        """Sum of losses and number of terms, so that micro-batches add up to the loss of the whole batch.

        Here the cross-entropy of logits, shape (..., classes), with the batch's `labels`, shape (...).
        """
        return summed_cross_entropy(logits, batch["labels"])

    def decode(self, logits: Any, features: Sequence[Feature]) -> list[Any]:
        """One output per feature, as plain Python values; here the class with the highest logit."""
        return logits.float().argmax(dim=-1).tolist()

    def predict(self, example: Any, outputs: Sequence[Any], labels: Sequence[str]) -> Any:
        """The prediction for an example, JSON-serializable; here the label of its only output.

        Args:
            example: The example.
            outputs: The decoded outputs of its features.
            labels: Label names of the head.
        """
        return labels[outputs[0]]

    def log_probabilities(self, outputs: Sequence[Any]) -> list[float] | None:
        """Of each label or choice of an example; None where an answer is no choice between some.

        Args:
            outputs: The decoded outputs of the example's features.
        """
        return None

    def answer(self, example: Any, outputs: Sequence[Any], labels: Sequence[str]) -> Answer:
        """The prediction for an example, and how likely each candidate is."""
        return Answer(self.predict(example, outputs, labels), self.log_probabilities(outputs))

    def reference(self, example: Any) -> Any:
        """What the scores compare a prediction with; None or an empty list if the data has none.

        Here the example's own field of the first of `reference_fields`.
        """
        if not self.reference_fields:
            raise NotImplementedError(f"the reference of {self.name} is no part of an example")
        found = getattr(example, self.reference_fields[0])
        return list(found) if isinstance(found, tuple) else found

    # Evaluation

    def other_languages(self, languages: Sequence[str]) -> Sequence[str]:
        """Languages that are read beside the one that is scored, of those of the task."""
        return ()

    @abstractmethod
    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """The score x 100 that a result has to clear: that of answers to a test set without reading its text.

        Args:
            task: The task.
            examples: The examples of one language; can be gone through several times.
            references: Their references, likewise.
            level: What the task's first score gives to references and answers.
        """

    def answering(self, task: TaskSettings) -> dict[str, Any]:
        """What of a task, beside its maximum length, says how a model answers; for exports."""
        return {}

    # Preview

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """What the model gets for an example; here its tokens and `notes`."""
        rows: list[Sequence[int]] = []
        for feature in features:
            ids = feature["input_ids"]
            rows += ids if ids and isinstance(ids[0], list) else [ids]
        notes = self.notes(example, features) or [""] * len(rows)
        return [Input(tokens(tokenizer, row), note=note) for row, note in zip(rows, notes, strict=True)]

    def notes(self, example: Any, features: Sequence[Feature]) -> Sequence[str]:
        """What each row of tokens of an example is for; none where that needs no word."""
        return ()


def tokens(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> tuple[str, ...]:
    """The tokens of some ids, as the tokenizer writes them."""
    return tuple(tokenizer.convert_ids_to_tokens(list(ids)))


def best_of(values: Sequence[float]) -> int:
    """The place of the highest of some values, of equal ones the first."""
    return max(range(len(values)), key=values.__getitem__)


def uneven(even: float, references: Iterable[Any]) -> float:
    """Share of right answers of the better of drawing evenly and always giving the most frequent answer.

    Answers are uneven where the most frequent one is more so than luck makes one in 40 sets of their size.

    Args:
        even: Share of right answers of drawing evenly.
        references: The reference answers.

    Example:
        >>> uneven(0.5, "ab" * 50), uneven(0.5, "aaab" * 50)
        (0.5, 0.75)
    """
    times = Counter(references)
    number = times.total()
    largest = times.most_common(1)[0][1] / number
    luck = 1.96 * (even * (1 - even) / number) ** 0.5
    return largest if largest > even + luck else even


TASK_TYPES: Registry[TaskType] = Registry(
    "kind of task", group="adaptrans.task_types", made=lambda own: own()
)
"""All types by name; packages add theirs through entry points `NAME = "module:Class"` of this group."""
for _name, _target in {
    "classification": "classification:Classification",
    "tagging": "tagging:Tagging",
    "span_qa": "span_qa:SpanQA",
    "span_qa_null": "span_qa:SpanQANull",
    "multiple_choice": "multiple_choice:MultipleChoice",
    "bitext_retrieval": "bitext_retrieval:BitextRetrieval",
    "bitext_mining": "bitext_mining:BitextMining",
    "passage_ranking": "passage_ranking:PassageRanking",
    "mlm": "masked_lm:MaskedLM",
}.items():
    TASK_TYPES.add(_name, f"adaptrans.task_types.{_target}")
