"""One tag per word (part of speech, named entities).

The tag sits on a word's first piece, as in XTREME, or (`tag_on: first_text_piece`)
on the first that has text: in scripts written without spaces, most words begin
with a piece that stands for the space alone and says nothing of the word.

A sentence longer than the limit becomes several model inputs that start at word
boundaries, and is joined again for scoring: the rule of XTREME's preprocessing
(google-research/xtreme `utils_preprocess.py`). Words are found by the
tokenizer's word ids, never by counting pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

from adaptrans.errors import ConfigError
from adaptrans.task_types.base import (
    Batch,
    Feature,
    Input,
    Level,
    Recipe,
    TaskSettings,
    TaskType,
    answer_text,
    tokens,
)
from adaptrans.task_types.inputs import IGNORED, pad, padded_inputs, text_ends
from adaptrans.task_types.rows import Example, Prefixes, RowError, Rules, how_to_name, named_label

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


SPACE = "\u2581"
"""The subword token of SentencePiece that stands for a space."""

RESERVED_PIECES = 3
"""Subword tokens kept free of the maximum length for XLM-R (its pair form takes one more than `<s> </s>`)."""

BEARERS = {
    "first_piece": {"piece": "first piece", "place": "", "space": ""},
    "first_text_piece": {
        "piece": "first piece with text: the piece of a lone space before a word bears none",
        "place": " + (len(own) > 1 and own[0] == space)",
        "space": f'\nspace = tokenizer.convert_tokens_to_ids("{SPACE}")',
    },
}
"""Where in a word its tag sits, by `tag_on`: in words, and in the code of an export."""

SEED = 0
"""Of the tags that are dealt out at random for the level of chance."""


@dataclass(frozen=True, slots=True)
class TaggingExample(Example):
    """One sentence as words, with one tag per word (None: not given)."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    before: str = ""

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the prefix before the first word; it bears no tag."""
        return replace(self, before=prefixes.text)


def word_pieces(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast, budget: int
) -> list[list[list[int]]]:
    """Piece ids of every word of every sentence.

    A word without pieces, or with more pieces than the budget, is the unknown token.
    """
    encoded = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )
    result = []
    for row, words in enumerate(sentences):
        pieces: list[list[int]] = [[] for _ in words]
        for piece, word in zip(encoded["input_ids"][row], encoded.word_ids(row), strict=True):
            pieces[word].append(piece)
        result.append([ids if 0 < len(ids) <= budget else [tokenizer.unk_token_id] for ids in pieces])
    return result


def before_words(prefix: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of what stands before the first word."""
    if not prefix:
        return []
    ids: list[int] = tokenizer(prefix.strip(), add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def segments(lengths: Sequence[int], budget: int) -> list[range]:
    """Ranges of words whose pieces fit the budget together, in order, each word once.

    Example:
        >>> segments([2, 2, 1, 3], budget=4)
        [range(0, 2), range(2, 4)]
    """
    ranges, start, used = [], 0, 0
    for index, length in enumerate(lengths):
        if used + length > budget and index > start:
            ranges.append(range(start, index))
            start, used = index, 0
        used += length
    return [*ranges, range(start, len(lengths))] if lengths else []


class Tagging(TaskType):
    """A label for every word of a sentence."""

    name = "tagging"
    title = "Tagging of words"
    required = ("words", "tags")
    optional = ("lines",)
    reference_fields = ("tags", "lines")
    text_field = "words"
    needs_labels = True
    tags_words = True
    head = "tagging"
    takes_prefix = ("text",)
    fixed_inputs = True
    scores = ("token_accuracy",)
    layout = "tags"
    too_long = "go on in a further input, from a word's beginning"
    pipeline = "token-classification"

    recipe = Recipe(
        lambda own: {"tag_on": own["tag_on"], "reserved_pieces": RESERVED_PIECES},
        answer_text("tagging"),
        lambda own: {"room": own["max_length"] - RESERVED_PIECES, **BEARERS[own["tag_on"]]},
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> TaggingExample:
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
        named = all(type(tag) is str for tag in tags) and (
            rules.open_labels or set(tags).issubset(rules.labels)
        )
        if rules.label_map or not named:
            tags = tuple(_tag(tag, rules) for tag in raw)
        if "" in tags or not (rules.open_labels or set(tags).issubset(rules.labels)):
            raise _unknown_tag(words, raw, tags, fields.get("lines"), rules)
        return TaggingExample(id, words, tags)

    def labels_in(self, example: TaggingExample) -> Iterable[str]:
        """The tags of its words."""
        return example.tags or ()

    def encode(
        self,
        examples: Sequence[TaggingExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per segment; `starts` are the positions of the pieces that bear the words' tags."""
        begin, end = text_ends(tokenizer)
        # The same before every sentence.
        before = before_words(examples[0].before if examples else "", tokenizer)
        budget = max_length - RESERVED_PIECES - len(before)
        if budget < 1:
            raise ConfigError(f"max_length {max_length} leaves no room for words", remedy="raise it")
        number = {label: index for index, label in enumerate(task.labels)}
        space = tokenizer.convert_tokens_to_ids(SPACE) if task.tag_on == "first_text_piece" else None
        features = []
        pieces_of = word_pieces([example.words for example in examples], tokenizer, budget)
        for index, (example, pieces) in enumerate(zip(examples, pieces_of, strict=True)):
            for words in segments([len(ids) for ids in pieces], budget):
                ids, starts, labels = [begin, *before], [], [IGNORED] * (1 + len(before))
                for word in words:
                    place = int(len(pieces[word]) > 1 and pieces[word][0] == space)
                    starts.append(len(ids) + place)
                    ids.extend(pieces[word])
                    own = [IGNORED] * len(pieces[word])
                    if example.tags is not None:
                        own[place] = _number(example.tags[word], number, task)
                    labels.extend(own)
                ids.append(end)
                labels.append(IGNORED)
                features.append(
                    {
                        "example": index,
                        "length": len(ids),
                        "input_ids": ids,
                        "token_labels": labels,
                        "starts": starts,
                    }
                )
        return features

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Padded inputs and `labels`, shape (batch, tokens)."""
        return {
            **padded_inputs([feature["input_ids"] for feature in features], padding_id),
            "labels": pad([feature["token_labels"] for feature in features], IGNORED),
        }

    def decode(self, logits: torch.Tensor, features: Sequence[Feature]) -> list[list[int]]:
        """Number of the tag with the highest logit at the piece that bears each word's tag."""
        best = logits.float().argmax(dim=-1).tolist()
        return [
            [row[start] for start in feature["starts"]] for feature, row in zip(features, best, strict=True)
        ]

    def predict(
        self, example: TaggingExample, outputs: Sequence[list[int]], labels: Sequence[str]
    ) -> list[str]:
        """The segments' tags joined: one per word of the sentence."""
        return [labels[tag] for output in outputs for tag in output]

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """The better of one tag for every word and the set's own tags dealt out at random."""
        import numpy as np

        tags = sorted({tag for own in references for tag in own})
        number = {tag: place for place, tag in enumerate(tags)}
        every = np.fromiter((number[tag] for own in references for tag in own), dtype=np.int32)
        dealt = np.random.default_rng(SEED).permutation(every)
        starts = accumulate((len(own) for own in references), initial=0)
        at_random = (
            (own, [tags[place] for place in dealt[start : start + len(own)]])
            for own, start in zip(references, starts, strict=False)
        )
        levels = [level((own, [tag] * len(own)) for own in references) for tag in tags]
        return max(*levels, level(at_random))

    def answering(self, task: TaskSettings) -> dict[str, Any]:
        """Which subword token of a word bears its tag."""
        return {"tag_on": task.tag_on}

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """The tokens, with the tag of each that bears one."""
        found = []
        for feature in features:
            labels = tuple("" if tag == IGNORED else task.labels[tag] for tag in feature["token_labels"])
            found.append(Input(tokens(tokenizer, feature["input_ids"]), labels=labels))
        return found


def _number(tag: str, number: dict[str, int], task: TaskSettings) -> int:
    """The number of a tag; a tag too rare to be learned enters no loss."""
    return number.get(tag, IGNORED) if task.labels_from is not None else number[tag]


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
    expected += how_to_name(raw[index], rules) if tags[index] else ""
    message = f'{what} word {index + 1} "{words[index]}"{expected}'
    return RowError(message, line=lines[index] if lines else None)


def _tag(raw: Any, rules: Rules) -> str:
    """The name of a raw tag, empty for none."""
    if isinstance(raw, list | tuple | Mapping):
        raise RowError(f"a tag is {raw!r}, not a text")
    return "" if raw is None else str(named_label(raw, rules))
