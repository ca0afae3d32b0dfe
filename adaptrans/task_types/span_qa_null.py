"""Extractive question answering in which a passage may hold no answer (SQuAD 2.0).

Windows, training and span search are those of `span_qa`; a question without an
answer is trained on the first position of every window. The prediction is the
best span with the score of no answer minus its own score, so that a threshold
can be tuned on dev data afterwards: above it the answer is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from adaptrans.task_types.base import LEARNT, Feature, Level, Recipe, TaskSettings, Template
from adaptrans.task_types.rows import RowError, Rules
from adaptrans.task_types.span_qa import (
    ENGLISH,
    MAYBE,
    NEEDED,
    QUESTIONS,
    SPANS,
    SQUAD_FORMAT,
    SWAHILI,
    Answer,
    Span,
    SpanQA,
    SpanQAExample,
    answer_names,
    answer_pairs,
    answer_settings,
    squad,
)

if TYPE_CHECKING:
    import torch


NEVER_ANSWERED = 1e6
"""Score of no answer over a span where there is no valid span at all."""

NULL_ANSWER = Answer("", 0)
"""The reference answer of a question that its context does not answer."""

Output: TypeAlias = tuple[Span | None, float]
"""Best span of a window, and the window's score of no answer."""


class SpanQANull(SpanQA):
    """A question whose answer is a piece of a passage, or none."""

    name = "span_qa_null"
    title = "Question answering with questions that have no answer"
    optional = ("impossible",)
    gold_fields = ("answers", "impossible")
    may_be_unanswered = True
    options_like = "span_qa"
    scores = ("squad2", "squad2_best")
    layout = "answers_or_none"

    template = Template(
        asks="A question, and its answer as a piece of a passage, or none (as in SQuAD 2.0).",
        settings="scores: [squad2, squad2_best]\n" + QUESTIONS % ", impossible: is_impossible",
        format=SQUAD_FORMAT,
        suffix="json",
        splits=LEARNT,
        rows={
            "en": squad("en", (ENGLISH, [("When was it opened?", "1906"), ("Who burnt it?", "")])),
            "sw": squad("sw", (SWAHILI, [("Ilifunguliwa lini?", "1906"), ("Nani?", "")])),
        },
    )

    recipe = Recipe(
        answer_settings,
        "The answer is the best span of at most $pieces pieces, cut out of the passage by whole letters; "
        "a long passage is read in windows of $max_length pieces, $step apart. There is no answer "
        "where that of the first token is better by more than a threshold: tune it on development data, as "
        "`adaptrans evaluate` does, which prints it.",
        SPANS.replace("$more", ", threshold=0.0").replace("$result", MAYBE),
        answer_names,
        imports=NEEDED,
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> SpanQAExample:
        """As `SpanQA.build`, for questions that may have no answer.

        A question without answers is one its context does not answer, if the field
        `impossible`, where it is mapped, agrees.
        """
        impossible = fields.get("impossible")
        answers = answer_pairs(fields.get("answers"))
        # As it stands in a csv file, where "False" would be true.
        if isinstance(impossible, str):
            impossible = impossible.strip().lower() not in ("", "false", "no", "0")
        if impossible is not None and bool(impossible) == bool(answers):
            found = (
                "is marked impossible but has answers" if answers else "has no answer but is not marked so"
            )
            raise RowError(f"the question {found}")
        example = super().build(id, fields, replace(rules, labeled=False))
        if example.answers or not rules.labeled:
            return example
        return replace(example, answers=(NULL_ANSWER,))

    def decode(self, logits: tuple[torch.Tensor, torch.Tensor], features: Sequence[Feature]) -> list[Output]:
        """The best valid span of every window, and start + end logit of its first position."""
        nulls = (logits[0][:, 0].float() + logits[1][:, 0].float()).tolist()
        return list(zip(super().decode(logits, features), nulls, strict=True))

    def predict(
        self,
        example: SpanQAExample,
        outputs: Sequence[Output],
        labels: Sequence[str],
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

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], golds: Iterable[Any], level: Level
    ) -> float:
        """The better of no answer for all and of passages, see `SpanQA.chance`."""
        return max(level((gold, "") for gold in golds), super().chance(task, examples, golds, level))
