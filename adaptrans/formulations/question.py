"""Question: the answers stand before the text, or each beside it, under the head of a QA or choice task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adaptrans.errors import SetupError
from adaptrans.formulations.base import Formulation, Put, Row
from adaptrans.formulations.prompts import Prompt, PromptBook
from adaptrans.formulations.written import CALIBRATED, CHOICE, UNTRAINED, Written
from adaptrans.task_types.base import Batch, Feature, TaskSettings, TaskType

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

SPAN, CHOICES = "span_qa", "multiple_choice"


class Question(Formulation):
    """A classification or multiple-choice task as a question on a text.

    Under the head of extractive question answering the passage is the list of answers and then the text, and
    an answer scores the log-probability of its span. With `choice` every answer is a choice that goes on
    from text and question, and scores what a head for multiple choice gives it.
    """

    NAME = "question"
    OPTIONS = (UNTRAINED, CALIBRATED, CHOICE)
    FIELDS = ("text", "pair", "prompt", "premise")

    def __init__(self, written: Written, inner: TaskType, labels: tuple[str, ...], book: PromptBook) -> None:
        super().__init__(written, inner, labels, book)
        self.chooses = CHOICE in written.options
        self.form = CHOICES if self.chooses else SPAN
        # A head is one per kind of formulation elsewhere, hence a class attribute.
        setattr(self, "head", self.form)  # noqa: B010

    def put(
        self, example: Any, prompt: Prompt, words: Mapping[str, str], tokenizer: PreTrainedTokenizerFast
    ) -> Put:
        """A row with all answers, or one for each."""
        values, choices = self.texts(example)
        asked = {name: values.pop(name) for name in ("question",) if name in values}
        answers = choices or [words[label] for label in self.labels]
        text = " ".join("{" + name + "}" for name in values)
        named = tuple(
            f"{label}: {answer}"
            for label, answer in zip(self.labels or range(len(answers)), answers, strict=True)
        )
        if self.chooses:
            first = f"{text} {prompt.template}"
            rows = tuple(Row((first, "{answer}"), values, {**asked, "answer": answer}) for answer in answers)
            candidates = tuple({"row": place, "prior": -1} for place in range(len(rows)))
            return self.with_priors(Put(rows, candidates, named))
        fixed = {**asked, "answers": _listed(answers)}
        row = Row((prompt.template, "{answers}. " + text), values, fixed)
        spans = _places(answers)
        candidates = tuple({"row": 0, "prior": -1, "begin": begin, "end": end} for begin, end in spans)
        return self.with_priors(Put((row,), candidates, named))

    def located(
        self, put: Put, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast
    ) -> Sequence[dict[str, Any]]:
        """Spans in tokens instead of characters."""
        if self.chooses:
            return put.candidates
        encoded = tokenizer(*rows[0].texts, return_offsets_mapping=True, verbose=False)
        texts, offsets = encoded.sequence_ids(0), encoded["offset_mapping"]
        found = []
        for own in put.candidates:
            inside = [
                place
                for place, (text, (begin, end)) in enumerate(zip(texts, offsets, strict=True))
                if text == 1 and begin < own["end"] and end > own["begin"]
            ]
            found.append({**own, "begin": inside[0], "end": inside[-1]})
        return found

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """For a head of choices every row is an input with one choice, shape (rows, 1, tokens)."""
        batch = super().collate(features, padding_id)
        if self.chooses:
            batch |= {name: batch[name].unsqueeze(1) for name in ("input_ids", "attention_mask")}
        return batch

    def answers(self, features: Sequence[Feature]) -> Batch:
        """Also `begin` and `end`, the tokens of each answer, shape (features, candidates)."""
        from adaptrans.task_types.inputs import pad

        batch = super().answers(features)
        if not self.chooses:
            for name in ("begin", "end"):
                batch[name] = pad([feature[name] for feature in features], 0)
        return batch

    def candidate_scores(self, logits: Any, batch: Batch, which: str) -> torch.Tensor:
        """Log-probability of a span, that of its start and its end added; of a choice its logit.

        Args:
            logits: A pair of starts and ends, each (rows, tokens); or of choices, (rows, 1).
            batch: What `answers` gives.
            which: `row` or `prior`.
        """
        rows = batch[which].clamp(min=0)
        if self.chooses:
            return _one(logits)[rows]
        starts, ends = (values.float().log_softmax(dim=-1) for values in logits)
        return starts[rows, batch["begin"]] + ends[rows, batch["end"]]

    def head_labels(self, task: TaskSettings, examples: Sequence[Any], width: int) -> tuple[str, ...]:
        """For choices the numbers of two; the head scores each alone."""
        return ("0", "1") if self.chooses else ()

    def lends(self, kind: str, labels: Sequence[str]) -> bool:
        """Extractive question answering, or with `choice` multiple choice."""
        return kind == CHOICES if self.chooses else kind in (SPAN, "span_qa_null")

    @property
    def needs_lender(self) -> bool:
        """Whether it answers untrained."""
        return self.untrained

    def refusal(self, setup: Any) -> SetupError:
        """Nothing in the setup has such a head."""
        what, such = ("multiple choice", "hellaswag") if self.chooses else ("extractive QA", "squad")
        return SetupError(
            f"{self}: nothing in '{setup}' was trained on {what}, whose head answers",
            remedy=f"name such a task, as '{such} > target' or 'full({such})'",
        )


def _one(logits: torch.Tensor) -> torch.Tensor:
    return logits.float().reshape(-1)


BETWEEN = ", "


def _listed(answers: Sequence[str]) -> str:
    return BETWEEN.join(answer.strip() for answer in answers)


def _places(answers: Sequence[str]) -> list[tuple[int, int]]:
    """Begin and end of each answer in the list of all.

    Example:
        >>> _places(["ab", "c"])
        [(0, 2), (4, 5)]
    """
    found, at = [], 0
    for answer in answers:
        size = len(answer.strip())
        found.append((at, at + size))
        at += size + len(BETWEEN)
    return found
