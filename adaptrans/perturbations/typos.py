"""Slips of typing, in any script."""

from __future__ import annotations

from random import Random
from typing import Any

from adaptrans.perturbations.base import Perturbation
from adaptrans.perturbations.units import letters, script, words


class Typos(Perturbation):
    """One slip in each of a share of the words: two letters swapped, one left out, doubled, or another one.

    The other letter is one of the same script in the same text, so that no script gets letters of
    another; a letter keeps its marks. Numbers are left alone. Source of the four slips: Belinkov and
    Bisk 2018 (arXiv 1711.02173), Pruthi et al. 2019 (arXiv 1905.11268).
    """

    NAME = "typos"
    TITLE = "a slip of typing in a share of the words"
    SHARE = 10

    def change(self, example: Any) -> Any:
        """With slips in each of its texts."""
        number = iter(range(1_000_000))

        def slipped(role: str, text: str) -> str:
            return self._slipped(text, self.draws(example.id, role, str(next(number))))

        return example.changed(slipped)

    def _slipped(self, text: str, draws: Random) -> str:
        places = [span for span in words(text) if not text[slice(*span)].isnumeric()]
        assert self.share is not None
        # As many in the mean as the share says, also in texts of few words.
        wanted = len(places) * self.share / 100
        number = int(wanted) + (draws.random() < wanted % 1)
        pool = [letter for span in places for letter in letters(text[slice(*span)])]
        for start, end in sorted(draws.sample(places, number), reverse=True):
            text = text[:start] + _slip(text[start:end], pool, draws) + text[end:]
        return text


def _slip(word: str, pool: list[str], draws: Random) -> str:
    own = letters(word)
    at = draws.randrange(len(own))
    swaps = [place for place in range(len(own) - 1) if own[place] != own[place + 1]]
    others = [letter for letter in pool if script(letter) == script(own[at]) and letter != own[at]]
    ways = [
        "double",
        *(["swap"] if swaps else []),
        *(["drop"] if len(own) > 1 else []),
        *(["other"] if others else []),
    ]
    way = draws.choice(ways)
    if way == "swap":
        place = draws.choice(swaps)
        own[place], own[place + 1] = own[place + 1], own[place]
    else:
        own[at] = {"double": own[at] * 2, "drop": "", "other": draws.choice(others) if others else ""}[way]
    return "".join(own)
