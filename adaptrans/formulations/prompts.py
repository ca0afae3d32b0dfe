"""Templates and label words by language: a YAML file per family of tasks, ours or the user's. Torch-free."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptrans.errors import ConfigError
from adaptrans.utils.yaml import KeyPath, explained, load_yaml

HERE = Path(__file__).parent / "prompts"
FOLDER = "formulations"
"""Folder of a user's prompt files, in a folder of task files."""

ENGLISH, UNIVERSAL = "en", "universal"
"""The language that every book has; what stands for a template without words of any language."""

MARKS = ".!?;:,。！？；：，、．।۔؟॥…"
"""Marks that `bare` takes from the end of a text."""

MODIFIERS = ("bare", "lower")
"""`bare`: without marks at the end; `lower`: with a small first letter."""


class Prompt(BaseModel):
    """How a task is put in one language."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    template: str = Field(min_length=1, description="text with the fields of a row in braces")
    words: dict[str, str] = Field(min_length=1, description="label, or what `reads` finds -> word or words")
    words_by: Literal["author", "human", "machine", "ours"] = Field(
        description="who wrote the words: the source's author in the language, a translator, a machine, we"
    )
    note: str = ""


class PromptBook(BaseModel):
    """The prompts of a family of tasks in its languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(description="the formulation that it is for: cloze, entailment, question")
    title: str
    tasks: tuple[str, ...] = Field(min_length=1, description="the tasks that it fits")
    source: str = Field(description="where templates and words were taken from")
    license: str
    reads: str = Field(
        default="", description="the form of a multiple-choice prompt, whose fields the templates name"
    )
    languages: dict[str, Prompt] = Field(min_length=1)

    def of(self, language: str) -> Prompt:
        """The prompt of a language; the English one where there is none of it."""
        return self.languages.get(language) or self.languages[ENGLISH]


def slots(template: str) -> list[tuple[str, tuple[str, ...]]]:
    """The fields that a template names, each with its modifiers.

    Raises:
        ValueError: If its braces do not pair.

    Example:
        >>> slots("{text.bare}? {mask}")
        [('text', ('bare',)), ('mask', ())]
    """
    found = []
    for _, field, spec, conversion in Formatter().parse(template):
        if field is None:
            continue
        if spec or conversion:
            raise ValueError("a field may hold no colon and no exclamation mark")
        name, *modifiers = field.split(".")
        found.append((name, tuple(modifiers)))
    return found


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its fields filled in.

    Example:
        >>> fill("{text.bare}? {mask} {text.lower}", {"text": "It rains.", "mask": "<mask>"})
        'It rains? <mask> it rains.'
    """
    parts = []
    for text, field, _, _ in Formatter().parse(template):
        parts.append(text)
        if field is not None:
            name, *modifiers = field.split(".")
            parts.append(_modified(values[name], modifiers))
    return "".join(parts)


def _modified(value: str, modifiers: Iterable[str]) -> str:
    value = value.strip()
    for modifier in modifiers:
        value = value.rstrip(MARKS + " ") or value if modifier == "bare" else value[:1].lower() + value[1:]
    return value


def reading(form: str, prompt: str) -> dict[str, str] | None:
    """The fields that a prompt of a form was made of; None where it is of another form.

    Example:
        >>> reading("{premise} What was the {question}?", "It rained. What was the effect?")
        {'premise': 'It rained.', 'question': 'effect'}
    """
    pattern = "".join(
        re.escape(text) + (f"(?P<{field}>.*)" if field else "")
        for text, field, _, _ in Formatter().parse(form)
    )
    match = re.fullmatch(pattern, prompt, flags=re.DOTALL)
    return None if match is None else {name: value.strip() for name, value in match.groupdict().items()}


def _read(path: Path) -> tuple[PromptBook, dict[KeyPath, int]]:
    state = path.stat()
    return _read_once(path, (state.st_mtime_ns, state.st_size))


@cache
def _read_once(path: Path, _stamp: tuple[int, int]) -> tuple[PromptBook, dict[KeyPath, int]]:
    data, lines = load_yaml(path)
    try:
        book = PromptBook.model_validate(data)
    except ValidationError as problem:
        raise explained(problem, str(path), lines, _known_keys) from None
    return book, lines


def _known_keys(at: KeyPath) -> list[str]:
    return list((PromptBook if len(at) < 2 else Prompt).model_fields)


def read_book(path: Path, fields: Collection[str], must: Collection[str]) -> PromptBook:
    """The prompts of a file, each with all that it needs.

    Args:
        path: The file.
        fields: Fields that a template may name.
        must: Those of them that it has to name, once each.

    Raises:
        ConfigError: If a key, a template or a set of words is broken, with file and line.
    """
    book, lines = _read(path)
    if ENGLISH not in book.languages:
        line = lines[("languages",)]
        raise ConfigError(f"{path}:{line}: there is no prompt in English", remedy="add languages: en: ...")
    every = list(book.languages[ENGLISH].words)
    fields = {*fields, *(name for name, _ in slots(book.reads))}
    for code, prompt in book.languages.items():
        at: KeyPath
        for at, problem in _problems(code, prompt, every, fields, must):
            place = next(lines[at[:end]] for end in range(len(at), 0, -1) if at[:end] in lines)
            raise ConfigError(f"{path}:{place}: {code}: {problem}", remedy="mend the file")
    return book


def _problems(
    code: str, prompt: Prompt, every: list[str], fields: Collection[str], must: Collection[str]
) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with a prompt, each with the key that it concerns."""
    at: KeyPath = ("languages", code, "template")
    try:
        named = slots(prompt.template)
    except ValueError as error:
        yield at, f"template: {error}"
        return
    for name, modifiers in named:
        if name not in fields:
            yield at, f"template: no field {{{name}}}, only {', '.join(sorted(fields))}"
        for modifier in modifiers:
            if modifier not in MODIFIERS:
                yield at, f"template: {{{name}.{modifier}}} is none of {', '.join(MODIFIERS)}"
    for name in must:
        times = [field for field, _ in named].count(name)
        if times != 1:
            yield at, f"template: {{{name}}} stands in it {times} times, not once"
    own: KeyPath = ("languages", code, "words")
    for label in every:
        if label not in prompt.words:
            yield own, f'words: there is none for "{label}"'
    for label, word in prompt.words.items():
        if label not in every:
            yield (*own, label), f'words: "{label}" has a word here and none in English'
        if not word.strip():
            yield (*own, label), f'words: that for "{label}" is empty'
        same = next((other for other, text in prompt.words.items() if text.strip() == word.strip()), label)
        if same != label:
            yield (*own, label), f'words: "{same}" and "{label}" have the same one, {word}'


def scripts(word: str) -> set[str]:
    """The scripts of the letters of a word, by the first word of their names in Unicode.

    Example:
        >>> sorted(scripts("Nαί"))
        ['GREEK', 'LATIN']
    """
    return {unicodedata.name(sign, "?").split()[0] for sign in word if sign.isalpha()}


def odd_words(book: PromptBook) -> list[str]:
    """Words that look like slips: letters of Latin script among those of another."""
    return [
        f"{code}: the word {word} for {label} mixes {' and '.join(sorted(scripts(word)))} letters"
        for code, prompt in book.languages.items()
        for label, word in prompt.words.items()
        if "LATIN" in scripts(word) and len(scripts(word)) > 1
    ]


def files(folders: Iterable[Path]) -> list[Path]:
    """All prompt files: the user's, folder by folder, then ours."""
    places = [Path(folder) / FOLDER for folder in folders] + [HERE]
    return [path for place in places for path in sorted([*place.glob("*.yaml"), *place.glob("*.yml")])]


def book_kind(path: Path) -> tuple[str, tuple[str, ...]]:
    """For which formulation and which tasks a file is."""
    book, _ = _read(path)
    return book.kind, book.tasks
