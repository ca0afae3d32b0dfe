"""Texts with words missing."""

from __future__ import annotations

from typing import Any

from adaptrans.perturbations.base import Perturbation
from adaptrans.perturbations.units import words


class WordDropping(Perturbation):
    """A share of the words of each text is left out, never all of them."""

    NAME = "drop_words"
    TITLE = "a share of the words is left out"
    SHARE = 20

    def change(self, example: Any) -> Any:
        """With words missing in each of its texts."""
        number = iter(range(1_000_000))

        def dropped(role: str, text: str) -> str:
            draws = self.draws(example.id, role, str(next(number)))
            places = words(text)
            assert self.share is not None
            wanted = len(places) * self.share / 100
            count = min(int(wanted) + (draws.random() < wanted % 1), len(places) - 1)
            for start, end in sorted(draws.sample(places, max(0, count)), reverse=True):
                # The space behind a word goes with it.
                text = text[:start] + text[end:].removeprefix(" ")
            return text

        return example.changed(dropped)
