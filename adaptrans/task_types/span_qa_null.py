"""Extractive question answering in which a passage may hold no answer (SQuAD 2.0).

Windows, training and span search are those of `span_qa`; a question without an
answer is trained on the first position of every window. The prediction is the
best span with the score of no answer minus its own score, so that a threshold
can be tuned on dev data afterwards: above it the answer is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from adaptrans.task_types import span_qa
from adaptrans.task_types.base import Answers, Feature, TaskType
from adaptrans.task_types.examples import SpanQAExample

NEVER_ANSWERED = 1e6
"""Score of no answer over a span where there is no valid span at all."""

Output: TypeAlias = tuple[span_qa.Span | None, float]
"""Best span of a window, and the window's score of no answer."""


def decode(logits: tuple[torch.Tensor, torch.Tensor], features: Sequence[Feature]) -> list[Output]:
    """The best valid span of every window, and start + end logit of its first position."""
    nulls = (logits[0][:, 0].float() + logits[1][:, 0].float()).tolist()
    return list(zip(span_qa.decode(logits, features), nulls, strict=True))


def predict(
    example: SpanQAExample,
    outputs: Sequence[Output],
    labels: Sequence[str],  # noqa: ARG001
) -> dict[str, Any]:
    """The best span's text, and how much higher no answer scores (`no_answer`, a difference of logits).

    The score of no answer is the lowest of all windows.

    Source: the `null_score_diff` rule of the SQuAD 2.0 reference scripts.
    """
    null = min(score for _, score in outputs)
    found = [span for span, _ in outputs if span is not None]
    if not found:
        return {"text": "", "no_answer": NEVER_ANSWERED}
    score, start, end = max(found, key=lambda span: span[0])
    return {"text": example.context[start:end], "no_answer": null - score}


KIND = TaskType(
    "span_qa_null",
    2,
    span_qa.encode,
    span_qa.collate,
    Answers("span_qa", span_qa.loss, decode, predict, span_qa.gold),
)
