"""What the model inputs of all types share: special tokens around texts, padding, masks, the summed loss.

torch is imported where tensors are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


Feature = dict[str, Any]
"""One model input: `example` (index), `input_ids`, `length` (tokens of all its rows, padded), and more."""

Batch = dict[str, "torch.Tensor"]

IGNORED = -100
"""Label of a position that enters neither loss nor score (PyTorch's own convention)."""

ENDS = (("bos_token", "cls_token"), ("eos_token", "sep_token"))
"""What stands before and behind a text, by its names in RoBERTa's and in BERT's tokenizers."""

WORD = "a"
"""A text of any tokenizer, known or not."""


@dataclass(frozen=True)
class PairFrame:
    """Ids before, between and after two texts; in XLM-R's form `<s>`, `</s> </s>` and `</s>`."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return len(self.before) + len(self.between) + len(self.after)

    def around(self, first: list[int], second: list[int]) -> list[int]:
        """The input of two texts.

        Example:
            >>> PairFrame((0,), (2, 2), (2,)).around([5, 6], [7])
            [0, 5, 6, 2, 2, 7, 2]
        """
        return [*self.before, *first, *self.between, *second, *self.after]


def pair_frame(tokenizer: PreTrainedTokenizerFast) -> PairFrame:
    """The special tokens of a pair, from the template in the tokenizer's file.

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


def cut_to(tokenizer: PreTrainedTokenizerFast, texts: Sequence[Any], max_length: int) -> list[list[int]]:
    """Ids of texts, or of pairs, of which no more than the maximum length is left."""
    encoded = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)
    return encoded["input_ids"]


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Integer rows of unequal length as one tensor, shape (rows, longest), padded on the right.

    Example:
        >>> pad([[1, 2], [3]], 0).tolist()
        [[1, 2], [3, 0]]
    """
    import torch

    width = max((len(row) for row in rows), default=0)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)


def padded_inputs(rows: Sequence[Sequence[int]], padding_id: int) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` of rows of token ids, shape (rows, longest).

    The mask comes from the lengths, so that a padding id inside a text stays a real token.
    """
    mask = pad([[1] * len(row) for row in rows], 0)
    return {"input_ids": pad(rows, padding_id), "attention_mask": mask}


def summed_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cross-entropy summed over the labels that are not `IGNORED`, and their number, in float32.

    Args:
        logits: Shape (..., classes).
        labels: Shape (...), class numbers or `IGNORED`.

    Example:
        >>> import torch
        >>> loss, terms = summed_cross_entropy(torch.zeros(2, 4), torch.tensor([1, IGNORED]))
        >>> round(loss.item(), 4), terms
        (1.3863, 1)
    """
    from torch.nn import functional

    flat = labels.reshape(-1)
    loss = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), flat, ignore_index=IGNORED, reduction="sum"
    )
    return loss, int((flat != IGNORED).sum())
