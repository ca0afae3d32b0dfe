"""From a raw row to the parts of an example: paths and templates, texts, labels, rules. Torch-free.

`compile_fields` finds the fields of a type in a row; the types make texts and labels of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from string import Formatter
from typing import Any, Self, TypeAlias

from adaptrans.errors import ConfigError


class RowError(Exception):
    """A row that its task refuses; the caller adds file and line.

    Args:
        message: What is wrong with the row.
        line: The exact line, when the row spans several.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        self.message = message
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class Prefixes:
    """What stands before texts, for an encoder that was trained so.

    Args:
        text: Before every text; of a question on a passage before the question alone, so that places in the
            passage stay those of the data; of words before the first.
        passage: Before passages that are ranked.

    Example:
        >>> bool(Prefixes()), str(Prefixes("query: ", "query: ")), str(Prefixes("query: ", "passage: "))
        (False, "'query: '", "'query: ', before passages 'passage: '")
    """

    text: str = ""
    passage: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.passage)

    def __str__(self) -> str:
        same = self.passage == self.text
        return repr(self.text) if same else f"{self.text!r}, before passages {self.passage!r}"

    @property
    def key(self) -> Any:
        """What stands for it in the key of a run: the text alone where passages have no other."""
        return self.text if self.passage == self.text else [self.text, self.passage]

    @classmethod
    def of_key(cls, key: Any) -> Self:
        """What a key stands for; None for nothing.

        Example:
            >>> Prefixes.of_key(Prefixes("query: ", "passage: ").key)
            Prefixes(text='query: ', passage='passage: ')
        """
        if isinstance(key, list):
            return cls(*map(str, key))
        return cls(str(key or ""), str(key or ""))


class Example:
    """One item of a task; each type has a frozen dataclass of its own, whose first field is the id."""

    __slots__ = ()
    id: str

    def in_place_of(self, first: Any) -> Self:
        """The example as the first one of a part of a split, where `first` has been the first one."""
        return self

    def prefixed(self, prefixes: Prefixes) -> Self:
        """The example as an encoder reads it that was trained with something before every text."""
        raise NotImplementedError(f"{type(self).__name__} has no texts to put something before")

    def changed(self, change: Callable[[str, str], str]) -> Self:
        """The example with its texts changed; places of answers stay those of the data.

        Args:
            change: Gets the role of a text (`text`, `premise`, `hypothesis`, `choice` or `question`)
            and the text.
        """
        raise NotImplementedError(f"{type(self).__name__} has no texts to change")

    def shortened(self) -> Self:
        """The example without most of what it brings along, to be shown."""
        return self

    def shown(self) -> dict[str, Any]:
        """Its texts and references by field, to be shown."""
        values: Any = self
        return {key: value for key, value in asdict(values).items() if key != "id"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a task demands of every row.

    Args:
        labels: The label names; empty for types whose label is an index.
        label_map: Raw label (as text) to label name or index.
        labeled: Whether a row without its label is an error.
        approximate_offsets: Whether an answer's offset may be corrected to the nearest occurrence;
            `or-none`: and the answer kept without a place where there is none.
        open_labels: Whether a tag need not be among the labels.
    """

    labels: tuple[str, ...] = ()
    label_map: Mapping[str, str | int] = field(default_factory=dict)
    labeled: bool = True
    approximate_offsets: bool | str = False
    open_labels: bool = False


def text_field(fields: Mapping[str, Any], name: str) -> str:
    """A field that is a text, stripped.

    Raises:
        RowError: If it is missing or something else.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise RowError(f'field "{name}" is {"missing" if value is None else f"{value!r}, not a text"}')
    return value.strip()


def is_blank(value: Any) -> bool:
    """Whether a cell says nothing: no value, white space alone, a gap of pandas, or -1."""
    gap = isinstance(value, float) and math.isnan(value)
    return value is None or gap or (isinstance(value, str) and not value.strip()) or value == -1


def label_field(raw: Any, rules: Rules) -> str | int | None:
    """The mapped label of a raw cell, or None where labels are not demanded."""
    if is_blank(raw) and not (raw == -1 and {"-1"} & {*rules.labels, *rules.label_map}):
        if rules.labeled:
            raise RowError("the label is missing")
        return None
    return named_label(raw, rules)


def named_label(raw: Any, rules: Rules) -> str | int:
    """The label that a raw value stands for: by the label map, else the one of the same text.

    A number or a truth value is taken as its text. Without a name for it that is, in this order:
    1.0 as 1, which is what a column of whole numbers becomes with a gap in it, and True as true.
    """
    texts = spellings(raw)
    mapped = next((text for text in texts if text in rules.label_map), None)
    if mapped is not None:
        label = rules.label_map[mapped]
        return str(label) if rules.labels else label
    if not rules.labels:
        return next((text for text in texts if text.isdigit()), texts[0])
    return next((text for text in texts if text in rules.labels), texts[0])


def spellings(raw: Any) -> list[str]:
    """The texts that a raw label may stand for, the nearest first.

    Example:
        >>> spellings(1.0), spellings(True), spellings("true"), spellings(" x ")
        (['1.0', '1'], ['True', 'true'], ['true', 'True'], ['x'])
    """
    text = str(raw).strip()
    if text in ("True", "true"):
        return [text, "true" if text == "True" else "True"]
    if text in ("False", "false"):
        return [text, "false" if text == "False" else "False"]
    whole = isinstance(raw, float) and raw.is_integer()
    return [text, str(int(raw))] if whole else [text]


def how_to_name(raw: Any, rules: Rules) -> str:
    """What to write in a task file for a raw label that is no name of a label."""
    text = spellings(raw)[-1]
    odd = isinstance(raw, int | float) or (text.isascii() and text.lstrip("-").isdigit())
    if not odd or not rules.labels:
        return ""
    if rules.label_map:
        return f"; label_map does not have {text}"
    pairs = ", ".join(f"{number}: {label}" for number, label in enumerate(rules.labels[:3]))
    more = ", ..." if len(rules.labels) > 3 else ""
    return f"; say what it stands for in the task file, as label_map: {{{pairs}{more}}}"


Getter: TypeAlias = Callable[[Mapping[str, Any]], Any]


def compile_fields(fields: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function from a row to its fields.

    Args:
        fields: Field name to a dotted path, a template or a list of paths. A path of a list that
            ends in `?` may be absent, if all that follow it are.

    Raises:
        ConfigError: If a template asks for more than names (attributes, formats).

    Example:
        >>> mapped = compile_fields({"prompt": "{a} What was the {b}?", "choices": ["c.0", "c.1"]})
        >>> mapped({"a": "It rained.", "b": "cause", "c": ["x", "y"]})
        {'prompt': 'It rained. What was the cause?', 'choices': ['x', 'y']}
    """
    getters = {name: _getter(rule) for name, rule in fields.items()}

    def apply(row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: getter(row) for name, getter in getters.items()}

    return apply


def _getter(rule: Any) -> Getter:
    if isinstance(rule, str):
        return _template(rule) if "{" in rule else path_getter(rule)
    parts = [_getter(item.removesuffix("?")) for item in rule]
    needed = [not item.endswith("?") for item in rule]
    if all(needed):
        return lambda row: [part(row) for part in parts]
    return lambda row: _shortened([part(row) for part in parts], needed, rule)


def _shortened(values: list[Any], needed: list[bool], rule: Sequence[str]) -> list[Any]:
    """The values without absent ones at the end, where the rule allows them to be absent."""
    end = len(values)
    while end and not needed[end - 1] and values[end - 1] in (None, ""):
        end -= 1
    for value, must, path in zip(values[:end], needed, rule, strict=False):
        if not must and value in (None, ""):
            raise RowError(f'"{path.removesuffix("?")}" is empty, but what follows it is not')
    return values[:end]


def _template(text: str) -> Getter:
    pieces: list[tuple[str, Getter | None]] = []
    for literal, name, spec, conversion in Formatter().parse(text):
        if spec or conversion or name == "":
            raise ConfigError(f'template "{text}" may hold only {{names}} of the row')
        pieces.append((literal, None if name is None else path_getter(name)))

    def fill(row: Mapping[str, Any]) -> str:
        out = []
        for literal, getter in pieces:
            out.append(literal)
            if getter is not None:
                value = getter(row)
                out.append(value.strip() if isinstance(value, str) else str(value))
        return "".join(out)

    return fill


def path_getter(path: str) -> Getter:
    """A function that follows a dotted path; `*` maps over a list, a number indexes one.

    A missing key gives RowError, except for the last one: an absent label is
    the builder's business.

    Example:
        >>> path_getter("q.choices.*.text")({"q": {"choices": [{"text": "a"}, {"text": "b"}]}})
        ['a', 'b']
    """
    keys = path.split(".")
    if len(keys) == 1:
        return lambda row: row.get(path)
    return lambda row: _follow(row, keys, path)


def _follow(value: Any, keys: list[str], path: str) -> Any:
    for position, key in enumerate(keys):
        rest = keys[position + 1 :]
        if key == "*":
            if not isinstance(value, list | tuple):
                raise RowError(f'"{path}" expects a list at "*"')
            return [_follow(item, rest, path) for item in value] if rest else list(value)
        if isinstance(value, Mapping):
            if key not in value and rest:
                raise RowError(f'the row has no "{".".join(keys[: position + 1])}"')
            value = value.get(key)
        elif isinstance(value, list | tuple) and key.isdecimal():
            if int(key) >= len(value):
                raise RowError(f'the row has no "{".".join(keys[: position + 1])}"')
            value = value[int(key)]
        else:
            raise RowError(f'the row has no "{path}"')
    return value
