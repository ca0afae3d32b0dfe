"""Choices in another order: a detector of faults, for a model that scores each choice apart."""

from __future__ import annotations

from typing import Any

from adaptrans.perturbations.base import Perturbation


class ChoiceOrder(Perturbation):
    """Another order of the choices of each item, never the given one; the label moves along.

    Choices are scored apart, so no answer may change. Where a formulation shows all of them at once, it may.
    """

    NAME = "choice_order"
    TITLE = "the choices stand in another order"
    KINDS = ("multiple_choice",)
    SAME_SCORE = True

    def change(self, example: Any) -> Any:
        """With the choices in the drawn order."""
        order = list(range(example.number_of_choices))
        given, draws = list(order), self.draws(example.id)
        while order == given and len(order) > 1:
            draws.shuffle(order)
        return example.reordered(order)
