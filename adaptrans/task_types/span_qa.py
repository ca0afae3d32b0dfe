"""Extractive question answering over windows of a passage.

Settings and search of XTREME (google-research/xtreme `third_party/run_squad.py`
and its SQuAD processor): windows step by 128 pieces, questions take at most 64,
n-best 20, answers at most 30 pieces. Answers are cut out of the passage by the
tokenizer's character offsets, widened to whole letters; the reference re-aligns
them through whitespace words instead, which ruins Chinese with XLM-R.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from adaptrans.errors import ConfigError
from adaptrans.task_types.base import Answers, Batch, Feature, TaskType
from adaptrans.task_types.examples import SpanQAExample
from adaptrans.task_types.framing import pair_frame
from adaptrans.task_types.letters import Blanks, whole_letters
from adaptrans.task_types.tensors import IGNORED, padded_inputs, summed_cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from adaptrans.tasks.schema import Task


WINDOW_STEP = 128
QUESTION_PIECES = 64
N_BEST = 20
ANSWER_PIECES = 30
NO_ANSWER = "empty"
"""The reference's literal answer where no valid span exists."""

Window = tuple[int, int]
"""First and one past last piece of the passage in a window."""

Span = tuple[float, int, int]
"""Score, first and one past last character in the passage."""


def windows(pieces: int, capacity: int) -> list[Window]:
    """Windows of a passage, `WINDOW_STEP` apart, the last one reaching its end.

    Example:
        >>> windows(300, capacity=200)
        [(0, 200), (128, 300)]
    """
    found, start = [], 0
    while True:
        end = min(start + capacity, pieces)
        found.append((start, end))
        if end == pieces:
            return found
        start += min(WINDOW_STEP, capacity)


def best_window(piece: int, spans: Sequence[Window]) -> int:
    """Index of the window in which a piece has its maximum context, the first of equal ones.

    Source: the `max_context` rule of the SQuAD reference: the smaller of the
    contexts to the left and right, plus 0.01 times the window's length.
    """

    def context(span: Window) -> float:
        start, end = span
        if not start <= piece < end:
            return -1.0
        return min(piece - start, end - 1 - piece) + 0.01 * (end - start)

    return max(range(len(spans)), key=lambda index: (context(spans[index]), -index))


def answer_pieces(offsets: Sequence[tuple[int, int]], start: int, end: int) -> Window | None:
    """First and last piece that overlap characters [start, end), None if none does.

    Example:
        >>> answer_pieces([(0, 2), (3, 6), (7, 9)], 3, 9)
        (1, 2)
    """
    touched = [i for i, (first, last) in enumerate(offsets) if first < end and last > start]
    return (touched[0], touched[-1]) if touched else None


def encode(
    examples: Sequence[SpanQAExample],
    tokenizer: PreTrainedTokenizerFast,
    task: Task,  # noqa: ARG001
    max_length: int,
    training: bool,
) -> list[Feature]:
    """One feature per window; in training the first gold answer, or piece 0 where it lies outside.

    Raises:
        ConfigError: If the maximum length leaves no room for the passage.
    """
    questions = tokenizer(
        [example.question for example in examples], add_special_tokens=False, verbose=False
    )["input_ids"]
    contexts = tokenizer(
        [example.context for example in examples],
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    frame, blanks = pair_frame(tokenizer), Blanks.of(tokenizer)
    features: list[Feature] = []
    for index, example in enumerate(examples):
        question = questions[index][: min(QUESTION_PIECES, max_length // 2)]
        offsets = whole_letters(example.context, contexts["offset_mapping"][index], blanks)
        ids = contexts["input_ids"][index]
        capacity = max_length - len(question) - frame.size
        if capacity < 1:
            raise ConfigError(f"max_length {max_length} leaves no room for a passage", remedy="raise it")
        spans = windows(len(ids), capacity)
        owners = [best_window(piece, spans) if len(spans) > 1 else 0 for piece in range(len(ids))]
        answer = None
        placed = [given for given in example.answers if given.start >= 0]
        if training and placed:
            answer = answer_pieces(offsets, placed[0].start, placed[0].start + len(placed[0].text))
        # Of a question whose answers stand nowhere in the passage nothing can be learnt.
        outside = IGNORED if example.answers and not placed else 0
        for number, (start, end) in enumerate(spans):
            whole = frame.around(question, ids[start:end])
            first_piece = len(whole) - len(frame.after) - (end - start)
            inside = answer is not None and start <= answer[0] and answer[1] < end
            features.append(
                {
                    "example": index,
                    "length": len(whole),
                    "input_ids": whole,
                    "first_piece": first_piece,
                    "char_starts": [offset[0] for offset in offsets[start:end]],
                    "char_ends": [offset[1] for offset in offsets[start:end]],
                    "may_start": [owner == number for owner in owners[start:end]],
                    "start": first_piece + answer[0] - start if inside and answer else outside,
                    "end": first_piece + answer[1] - start if inside and answer else outside,
                }
            )
    return features


def collate(features: Sequence[Feature], padding_id: int) -> Batch:
    """Padded inputs, `starts` and `ends`, shape (batch,)."""
    return {
        **padded_inputs([feature["input_ids"] for feature in features], padding_id),
        "starts": torch.tensor([feature["start"] for feature in features]),
        "ends": torch.tensor([feature["end"] for feature in features]),
    }


def loss(logits: tuple[torch.Tensor, torch.Tensor], batch: Batch) -> tuple[torch.Tensor, int]:
    """Mean of the cross-entropies of start and end, each of shape (batch, tokens)."""
    start, terms = summed_cross_entropy(logits[0], batch["starts"])
    end, _ = summed_cross_entropy(logits[1], batch["ends"])
    return (start + end) / 2, terms


def decode(logits: tuple[torch.Tensor, torch.Tensor], features: Sequence[Feature]) -> list[Span | None]:
    """The best valid span of every window."""
    starts, ends = logits[0].float(), logits[1].float()
    return [best_span(starts[row], ends[row], feature) for row, feature in enumerate(features)]


def highest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The `N_BEST` highest logits and their positions, the first of equal ones first.

    `torch.topk` leaves the order of equal values open, and values of low precision often are equal.
    """
    values, positions = torch.sort(logits, descending=True, stable=True)
    return values[:N_BEST], positions[:N_BEST]


def best_span(start_logits: torch.Tensor, end_logits: torch.Tensor, feature: Feature) -> Span | None:
    """Highest start + end logit among the `N_BEST` of each that make a valid span in the passage."""
    length = feature["length"]
    top_starts, top_ends = highest(start_logits[:length]), highest(end_logits[:length])
    first = feature["first_piece"]
    pieces = len(feature["char_starts"])
    starts = top_starts[1][:, None] - first
    ends = top_ends[1][None, :] - first
    may_start = torch.tensor([*feature["may_start"], False])
    valid = (starts >= 0) & (ends < pieces) & (ends >= starts) & (ends - starts < ANSWER_PIECES)
    valid &= may_start[starts.clamp(0, pieces)]
    if not valid.any():
        return None
    scores = (top_starts[0][:, None] + top_ends[0][None, :]).masked_fill(~valid, float("-inf"))
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    begin, finish = int(starts[row, 0]), int(ends[0, column])
    return float(scores[row, column]), feature["char_starts"][begin], feature["char_ends"][finish]


def predict(example: SpanQAExample, outputs: Sequence[Span | None], labels: Sequence[str]) -> str:  # noqa: ARG001
    """The text of the best span over all windows, `empty` where none is valid."""
    found = [output for output in outputs if output is not None]
    if not found:
        return NO_ANSWER
    _, start, end = max(found, key=lambda span: span[0])
    return example.context[start:end]


def gold(example: SpanQAExample) -> Any:
    """The gold answer texts."""
    return [answer.text for answer in example.answers]


KIND = TaskType("span_qa", 2, encode, collate, Answers("span_qa", loss, decode, predict, gold))
