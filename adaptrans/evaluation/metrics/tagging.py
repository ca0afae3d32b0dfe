"""Tagging scores: chunk F1 as XTREME counts it, entity F1 for other tag sets, token accuracy. No torch.

XTREME scores PAN-X and UD-POS with the chunk F1 of seqeval 0.0.12, also for bare tags
such as `NOUN`. Later versions of seqeval cut the first letter of bare tags or refuse
them, so the rule is written out here. It takes the text after the last hyphen for the
type; `entity_f1` takes all that follows the prefix, as seqeval does since 0.0.16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics.score import Score, check_counts, last_column, quotient, ratio
from adaptrans.tasks.tag_schemes import BEGINS, ENDS, OUTSIDE, SINGLE, last_part, taken_apart

Tags = Sequence[str]
Span: TypeAlias = tuple[str, int, int]
"""Type, first and last position of a chunk, positions from 0."""


def chunks(tags: Tags) -> list[Span]:
    """Chunks of one sentence as seqeval 0.0.12 finds them.

    A tag other than `O` opens a chunk if it is first or follows `O`, if its type (the
    text after its last `-`) differs from that of the tag before, if its first letter is
    B or S, or if the first letter of the tag before is E or S. Otherwise it extends the chunk.

    Two `SYM` in a row are therefore two chunks, and two `NOUN` are one: the S is read as
    "single". Published scores contain this, so it stays. seqeval drops bare types that
    begin with O, such as `ORG`, and the bare tag `.`; here they count as any other type.

    Example:
        >>> chunks(["NOUN", "NOUN", "SYM", "SYM", "O", "I-LOC"])
        [('NOUN', 0, 1), ('SYM', 2, 2), ('SYM', 3, 3), ('LOC', 5, 5)]
        >>> chunks(["B-PER", "E-PER", "E-PER"])
        [('PER', 0, 1), ('PER', 2, 2)]
    """
    return _spans(tags, lambda tag: (tag[:1], last_part(tag)), "BS", "ES")


def _spans(tags: Tags, split: Callable[[str], tuple[str, str]], begins: str, ends: str) -> list[Span]:
    """Spans of one sentence.

    Args:
        tags: Its tags.
        split: A tag to its prefix, which may be empty, and its type.
        begins: Prefixes that open a span.
        ends: Prefixes after which another one opens.
    """
    found: list[Span] = []
    ended, kind = True, ""
    for position, tag in enumerate(tags):
        if tag == OUTSIDE:
            ended = True
            continue
        prefix, own = split(tag)
        opens = ended or own != kind or prefix in set(begins)
        first = position if opens else found.pop()[1]
        found.append((own, first, position))
        ended, kind = prefix in set(ends), own
    return found


def entities(tags: Tags) -> list[Span]:
    """Spans of one sentence, whose type is all that follows the prefix.

    A tag other than `O` opens a span if it is first or follows `O`, if its type differs from
    that of the tag before, if its prefix is B, S or U, or if that of the tag before is E, L, S
    or U. Otherwise it extends the span. So an `I-` where a `B-` is due opens one, as in
    conlleval. A tag without a prefix (`NOUN`) is its own type, and equal ones side by side are one span.

    Source: conlleval.pl of CoNLL-2000, and seqeval 1.2.2 in its default mode, of which this
    is the rule for IOB1, IOB2, IOE1, IOE2 and BIOES; M (BMES), L and U (BILOU) are read besides.

    Example:
        >>> entities(["B-location-other", "I-location-other", "B-person-other", "O", "I-person-other"])
        [('location-other', 0, 1), ('person-other', 2, 2), ('person-other', 4, 4)]
    """
    return _spans(tags, taken_apart, BEGINS + SINGLE, ENDS + SINGLE)


def chunk_statistics(
    golds: Sequence[Tags], predictions: Sequence[Tags], spans: Callable[[Tags], list[Span]] = chunks
) -> np.ndarray:
    """Correct, predicted and reference chunks of each sentence, shape (sentences, 3).

    Args:
        golds: Reference tags of each sentence.
        predictions: Its predicted tags.
        spans: What finds the chunks of a sentence.

    Raises:
        AdaptransError: If the numbers of sentences, or of tags in a sentence, differ.
    """
    counts = np.zeros((len(golds), 3), dtype=np.float64)
    for row, gold, prediction in _pairs(golds, predictions):
        expected, found = set(spans(gold)), set(spans(prediction))
        counts[row] = len(expected & found), len(found), len(expected)
    return counts


def chunk_reduce(sums: np.ndarray) -> np.ndarray:
    """F1, precision, recall x 100 from sums of shape (..., 3); 0 where a denominator is 0."""
    correct, predicted, gold = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    precision, recall = ratio(correct, predicted), ratio(correct, gold)
    f1 = ratio(2 * precision * recall, precision + recall)
    return 100 * np.stack([f1, precision, recall], axis=-1)


def chunk_weights(counts: np.ndarray) -> np.ndarray:
    """Predicted and reference chunks of each sentence: F1 is the mean of the sentences' own F1 by them.

    Example:
        >>> counts = np.array([[1.0, 2.0, 1.0], [3.0, 3.0, 4.0]])
        >>> own, weights = chunk_reduce(counts)[:, 0], chunk_weights(counts)
        >>> bool(np.isclose(own @ weights / weights.sum(), chunk_reduce(counts.sum(axis=0))[0]))
        True
    """
    return np.asarray(counts[:, 1] + counts[:, 2], dtype=np.float64)


def token_statistics(golds: Sequence[Tags], predictions: Sequence[Tags]) -> np.ndarray:
    """Right tags, `O` included, and tags of each sentence, shape (sentences, 2).

    Raises:
        AdaptransError: If the numbers of sentences, or of tags in a sentence, differ.
    """
    counts = np.zeros((len(golds), 2), dtype=np.float64)
    for row, gold, prediction in _pairs(golds, predictions):
        counts[row] = sum(a == b for a, b in zip(gold, prediction, strict=True)), len(gold)
    return counts


def _pairs(golds: Sequence[Tags], predictions: Sequence[Tags]) -> Iterator[tuple[int, Tags, Tags]]:
    """Sentences side by side, each with as many predicted tags as gold ones."""
    check_counts(golds, predictions)
    for row, (gold, prediction) in enumerate(zip(golds, predictions, strict=True)):
        if len(gold) != len(prediction):
            raise AdaptransError(
                f"sentence {row} has {len(gold)} gold tags and {len(prediction)} predicted ones",
                remedy="predict one tag per word, also for words past the maximum length",
            )
        yield row, gold, prediction


CHUNK_F1 = Score(
    name="chunk_f1",
    parts=("f1", "precision", "recall"),
    statistics=chunk_statistics,
    reduce=chunk_reduce,
    source="google-research/xtreme, evaluate.py with seqeval 0.0.12",
    weigh=chunk_weights,
)

ENTITY_F1 = Score(
    name="entity_f1",
    parts=("f1", "precision", "recall"),
    statistics=partial(chunk_statistics, spans=entities),
    reduce=chunk_reduce,
    source="conlleval of CoNLL-2000, and seqeval 1.2.2 in its default mode",
    weigh=chunk_weights,
)

TOKEN_ACCURACY = Score(
    name="token_accuracy",
    parts=("token_accuracy",),
    statistics=token_statistics,
    reduce=quotient,
    source="right tags / tags",
    weigh=last_column,
)
