"""Choices in another order: a detector of faults, for a model that scores each choice apart."""

from __future__ import annotations

from typing import Any

from adaptrans.perturbations.base import Perturbation
from adaptrans.task_types.base import Answer


class ChoiceOrder(Perturbation):
    """Another order of the choices of each item, never the given one; the label moves along.

    Choices are scored apart, so no answer may change. Where a formulation shows all of them at once, it may.
    """

    NAME = "choice_order"
    TITLE = "the choices stand in another order"
    NEEDS = "choice"
    SAME_SCORE = True

    def change(self, example: Any) -> Any:
        """With the choices in the drawn order."""
        return example.reordered(self.order(example.id, example.number_of_choices))

    def order(self, id: str, number: int) -> list[int]:
        """The places in the data of the choices, in the order in which an item has them.

        Args:
            id: Of the item.
            number: Of its choices.
        """
        given = list(range(number))
        order, draws = list(given), self.draws(id)
        while order == given and number > 1:
            draws.shuffle(order)
        return order

    def restored(self, id: str, gold: Any, answer: Answer) -> tuple[Any, Answer]:
        """Choices are numbered as in the data again, so that files of both orders can be compared."""
        chances = answer.log_probabilities
        assert chances is not None, "a choice is one of some"
        order = self.order(id, len(chances))
        back = tuple(chances[order.index(place)] for place in range(len(order)))
        return None if gold is None else order[gold], Answer(order[answer.prediction], back)
