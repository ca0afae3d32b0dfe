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

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from adaptrans.task_types.base import Answers, Batch, Feature, TaskType
from adaptrans.task_types.examples import TaggingExample
from adaptrans.task_types.tensors import IGNORED, pad, padded_inputs, summed_cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


SPACE = "\u2581"
"""The piece of SentencePiece that stands for a space."""

RESERVED_PIECES = 3
"""Pieces kept free of the maximum length for XLM-R (its pair form takes one more than `<s> </s>`)."""


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


def encode(
    examples: Sequence[TaggingExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,
    max_length: int,
    training: bool,  # noqa: ARG001 - the same in training and evaluation
) -> list[Feature]:
    """One feature per segment; `starts` are the positions of the pieces that bear the words' tags."""
    budget = max_length - RESERVED_PIECES
    number = {label: index for index, label in enumerate(task.labels)}
    space = tokenizer.convert_tokens_to_ids(SPACE) if task.tag_on == "first_text_piece" else None
    features = []
    pieces_of = word_pieces([example.words for example in examples], tokenizer, budget)
    for index, (example, pieces) in enumerate(zip(examples, pieces_of, strict=True)):
        for words in segments([len(ids) for ids in pieces], budget):
            ids, starts, labels = [tokenizer.bos_token_id], [], [IGNORED]
            for word in words:
                place = int(len(pieces[word]) > 1 and pieces[word][0] == space)
                starts.append(len(ids) + place)
                ids.extend(pieces[word])
                own = [IGNORED] * len(pieces[word])
                if example.tags is not None:
                    own[place] = _label(example.tags[word], number, task)
                labels.extend(own)
            ids.append(tokenizer.eos_token_id)
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


def _label(tag: str, number: dict[str, int], task: Task) -> int:
    """The number of a tag; a tag too rare to be learnt enters no loss."""
    return number.get(tag, IGNORED) if task.labels_from is not None else number[tag]


def collate(features: Sequence[Feature], padding_id: int) -> Batch:
    """Padded inputs and `labels`, shape (batch, tokens)."""
    return {
        **padded_inputs([feature["input_ids"] for feature in features], padding_id),
        "labels": pad([feature["token_labels"] for feature in features], IGNORED),
    }


def loss(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:
    """Cross-entropy over the first pieces of words; logits have shape (batch, tokens, tags)."""
    return summed_cross_entropy(logits, batch["labels"])


def decode(logits: torch.Tensor, features: Sequence[Feature]) -> list[list[int]]:
    """Number of the tag with the highest logit at the piece that bears each word's tag."""
    best = logits.float().argmax(dim=-1).tolist()
    return [[row[start] for start in feature["starts"]] for feature, row in zip(features, best, strict=True)]


def predict(
    example: TaggingExample,  # noqa: ARG001
    outputs: Sequence[list[int]],
    labels: Sequence[str],
) -> list[str]:
    """The segments' tags joined: one per word of the sentence."""
    return [labels[tag] for output in outputs for tag in output]


def gold(example: TaggingExample) -> list[str] | None:
    """The gold tags, None if the data has none."""
    return None if example.tags is None else list(example.tags)


KIND = TaskType("tagging", 1, encode, collate, Answers("tagging", loss, decode, predict, gold))
