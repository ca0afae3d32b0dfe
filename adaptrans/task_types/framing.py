"""The special pieces around a text and between two texts, as a tokenizer's own template puts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


ENDS = (("bos_token", "cls_token"), ("eos_token", "sep_token"))
"""What stands before and behind a text, by its names in RoBERTa's and in BERT's tokenizers."""

WORD = "a"
"""A text of any tokenizer, known or not."""


@dataclass(frozen=True)
class PairFrame:
    """What stands around two texts; in XLM-R's form `<s>`, `</s> </s>` and `</s>`.

    Args:
        before: Ids before the first text.
        between: Ids between them.
        after: Ids after the second one.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of special pieces."""
        return len(self.before) + len(self.between) + len(self.after)

    def around(self, first: list[int], second: list[int]) -> list[int]:
        """The input of two texts.

        Example:
            >>> PairFrame((0,), (2, 2), (2,)).around([5, 6], [7])
            [0, 5, 6, 2, 2, 7, 2]
        """
        return [*self.before, *first, *self.between, *second, *self.after]


def pair_frame(tokenizer: PreTrainedTokenizerFast) -> PairFrame:
    """The special pieces of a pair, from the template in the tokenizer's file.

    `build_inputs_with_special_tokens` knows those of some classes of tokenizers alone, and adds none for the
    general one, whose form stands in its file.
    """
    encoded = tokenizer(WORD, WORD)
    ids, texts = encoded["input_ids"], encoded.sequence_ids(0)
    first = [place for place, text in enumerate(texts) if text == 0]
    second = [place for place, text in enumerate(texts) if text == 1]
    return PairFrame(
        tuple(ids[: first[0]]), tuple(ids[first[-1] + 1 : second[0]]), tuple(ids[second[-1] + 1 :])
    )


def text_ends(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
    """Ids of the tokens before and behind a text."""
    known = tokenizer.special_tokens_map
    first, last = (next(known[name] for name in names if name in known) for names in ENDS)
    return tokenizer.convert_tokens_to_ids(first), tokenizer.convert_tokens_to_ids(last)
