"""Masked language modelling on plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptrans.task_types.base import Batch, Feature, Input, Level, TaskSettings, TaskType, tokens
from adaptrans.task_types.inputs import pad, padded_inputs, text_ends
from adaptrans.task_types.rows import Example, RowError, Rules, text_field

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast


RATE = 0.15
"""Share of the pieces that are guessed (Devlin et al. 2019, kept by XLM-R and by jiant's `mlm_simple`)."""

FIXED = (0,)
"""The draw of masks that scores are made with."""

LONGEST_WORD = 5
"""Pieces masked together; longer runs (scripts without spaces) are cut into such groups."""


@dataclass(frozen=True, slots=True)
class TextExample(Example):
    """A line of plain text and its language, "" where nothing says it."""

    id: str
    text: str
    language: str


def blocks(
    lines: Iterable[Sequence[int]], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> Iterator[tuple[int, list[int]]]:
    """Running text as blocks of equal length, lines one after another with an end sign between them.

    Args:
        lines: Ids of the lines of one language, without special tokens.
        tokenizer: The backbone's tokenizer.
        max_length: Pieces of a block, those at its ends included.

    Yields:
        The number of the line that fills the block, and its ids; the last one may be shorter.
    """
    room = max_length - 2
    start, end = text_ends(tokenizer)
    pending: list[int] = []
    number = -1
    for number, ids in enumerate(lines):
        pending += [*ids, end]
        while len(pending) >= room:
            yield number, [start, *pending[:room], end]
            pending = pending[room:]
    if len(pending) > 1:
        yield number, [start, *pending[:-1], end]


def vocabulary(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """What `collate` has to know of a vocabulary: the mask, and where the tokens of text are.

    In XLM-R's they stand between the special tokens and the mask, in BERT's behind all of them.
    """
    special, size, mask = set(tokenizer.all_special_ids), len(tokenizer), tokenizer.mask_token_id
    assert mask is not None
    if 2 * mask < size:
        return {"mask": mask, "first_piece": max(special) + 1, "end": size}
    first = next(number for number in range(size) if number not in special)
    return {"mask": mask, "first_piece": first}


def _runs(examples: Sequence[TextExample]) -> list[tuple[int, list[TextExample]]]:
    """Neighbors of the same language, each run with the number of its first example."""
    runs: list[tuple[int, list[TextExample]]] = []
    for number, example in enumerate(examples):
        if runs and runs[-1][1][-1].language == example.language:
            runs[-1][1].append(example)
        else:
            runs.append((number, [example]))
    return runs


def masked(feature: Feature) -> tuple[np.ndarray, np.ndarray]:
    """The ids as the model sees them, and which of them are to be guessed; both of shape (tokens,).

    The feature's `draw`, where the loop gives one, decides which; without it its own ids do.
    """
    import numpy as np

    ids = np.asarray(feature["input_ids"], dtype=np.int64)[None]
    mask, first = feature["mask"], feature["first_piece"]
    eligible = (ids >= first) & (ids != mask)
    rng = np.random.default_rng(feature.get("draw") or [*FIXED, *feature["input_ids"]])
    starts = np.ones(1, dtype=bool)
    shown, chosen = mask_tokens(
        ids, eligible, starts, rng, rate=RATE, mask=mask, first_piece=first, end=feature.get("end")
    )
    if eligible.any() and not chosen.any():
        # A block without a gap teaches nothing; one of its pieces, whatever is in the batch beside it.
        place = (0, int(rng.choice(np.flatnonzero(eligible[0]))))
        chosen[place], shown[place] = True, mask
    return shown[0], chosen[0]


def groups(ids: NDArray[np.int64], starts: NDArray[np.bool_], *, whole_words: bool) -> NDArray[np.int64]:
    """Number the groups of pieces that are masked together, along the flattened batch.

    Args:
        ids: Token ids, shape (sequences, tokens).
        starts: For every id of the vocabulary, whether it begins a word.
        whole_words: Words are groups; otherwise every piece is its own.

    Returns:
        Group of each position, shape (sequences * tokens,).

    Example:
        >>> import numpy as np
        >>> starts = np.array([True, False])
        >>> groups(np.array([[0, 1, 1, 0]]), starts, whole_words=True).tolist()
        [0, 0, 0, 1]
    """
    import numpy as np

    count = ids.size
    if not whole_words:
        return np.arange(count)
    begins = starts[ids].copy()
    begins[:, 0] = True
    flat = begins.ravel()
    position = np.arange(count)
    inside = position - np.maximum.accumulate(np.where(flat, position, 0))
    return np.cumsum(inside % LONGEST_WORD == 0) - 1


def mask_tokens(
    ids: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    starts: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    rate: float,
    mask: int,
    first_piece: int,
    whole_words: bool = False,
    end: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose positions to guess and hide them.

    Args:
        ids: Token ids, shape (sequences, tokens).
        eligible: Where there is text, as opposed to special tokens and padding.
        starts: For every id of the vocabulary, whether it begins a word.
        rng: Source of the choices.
        rate: Fraction of the eligible positions.
        mask: Id of the mask token.
        first_piece: First id that is not a special token.
        whole_words: Choose all pieces of a word or none.
        end: One past the last id of a token of text; by default the mask's, where it is the last of all.

    Returns:
        The ids with 80 % of the chosen positions masked, 10 % replaced by a random
        piece and 10 % left, and the chosen positions; both of the shape of `ids`.

    Source: 15 % and 80/10/10 are those of BERT (Devlin et al. 2019), kept by XLM-R.
    """
    import numpy as np

    group = groups(ids, starts, whole_words=whole_words)
    chosen = (rng.random(int(group[-1]) + 1) < rate)[group].reshape(ids.shape) & eligible
    how = rng.random(ids.shape)
    pieces = rng.integers(first_piece, mask if end is None else end, ids.shape)
    hidden = np.where(how < 0.8, mask, np.where(how < 0.9, pieces, ids))
    return np.where(chosen, hidden, ids), chosen


class MaskedLM(TaskType):
    """Hidden subword tokens of plain text to be guessed."""

    name = "mlm"
    title = "Masked language modelling"
    required = ("text",)
    optional = ("language",)
    reference_fields = ()
    head = "mlm"
    plain_text = True
    scores = ("masked_pieces",)
    too_long = "go on in a further input"
    pipeline = "fill-mask"

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> TextExample:
        """A line of plain text that is not blank."""
        text = text_field(fields, "text")
        if not text:
            raise RowError("the line is blank")
        return TextExample(id, text, str(fields.get("language") or ""))

    def group(self, example: TextExample) -> str:
        """Equal lines stay together."""
        return example.text

    def encode(
        self,
        examples: Sequence[TextExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """Blocks with the number of the example that fills them; for scoring each example has its own."""
        alone = [(number, [example]) for number, example in enumerate(examples)]
        runs = _runs(examples) if training else alone
        about = vocabulary(tokenizer)
        found = []
        for start, run in runs:
            texts = [example.text for example in run]
            lines = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
            for number, ids in blocks(lines["input_ids"], tokenizer, max_length):
                found.append({"example": start + number, "length": len(ids), "input_ids": ids, **about})
        return found

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Padded inputs, `hidden` where a piece is to be guessed, and `labels` of those pieces alone."""
        pairs = [masked(feature) for feature in features]
        batch = padded_inputs([shown.tolist() for shown, _ in pairs], padding_id)
        hidden = pad([chosen.tolist() for _, chosen in pairs], 0).bool()
        ids = pad([feature["input_ids"] for feature in features], padding_id)
        return {**batch, "hidden": hidden, "labels": ids[hidden]}

    def decode(self, logits: torch.Tensor, features: Sequence[Feature]) -> list[tuple[int, int]]:
        """How many pieces of each block are guessed right, and how many were hidden."""
        import numpy as np

        guesses = logits.argmax(dim=-1).tolist()
        found = []
        start = 0
        for item in features:
            right = np.asarray(item["input_ids"])[masked(item)[1]].tolist()
            own = guesses[start : start + len(right)]
            found.append((sum(a == b for a, b in zip(own, right, strict=True)), len(right)))
            start += len(right)
        return found

    def predict(
        self,
        example: TextExample,
        outputs: Sequence[tuple[int, int]],
        labels: Sequence[str],
    ) -> list[int]:
        """Pieces guessed right and pieces hidden, of all blocks of an example."""
        return [sum(right for right, _ in outputs), sum(hidden for _, hidden in outputs)]

    def reference(self, example: TextExample) -> Any:
        """The text itself."""
        return example.text

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """Nothing: of a whole vocabulary next to none is guessed by luck."""
        return 0.0

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """The tokens as the model sees them, and what hidden ones are."""
        found = []
        for feature in features:
            seen, hidden = masked(feature)
            pieces = tokens(tokenizer, feature["input_ids"])
            labels = tuple(piece if guessed else "" for piece, guessed in zip(pieces, hidden, strict=True))
            found.append(Input(tokens(tokenizer, seen.tolist()), labels=labels))
        return found
