"""Inputs of which a part is taken away: what is left over chance was never read there."""

from __future__ import annotations

from typing import Any, ClassVar

from adaptrans.perturbations.base import Perturbation


class Deletion(Perturbation):
    """Empties the texts of one role.

    Class attributes:
        ROLE: The role of the texts, see `Example.changed`.
    """

    ROLE: ClassVar[str]

    def change(self, example: Any) -> Any:
        """Without those texts."""
        return example.changed(lambda role, text: "" if role == self.ROLE else text)


class EmptyPremise(Deletion):
    """Only the second text of a pair is left, such as the hypothesis of NLI.

    Source: Gururangan et al. 2018 (arXiv 1803.02324), Poliak et al. 2018 (arXiv 1805.01042).
    """

    NAME = "empty_premise"
    TITLE = "the first text of a pair is empty"
    NEEDS = "hypothesis"
    ROLE = "premise"


class ChoicesOnly(Deletion):
    """Only the choices are left.

    Source: Kavumba et al. 2019 (arXiv 1911.00225), on COPA.
    """

    NAME = "choices_only"
    TITLE = "the text before the choices is empty"
    NEEDS = "choice"
    ROLE = "premise"


class EmptyQuestion(Deletion):
    """Only the passage is left. Source: Kaushik and Lipton 2018 (arXiv 1808.04926)."""

    NAME = "empty_question"
    TITLE = "the question on a passage is empty"
    NEEDS = "question"
    ROLE = "question"
