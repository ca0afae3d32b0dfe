"""Entailment: a text as a premise, and for each label a statement that may follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from adaptrans.errors import SetupError
from adaptrans.formulations.base import Formulation, Put, Row
from adaptrans.formulations.prompts import Prompt
from adaptrans.formulations.written import CALIBRATED, UNTRAINED
from adaptrans.task_types.base import Batch, TaskSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

LABEL = "entailment"
"""The label of natural language inference that says that a statement follows; the first of a head's."""

FRESH = (LABEL, "not_entailment")
"""Labels of a head that is trained from the beginning."""


class Entailment(Formulation):
    """A label scores the log-probability that its statement follows from the text.

    The head is that of natural language inference: of an intermediate task of the setup, whose weights it
    begins with, or a fresh one that is trained.

    Source: Yin, Hay and Roth 2019 (arXiv 1909.00161).
    """

    NAME = "entailment"
    OPTIONS = (UNTRAINED, CALIBRATED)
    MUST = ("word",)
    TYPES = ("classification",)
    head: ClassVar[str | None] = "classification"

    def put(
        self, example: Any, prompt: Prompt, words: Mapping[str, str], tokenizer: PreTrainedTokenizerFast
    ) -> Put:
        """A pair of text and statement for each label."""
        values, _ = self.texts(example)
        premise = " ".join("{" + name + "}" for name in values)
        rows = tuple(Row((premise, prompt.template), values, {"word": words[label]}) for label in self.labels)
        candidates = tuple({"row": place, "prior": -1} for place in range(len(rows)))
        named = tuple(f"{label}: {words[label]}" for label in self.labels)
        return self.with_priors(Put(rows, candidates, named))

    def candidate_scores(self, logits: torch.Tensor, batch: Batch, which: str) -> torch.Tensor:
        """Log-probability of entailment, of logits of shape (rows, labels of the head)."""
        found = logits.float().log_softmax(dim=-1)[:, 0]
        return found[batch[which].clamp(min=0)]

    def head_labels(self, task: TaskSettings, examples: Sequence[Any], width: int) -> tuple[str, ...]:
        """Entailment, and what is none."""
        return FRESH

    def lends(self, kind: str, labels: Sequence[str]) -> bool:
        """Natural language inference, whose first label is entailment."""
        return kind == "classification" and tuple(labels[:1]) == (LABEL,)

    @property
    def needs_lender(self) -> bool:
        """Whether it answers untrained."""
        return self.untrained

    def refusal(self, setup: Any) -> SetupError:
        """Nothing in the setup has such a head."""
        return SetupError(
            f"{self}: nothing in '{setup}' was trained on natural language inference, whose head answers",
            remedy="name such a task, as 'mnli > target' or 'full(mnli)'",
        )
