"""What a task file says, as a frozen pydantic model. Torch-free.

A task is data: names, languages, where each split is read from, and how a row
maps to the fields of its type. Code lives in the types, never in a task file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from adaptrans.errors import AdaptransError, UnknownNameError
from adaptrans.formulations.lookup import formulation_of
from adaptrans.task_types.base import TASK_TYPES, TaskType
from adaptrans.tasks.names import SLOT, WORDS, TaskRef, name_problem, plain_name
from adaptrans.utils.renames import TASK_FIELDS, TASK_KEYS, current

_PART = re.compile(
    r"(?P<task>[A-Za-z0-9_-]+)\.(?P<split>[A-Za-z0-9_]+)(?:\[(?P<language>[A-Za-z0-9_-]+)\])?\Z"
)


def is_name(text: str) -> bool:
    """Whether a task may have this name.

    Example:
        >>> is_name("my_task-2"), is_name("My task"), is_name("mix")
        (True, False, False)
    """
    return text == text.lower() and name_problem(text) is None


def like(text: str) -> str:
    """A name that a task may have, as like a given one as can be.

    Example:
        >>> like("My task"), like("mix")
        ('my-task', 'my-mix')
    """
    plain = plain_name(text).lower()
    return plain if text.lower() not in (*WORDS, SLOT) else f"my-{text.lower()}"


def _as_tuple(value: Any) -> Any:
    """A lone string stands for a list of one."""
    return (value,) if isinstance(value, str) else value


def _text_keys(value: Any) -> Any:
    """Keys of a label map as text: YAML reads `0:` as a number."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else value


def _as_text(value: Any) -> Any:
    """A label as text: YAML reads `0` as a number and `true` as a truth value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _texts(value: Any) -> Any:
    return tuple(map(_as_text, value)) if isinstance(value, list | tuple) else value


def _current_fields(value: Any) -> Any:
    """Fields under the names of today; the column that a reader of ours makes bears the name of its field."""
    if not isinstance(value, Mapping):
        return value
    return current({name: TASK_FIELDS.get(name, path) for name, path in value.items()}, TASK_FIELDS)


Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
LabelNames: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_texts)]
RawLabels: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_texts), BeforeValidator(_as_tuple)]
LabelMap: TypeAlias = Annotated[dict[str, str | int], BeforeValidator(_text_keys)]
FieldMap: TypeAlias = Annotated[dict[str, str | tuple[str, ...] | None], BeforeValidator(_current_fields)]
Origin: TypeAlias = Literal["native", "human", "machine"]
"""Written in the language itself, translated by people, or translated by a machine."""
Provenance: TypeAlias = Origin | dict[str, Origin] | None


def under_kind(given: Any) -> Any:
    """A mapping with the name of a type under `kind`, where it is kept, whether it says `type` or `kind`.

    Raises:
        ValueError: If it says both.
    """
    if not isinstance(given, Mapping):
        return given
    if "type" in given and "kind" in given:
        raise ValueError("type and kind are two names for the same; leave one out")
    return {"kind" if key == "type" else key: value for key, value in given.items()}


class Strict(BaseModel):
    """Frozen; a key that is not declared is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=False)
    renamed: ClassVar[Mapping[str, str]] = {}
    """The name of today of each key that once had another; see `adaptrans.utils.renames`."""

    @model_validator(mode="before")
    @classmethod
    def _current(cls, data: Any) -> Any:
        return current(data, cls.renamed) if cls.renamed and isinstance(data, Mapping) else data


class ReadRules(Strict):
    """How the rows of a source are read; given per source or, as defaults, under `sources`.

    A `fields` value is a dotted path into the row (`question.choices.*.text`),
    a template (`"{premise} What was the {question}?"`), a list of paths, or
    null to drop an inherited field.
    """

    fields: FieldMap = Field(default={}, description="field of the type -> path or template in the row")
    label_map: LabelMap | None = Field(default=None, description="raw label -> label name or index")
    drop_labels: RawLabels = Field(
        default=(), description="rows with these raw labels are left out by design"
    )
    options: dict[str, Any] = Field(default={}, description="options of the format's reader")
    languages: Names = Field(default=(), description="languages this source holds; empty: the split's")
    approximate_offsets: bool | Literal["or-none"] = Field(
        default=False,
        description="move answer offsets to the nearest match; or-none: and keep an answer that stands "
        "nowhere in its context as a reference to score with, empty ones left out",
    )
    where: dict[str, str] = Field(
        default={}, description="column -> prefix that the rows of the split and language have there"
    )
    counted: bool = Field(default=True, description="whether its rows are what a manifest counts in the file")

    def has(self, language: str) -> bool:
        """Whether it holds a language, of those of its split."""
        return not self.languages or language in self.languages


class FileSource(ReadRules):
    """Original files in the data folder.

    Patterns may hold {lang}, {lang3} (any known three-letter code), {script} (the
    usual one, such as Cyrl), {name} and {lower} (English name), {first} and {second}
    (of a pair such as `de-en`), and `*`. Several patterns are joined in their order,
    the files of one pattern in sorted order; `.gz` may follow every name.
    """

    renamed = TASK_KEYS

    path: Names = Field(default=(), description="patterns below the data folder, joined in this order")
    beside: str | None = Field(default=None, description="the English side of a bitext")
    references: str | None = Field(default=None, description="the reference pairs of two corpora")
    format: str | None = Field(default=None, description="name of the reader")
    labeled_only: bool = Field(default=False, description="pass over files whose tags were removed")


class HubSource(ReadRules):
    """Parquet files of a data set repository on the Hugging Face Hub."""

    repo: str | None = Field(default=None, description="organization/name")
    revision: str | None = Field(default=None, description="branch, tag or commit; null: main")
    files: Names = Field(default=(), description="patterns inside the repository, joined in this order")
    tried: bool = Field(
        default=False,
        description="whether it was once read from the hub itself, not only from files made as documented",
    )


class LabelsFrom(Strict):
    """Labels that are found in the data instead of listed, for tag sets of hundreds."""

    split: str = Field(default="train", description="the split whose labels they are")
    at_least: int = Field(
        default=1, ge=1, description="times a label stands there; rarer ones are not learned"
    )


class Sources(Strict):
    """Defaults for the sources of all splits."""

    files: FileSource = FileSource()
    hub: HubSource = HubSource()


class Holdout(Strict):
    """A fixed part of another split, chosen by a hash of the example ids."""

    of: str = Field(description="the split it is taken out of")
    share: float = Field(gt=0, lt=1, description="fraction of the examples")


@dataclass(frozen=True)
class Part:
    """One `task.split[language]` of a composed split; no language: the one asked for.

    Example:
        >>> Part.parse("xnli.dev[en]")
        Part(task='xnli', split='dev', language='en')
    """

    task: str
    split: str
    language: str | None = None

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read `task.split` or `task.split[language]`.

        Raises:
            ValueError: If the text has another form.
        """
        match = _PART.match(text)
        if not match:
            raise ValueError(f'"{text}" is not of the form task.split or task.split[language]')
        return cls(match["task"], match["split"], match["language"])


def _as_sources(key: str) -> Any:
    """A pattern, a mapping or a list of these, as a list of mappings."""

    def normalize(value: Any) -> Any:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple({key: item} if isinstance(item, str) else item for item in items)

    return normalize


class Split(Strict):
    """Where one split comes from: files and hub, other tasks' splits, or a part of another split."""

    renamed = TASK_KEYS

    files: Annotated[tuple[FileSource, ...], BeforeValidator(_as_sources("path"))] = ()
    hub: Annotated[tuple[HubSource, ...], BeforeValidator(_as_sources("files"))] = ()
    compose: Names = Field(default=(), alias="from", description="other tasks' splits, joined")
    holdout: Holdout | None = None
    languages: Names = Field(default=(), description="languages of this split; empty: the task's")
    labeled: bool = Field(default=True, description="whether every row has its label")
    counts: int | dict[str, int] | None = Field(default=None, description="published number of examples")
    provenance: Provenance = Field(default=None, description="native, human, machine; or by language")
    note: str = ""

    @model_validator(mode="after")
    def _one_origin(self) -> Split:
        origins = [bool(self.files or self.hub), bool(self.compose), self.holdout is not None]
        if sum(origins) != 1:
            raise ValueError("give exactly one of: files and/or hub, from, holdout")
        if any(not source.path for source in self.files):
            raise ValueError("a source under files needs a path")
        if any(not source.files for source in self.hub):
            raise ValueError("a source under hub needs files")
        return self

    def parts(self) -> tuple[Part, ...]:
        """The parsed entries of `from`."""
        return tuple(Part.parse(text) for text in self.compose)

    def count(self, language: str) -> int | None:
        """Published number of examples in a language, if it is stated."""
        return self.counts.get(language) if isinstance(self.counts, dict) else self.counts


class Task(Strict):
    """A named task with its languages, splits, type and scores. See `catalogue`."""

    renamed = TASK_KEYS

    name: str
    version: int = Field(ge=1, description="raised by every change that can move a score")
    title: str
    kind: str = Field(description="name of its type; `type` in a task file")
    roles: tuple[Literal["intermediate", "target"], ...]
    languages: tuple[str, ...] = Field(min_length=1)
    labels: LabelNames = ()
    labels_from: LabelsFrom | None = Field(default=None, description="in place of labels")
    label_map: LabelMap = {}
    scores: tuple[str, ...] = Field(min_length=1, description="evaluation scores, the primary one first")
    tag_on: Literal["first_piece", "first_text_piece"] = Field(
        default="first_piece",
        description="the piece of a word that bears its tag; text passes over a piece for the space alone",
    )
    parallel: bool = Field(default=False, description="same items in the same order in every language")
    max_length: int = Field(default=128, ge=8, description="sub-words per input")
    head: str | None = Field(
        default=None, description="tasks of a mix with this head share it, where kind and labels are equal"
    )
    provenance: Provenance = Field(default=None, description="that of splits that do not say their own")
    fields: FieldMap = {}
    sources: Sources = Sources()
    splits: dict[str, Split] = Field(min_length=1)
    license: str
    citation: str
    homepage: str
    note: str = ""
    # Tasks that `from` names, found when the task was loaded; never part of a file.
    origins: dict[str, Task] = Field(default={}, exclude=True, repr=False)
    # How its examples are put, where that is not as its type puts them; likewise.
    formulation: Any = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _of_type(cls, given: Any) -> Any:
        """Its type under one key, and the scores of the type where it names none."""
        found = under_kind(given)
        if not isinstance(found, dict):
            return found
        kind = found.get("kind")
        if "scores" not in found and isinstance(kind, str) and kind in TASK_TYPES and TASK_TYPES[kind].scores:
            found["scores"] = TASK_TYPES[kind].scores
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if not is_name(self.name):
            problem = name_problem(self.name.lower()) or "may hold no capitals"
            raise ValueError(f'name "{self.name}" {problem}; call it for instance "{like(self.name)}"')
        try:
            kind = TASK_TYPES[self.kind]
        except UnknownNameError as error:
            raise ValueError(str(error)) from None
        if self.labels_from is not None:
            self._check_labels_from(self.labels_from)
        elif kind.needs_labels != bool(self.labels):
            verb = "needs" if kind.needs_labels else "has no"
            raise ValueError(f"a task of kind {self.kind} {verb} labels")
        for what, values in (("language", self.languages), ("label", self.labels)):
            doubled = {value for value in values if values.count(value) > 1}
            if doubled:
                raise ValueError(f"{what} {sorted(doubled)[0]} is listed twice")
        for label in self.labels:
            if not label or label != label.strip() or set(label) & set("\t\n\r"):
                raise ValueError(f"label {label!r} has white space around it, a tab or a line break")
        if not kind.tags_words and "tag_on" in self.model_fields_set:
            raise ValueError(f"tag_on is for tasks of kind {_that_tag_words()}")
        self._check_fields(kind.required + kind.optional + ("id",))
        self._check_label_maps()
        for name, split in self.splits.items():
            self._check_split(name, split)
        return self

    def _all_rules(self) -> list[ReadRules]:
        rules: list[ReadRules] = [self.sources.files, self.sources.hub]
        for split in self.splits.values():
            rules += [*split.files, *split.hub]
        return rules

    def _check_fields(self, known: tuple[str, ...]) -> None:
        for fields in [self.fields, *(rules.fields for rules in self._all_rules())]:
            for field in fields:
                if field not in known:
                    raise ValueError(str(UnknownNameError(f"field of kind {self.kind}", field, known)))

    def _check_label_maps(self) -> None:
        for rules in [self.label_map, *(rules.label_map or {} for rules in self._all_rules())]:
            for raw, label in rules.items():
                if self.labels and str(label) not in self.labels:
                    raise ValueError(f'label map: "{raw}" maps to "{label}", which is not among labels')

    def _check_labels_from(self, rule: LabelsFrom) -> None:
        if not self.type.tags_words:
            raise ValueError(f"labels_from is for tasks of kind {_that_tag_words()}; list the labels")
        if rule.split not in self.splits:
            raise ValueError(f'labels_from names the split "{rule.split}", which the task does not have')

    def _check_split(self, name: str, split: Split) -> None:
        unknown = set(split.languages) - set(self.languages)
        if unknown:
            raise ValueError(f"split {name}: language {sorted(unknown)[0]} is not among languages")
        if not all(source.repo or self.sources.hub.repo for source in split.hub):
            raise ValueError(f"split {name}: a source under hub needs a repo")
        if not all(source.format or self.sources.files.format for source in split.files):
            raise ValueError(f"split {name}: a source under files needs a format")
        split.parts()
        if split.holdout is None:
            return
        of = split.holdout.of
        if of not in self.splits or self.splits[of].holdout is not None:
            raise ValueError(f'split {name}: holdout of "{of}", which is no split with its own data')
        holdouts = [other.holdout for other in self.splits.values() if other.holdout]
        if sum(holdout.share for holdout in holdouts if holdout.of == of) >= 1:
            raise ValueError(f'the holdouts of "{of}" leave nothing of it')

    def __str__(self) -> str:
        return str(TaskRef(self.name, str(self.version)))

    @property
    def type(self) -> TaskType:
        """All that its type knows, or the formulation that it is put in."""
        found: TaskType = self.formulation or TASK_TYPES[self.kind]
        return found

    @property
    def formulation_inputs(self) -> dict[str, Any]:
        """What its formulation adds to the key of a run; nothing where it has none but its own."""
        return {} if self.formulation is None else {"formulation": self.formulation.inputs}

    @property
    def shown(self) -> str:
        """Its name as a target is written, with its formulation."""
        return self.name if self.formulation is None else f"{self.name}[{self.formulation}]"

    def put(self, formulation: str, folders: Iterable[Path] = ()) -> Task:
        """The task in a formulation.

        Args:
            formulation: How it is written, such as `cloze:en`; `head` for the task as it is.
            folders: Folders of the user's own task files, with their prompt files.

        Raises:
            UnknownNameError: If there is no such formulation.
            SetupError: If it has no prompts for the task.
            ConfigError: If its prompts are broken.
        """
        own = TASK_TYPES[self.kind]
        made = formulation_of(formulation, self.name, own, self.labels, folders)
        return self.model_copy(update={"formulation": made})

    @property
    def unanswerable(self) -> bool:
        """Whether a question may have no answer."""
        return self.type.may_be_unanswered

    def split(self, name: str) -> Split:
        """A split by name.

        Raises:
            UnknownNameError: If the task has no such split.
        """
        try:
            return self.splits[name]
        except KeyError:
            raise UnknownNameError(f"split of task {self.name}", name, self.splits) from None

    def languages_of(self, split: str) -> tuple[str, ...]:
        """Languages in which a split exists as published, in the task's order.

        For a composed split these are the languages of any of its parts.
        """
        definition = self.split(split)
        if definition.languages:
            return definition.languages
        if definition.holdout:
            return self.languages_of(definition.holdout.of)
        if definition.compose:
            found: list[str] = []
            for part in definition.parts():
                languages = self.origin(part).languages_of(part.split)
                found += [code for code in languages if part.language in (None, code)]
            return tuple(dict.fromkeys(found))
        return self.languages

    def provenance_of(self, split: str, language: str) -> tuple[Origin, ...]:
        """Who wrote the text of a split in a language, as far as it is known; several for a composed one."""
        definition = self.split(split)
        if definition.holdout:
            return self.provenance_of(definition.holdout.of, language)
        own = self.provenance if definition.provenance is None else definition.provenance
        if own is not None:
            found = own.get(language) if isinstance(own, dict) else own
            return () if found is None else (found,)
        parts = [part for part in definition.parts() if part.language in (None, language)]
        found_in = [self.origin(part).provenance_of(part.split, language) for part in parts]
        return tuple(dict.fromkeys(item for found in found_in for item in found))

    def shares_head(self, other: Task) -> bool:
        """Whether it learns under the head of another task of a mix."""
        alike = (self.kind, set(self.labels)) == (other.kind, set(other.labels))
        return self.head is not None and self.head == other.head and alike

    def origin(self, part: Part) -> Task:
        """The task a part of a composed split is read from.

        Raises:
            AdaptransError: If this task was built without its origins.
        """
        try:
            return self.origins[part.task]
        except KeyError:
            raise AdaptransError(
                f'task {self.name} is composed of "{part.task}", which was not loaded with it',
                remedy="build tasks with catalogue.get or catalogue.resolve",
            ) from None

    def file_sources(self, split: str) -> tuple[FileSource, ...]:
        """The file sources of a split with all defaults filled in."""
        return tuple(_filled(source, self.sources.files, self) for source in self.split(split).files)

    def hub_sources(self, split: str) -> tuple[HubSource, ...]:
        """The hub sources of a split with all defaults filled in."""
        return tuple(_filled(source, self.sources.hub, self) for source in self.split(split).hub)


def _that_tag_words() -> str:
    """Names of the types whose words bear labels."""
    return " or ".join(name for name in TASK_TYPES if TASK_TYPES[name].tags_words)


def _filled(source: Any, defaults: Any, task: Task) -> Any:
    """A source in which what it leaves out comes from the defaults, then from the task."""
    update: dict[str, Any] = {}
    for name in type(source).model_fields:
        if name not in source.model_fields_set:
            update[name] = getattr(defaults, name)
    merged = {**task.fields, **defaults.fields, **source.fields}
    update["fields"] = {key: value for key, value in merged.items() if value is not None}
    options = {**defaults.options, **source.options}
    update["options"] = {key: value for key, value in options.items() if value is not None}
    if update.get("label_map", source.label_map) is None:
        update["label_map"] = task.label_map
    return source.model_copy(update=update)
