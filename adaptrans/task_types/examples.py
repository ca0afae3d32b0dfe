"""What one item of a task looks like, per type, and how a row becomes one. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from adaptrans.tasks.fields import RowError
from adaptrans.utils.registry import Registry


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of a context; `start` counts characters from 0, -1 if the text stands nowhere in it."""

    text: str
    start: int


def answer_pairs(raw: Any) -> list[tuple[Any, Any]]:
    """(text, start) pairs of SQuAD's list of answers, the hub's columns, or a list of [start, text]."""
    if raw is None:
        return []
    if isinstance(raw, Mapping):
        texts, starts = raw.get("text"), raw.get("answer_start", raw.get("start"))
        if isinstance(texts, str) and not isinstance(starts, list | tuple):
            # One answer that stands in no list.
            return [(texts, starts)]
        if not isinstance(texts, list | tuple) or not isinstance(starts, list | tuple):
            raise RowError("answers need lists of texts and offsets")
        if len(texts) != len(starts):
            raise RowError("answers need as many texts as offsets")
        return list(zip(texts, starts, strict=True))
    if not isinstance(raw, list | tuple):
        raise RowError(f'field "answers" is {raw!r}, not a list')
    if raw and all(isinstance(item, list | tuple) and len(item) == 2 for item in raw):
        return [(text, start) for start, text in raw]
    if not all(isinstance(item, Mapping) and "text" in item and "answer_start" in item for item in raw):
        raise RowError('an answer lacks "text" or "answer_start"')
    return [(item["text"], item["answer_start"]) for item in raw]


def answer_at(text: Any, start: Any, context: str, lead: int, approximate: bool | str) -> Answer:
    """The answer of a text and an offset, where it stands in its stripped context.

    Args:
        text: The text.
        start: Its offset in the context as it stands in the file.
        context: That context.
        lead: Characters of white space before it.
        approximate: Whether the nearest occurrence will do; `or-none`: and no occurrence.

    Raises:
        RowError: If it does not stand there.
    """
    if (text, start) == ("", -1) and approximate == "or-none":
        return Answer("", -1)
    if type(text) in (int, float) and str(text) in context:
        text = str(text)
    start = _whole(start)
    if not isinstance(text, str) or not text.strip() or start is None:
        raise RowError(f"answer {text!r} at {start!r} is not a text with an offset")
    if context[start : start + len(text)] != text:
        found = _nearest(context, text, start) if approximate else -1
        if found < 0 and approximate == "or-none":
            return Answer(text.strip(), -1)
        if found < 0:
            there = context[max(start, 0) : max(start, 0) + len(text)]
            raise RowError(f'answer "{text}" is not at offset {start} of its context, "{there}" is')
        start = found
    start += len(text) - len(text.lstrip())
    return Answer(text.strip(), start - lead)


def _whole(value: Any) -> int | None:
    """A whole number, also as 3.0 (a column with a gap in it) or "3" (csv); None for other values."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if type(value) is int else None


def _nearest(context: str, text: str, start: int) -> int:
    """Offset of the occurrence of `text` nearest to `start`, -1 if there is none."""
    after = context.find(text, max(start, 0))
    before = context.rfind(text, 0, max(start, 0) + len(text))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start)) if found else -1


@dataclass(frozen=True, slots=True)
class ClassificationExample:
    """One text, or a pair, with the name of its label (None: not given)."""

    id: str
    text: str
    pair: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class TaggingExample:
    """One sentence as words, with one tag per word (None: not given)."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class SpanQAExample:
    """A question on a context; no answers means not given."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class MultipleChoiceExample:
    """A prompt and its candidate continuations; `label` is the index of the right one."""

    id: str
    prompt: str
    choices: tuple[str, ...]
    label: int | None


@dataclass(frozen=True, slots=True)
class BitextExample:
    """Line i of a language and line i of English: its gold answer has the same index."""

    id: str
    text: str
    english: str


@dataclass(frozen=True, slots=True)
class MiningExample:
    """A sentence of a corpus and the ids of its translations in the other one (None: not given).

    The first example of a corpus carries the other corpus as pairs of id and sentence.
    """

    id: str
    text: str
    golds: tuple[str, ...] | None
    pool: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RankingExample:
    """A query, a candidate passage, or for training a pair of both.

    `keys` is what the query looks for, or what the passage answers: they fit if they share one.
    """

    id: str
    query: str | None
    passage: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextExample:
    """A line of plain text and its language, "" where nothing says it."""

    id: str
    text: str
    language: str


Example: TypeAlias = (
    ClassificationExample
    | TaggingExample
    | SpanQAExample
    | MultipleChoiceExample
    | BitextExample
    | MiningExample
    | RankingExample
    | TextExample
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a task demands of every row.

    Args:
        labels: The label names; empty for kinds whose label is an index.
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


class Builder(Protocol):
    """Turns the fields of a row into an example of one kind."""

    def __call__(self, id: str, fields: Mapping[str, Any], rules: Rules) -> Example:
        """The example, or RowError."""


@dataclass(frozen=True, slots=True)
class ExampleKind:
    """The data side of a task kind.

    Args:
        build: Makes an example of mapped fields.
        required: Fields every row must map.
        optional: Fields a row may map; `id` is always allowed.
        needs_labels: Whether the task must list its label names.
    """

    build: Builder
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    needs_labels: bool = False


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise RowError(f'field "{name}" is {"missing" if value is None else f"{value!r}, not a text"}')
    return value.strip()


def _is_blank(value: Any) -> bool:
    gap = isinstance(value, float) and math.isnan(value)
    return value is None or gap or (isinstance(value, str) and not value.strip()) or value == -1


def _label(raw: Any, rules: Rules) -> str | int | None:
    """The mapped label of a raw cell, or None where labels are not demanded."""
    if _is_blank(raw) and not (raw == -1 and {"-1"} & {*rules.labels, *rules.label_map}):
        if rules.labeled:
            raise RowError("the label is missing")
        return None
    return _named(raw, rules)


def _named(raw: Any, rules: Rules) -> str | int:
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


def _how_to_name(raw: Any, rules: Rules) -> str:
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


def build_classification(id: str, fields: Mapping[str, Any], rules: Rules) -> ClassificationExample:
    """A text or a pair with one of the task's labels; ends are stripped, inner spaces kept."""
    label = _label(fields.get("label"), rules)
    if label is not None and label not in rules.labels:
        how = _how_to_name(fields["label"], rules)
        raise RowError(f'unknown label "{label}", expected one of {", ".join(rules.labels)}{how}')
    pair = _text(fields, "pair") if "pair" in fields else None
    text = _text(fields, "text")
    if not text and not pair:
        raise RowError("the row has no text")
    return ClassificationExample(id, text, pair, None if label is None else str(label))


def build_tagging(id: str, fields: Mapping[str, Any], rules: Rules) -> TaggingExample:
    """A sentence whose tags all are labels of the task.

    `fields["lines"]`, where a reader gives it, holds the line of each word.
    """
    words = _words(fields.get("words"))
    raw = fields.get("tags")
    if raw is not None and not isinstance(raw, list | tuple):
        raise RowError(f'field "tags" is {raw!r}, not a list')
    if raw is None or all(tag is None for tag in raw):
        if rules.labeled:
            raise RowError("the sentence has no tags")
        return TaggingExample(id, words, None)
    if len(raw) != len(words):
        raise RowError(f"{len(words)} words but {len(raw)} tags")
    tags = tuple(raw)
    named = all(type(tag) is str for tag in tags) and (rules.open_labels or set(tags).issubset(rules.labels))
    if rules.label_map or not named:
        tags = tuple(_tag(tag, rules) for tag in raw)
    if "" in tags or not (rules.open_labels or set(tags).issubset(rules.labels)):
        raise _unknown_tag(words, raw, tags, fields.get("lines"), rules)
    return TaggingExample(id, words, tags)


def _words(raw: Any) -> tuple[str, ...]:
    if raw is None:
        raise RowError('field "words" is missing')
    if not isinstance(raw, list | tuple):
        raise RowError(f'field "words" is {raw!r}, not a list of words')
    if not raw:
        raise RowError("the sentence has no words")
    for number, word in enumerate(raw, start=1):
        if not isinstance(word, str):
            raise RowError(f"word {number} is {word!r}, not a text")
    return tuple([word.strip() for word in raw])


def _unknown_tag(
    words: Sequence[str], raw: Sequence[Any], tags: Sequence[str], lines: Sequence[int] | None, rules: Rules
) -> RowError:
    index = next(i for i, tag in enumerate(tags) if not tag or tag not in rules.labels)
    what = f'unknown tag "{tags[index]}" of' if tags[index] else "no tag for"
    expected = "" if rules.open_labels else f", expected one of {', '.join(rules.labels)}"
    expected += _how_to_name(raw[index], rules) if tags[index] else ""
    message = f'{what} word {index + 1} "{words[index]}"{expected}'
    return RowError(message, line=lines[index] if lines else None)


def _tag(raw: Any, rules: Rules) -> str:
    """The name of a raw tag, empty for none."""
    if isinstance(raw, list | tuple | Mapping):
        raise RowError(f"a tag is {raw!r}, not a text")
    return "" if raw is None else str(_named(raw, rules))


def build_span_qa(id: str, fields: Mapping[str, Any], rules: Rules) -> SpanQAExample:
    """A question whose answers stand in the context where their offsets say.

    White space around context and answers is cut and offsets follow, because
    copies of the same data differ only there.
    """
    raw = fields.get("context")
    if not isinstance(raw, str) or not raw.strip():
        raise RowError('field "context" is missing or empty')
    lead = len(raw) - len(raw.lstrip())
    context = raw.strip()
    question = _text(fields, "question")
    pairs = answer_pairs(fields.get("answers"))
    if rules.approximate_offsets == "or-none":
        # Where every answer is empty, the question stays, with a gold text that nothing but "" equals.
        pairs = [pair for pair in pairs if pair[0] != ""] or [("", -1)] * bool(pairs)
    answers = tuple(answer_at(text, start, raw, lead, rules.approximate_offsets) for text, start in pairs)
    if not answers and rules.labeled:
        raise RowError("the question has no answer")
    return SpanQAExample(id, question, context, answers)


NULL_ANSWER = Answer("", 0)
"""The gold answer of a question that its context does not answer."""


def build_span_qa_null(id: str, fields: Mapping[str, Any], rules: Rules) -> SpanQAExample:
    """As `build_span_qa`, for questions that may have no answer.

    A question without answers is one its context does not answer, if the field
    `impossible`, where it is mapped, agrees.
    """
    impossible = fields.get("impossible")
    answers = answer_pairs(fields.get("answers"))
    # As it stands in a csv file, where "False" would be true.
    if isinstance(impossible, str):
        impossible = impossible.strip().lower() not in ("", "false", "no", "0")
    if impossible is not None and bool(impossible) == bool(answers):
        found = "is marked impossible but has answers" if answers else "has no answer but is not marked so"
        raise RowError(f"the question {found}")
    example = build_span_qa(id, fields, replace(rules, labeled=False))
    if example.answers or not rules.labeled:
        return example
    return replace(example, answers=(NULL_ANSWER,))


def build_multiple_choice(id: str, fields: Mapping[str, Any], rules: Rules) -> MultipleChoiceExample:
    """A prompt with two or more choices and the index of the right one."""
    raw = fields.get("choices")
    if not isinstance(raw, list | tuple) or len(raw) < 2:
        raise RowError("a row needs at least two choices")
    if not all(isinstance(choice, str) for choice in raw):
        raise RowError("a choice is not a text")
    choices = tuple(choice.strip() for choice in raw)
    label = _label(fields.get("label"), rules)
    if label is not None:
        try:
            label = int(label)
        except ValueError:
            how = f"say which it is in the task file, as label_map: {{{label}: 0}}"
            raise RowError(f'label "{label}" is not the number of a choice; {how}') from None
        if not 0 <= label < len(choices):
            raise RowError(f"label {label} does not name one of {len(choices)} choices")
    return MultipleChoiceExample(id, _text(fields, "prompt"), choices, label)


def build_bitext(id: str, fields: Mapping[str, Any], rules: Rules) -> BitextExample:  # noqa: ARG001
    """A sentence and its English translation."""
    text, english = _text(fields, "text"), _text(fields, "english")
    if not text or not english:
        raise RowError("one side of the pair is empty")
    return BitextExample(id, text, english)


def build_mining(id: str, fields: Mapping[str, Any], rules: Rules) -> MiningExample:
    """A sentence as it stands, its translations, and with the first one the other corpus."""
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        raise RowError('field "text" is missing or empty')
    golds = fields.get("golds")
    if golds is None and rules.labeled:
        raise RowError("there are no gold pairs")
    return MiningExample(id, text, None if golds is None else tuple(golds), tuple(fields.get("pool") or ()))


def build_ranking(id: str, fields: Mapping[str, Any], rules: Rules) -> RankingExample:
    """A query with what it looks for, a passage with what it answers, or both together."""
    texts = [_text(fields, name) if fields.get(name) is not None else None for name in ("query", "passage")]
    if not any(texts):
        raise RowError("the row has neither a query nor a passage")
    given = fields.get("keys")
    # One key may stand in no list.
    listed = given if isinstance(given, list | tuple) else [given]
    keys = tuple(str(key) for key in listed if key not in (None, ""))
    if not keys and texts[0] is not None and rules.labeled:
        raise RowError("nothing says what answers the query")
    return RankingExample(id, texts[0], texts[1], keys)


def build_text(id: str, fields: Mapping[str, Any], rules: Rules) -> TextExample:  # noqa: ARG001
    """A line of plain text that is not blank."""
    text = _text(fields, "text")
    if not text:
        raise RowError("the line is blank")
    return TextExample(id, text, str(fields.get("language") or ""))


EXAMPLE_KINDS: Registry[ExampleKind] = Registry("kind")
EXAMPLE_KINDS.add(
    "classification", ExampleKind(build_classification, ("text", "label"), ("pair",), needs_labels=True)
)
EXAMPLE_KINDS.add("tagging", ExampleKind(build_tagging, ("words", "tags"), ("lines",), needs_labels=True))
EXAMPLE_KINDS.add("span_qa", ExampleKind(build_span_qa, ("question", "context", "answers")))
EXAMPLE_KINDS.add(
    "span_qa_null", ExampleKind(build_span_qa_null, ("question", "context", "answers"), ("impossible",))
)
EXAMPLE_KINDS.add("multiple_choice", ExampleKind(build_multiple_choice, ("prompt", "choices", "label")))
EXAMPLE_KINDS.add("bitext_retrieval", ExampleKind(build_bitext, ("text", "english")))
EXAMPLE_KINDS.add("bitext_mining", ExampleKind(build_mining, ("text", "golds", "pool")))
EXAMPLE_KINDS.add("passage_ranking", ExampleKind(build_ranking, ("keys",), ("query", "passage")))
EXAMPLE_KINDS.add("mlm", ExampleKind(build_text, ("text",), ("language",)))
