"""Batches as pure functions of (data, configuration, step) [no torch].

No state is carried from step to step: every choice comes from a generator seeded by
(seed, step), so that a resumed run sees exactly what the undisturbed one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptrans.data.mixing import smoothed
from adaptrans.task_types.masked_lm import mask_tokens
from mini_pretraining.config import Contrastive, Masked, PretrainConfig, Translation
from mini_pretraining.sampling import pair_shares
from mini_pretraining.store import Ids, PairTable, Ragged, Special, Store
from mini_pretraining.switching import switch_words

POOL = 4
"""Pairs drawn per pair kept: a stretch of like lengths is cut from the sorted draw, to save padding."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's input.

    Args:
        objective: Name under `objectives`.
        ids: Token ids, shape (sequences, tokens).
        attention: 1 = real token, same shape.
        shift: Added to every position.
        chosen: Positions to guess, same shape; None for contrastive objectives.
        targets: Ids at those positions, shape (chosen,); None likewise.
        ignored: For contrastive objectives, which pairs of rows are no negatives, shape
            (sequences, sequences); rows i and i + half are translations. None otherwise.
    """

    objective: str
    ids: NDArray[np.int64]
    attention: NDArray[np.bool_]
    shift: int = 0
    chosen: NDArray[np.bool_] | None = None
    targets: NDArray[np.int64] | None = None
    ignored: NDArray[np.bool_] | None = None


def generator(seed: int, step: int) -> np.random.Generator:
    """The generator of a step."""
    return np.random.default_rng((seed, step))


def length_at(config: PretrainConfig, step: int) -> int:
    """Longest sequence at a step."""
    for stage in config.lengths:
        if stage.steps is None or step < stage.steps:
            return stage.length
        step -= stage.steps
    return config.lengths[-1].length


def objective_at(config: PretrainConfig, step: int) -> str:
    """Objective of a step, drawn by share."""
    shares = config.objectives.shares(step)
    rng = np.random.default_rng((config.seed, step, 1))
    return str(rng.choice(list(shares), p=list(shares.values())))


def padded(
    sequences: Sequence[NDArray[np.int64] | Ids], pad: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Sequences as one array, and where it is not padding."""
    width = max(map(len, sequences))
    ids = np.full((len(sequences), width), pad, dtype=np.int64)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence
    lengths = np.array([len(sequence) for sequence in sequences])
    return ids, np.arange(width) < lengths[:, None]


def window(stream: Ragged, tokens: int, rng: np.random.Generator) -> Ids:
    """A stretch of running text; half of them begin at the beginning of a line.

    Args:
        stream: Lines, each ending with the end token.
        tokens: Length of the stretch; shorter only if the stream is.
        rng: Source of the choice.
    """
    place = int(rng.integers(len(stream.ids)))
    if rng.random() < 0.5:
        place = int(stream.offsets[np.searchsorted(stream.offsets, place, side="right") - 1])
    found = stream.ids[place : place + tokens]
    if len(found) < tokens:
        found = np.concatenate([found, stream.ids[: min(place, tokens - len(found))]])
    return found


def _guessing(
    store: Store,
    name: str,
    sequences: Sequence[NDArray[np.int64]],
    plan: Masked | Translation,
    rng: np.random.Generator,
    shift: int,
) -> Batch:
    special = store.special
    ids, attention = padded(sequences, special.pad)
    eligible = (ids >= special.first_piece) & (ids != special.mask)
    hidden, chosen = mask_tokens(
        ids,
        eligible,
        special.word_starts,
        rng,
        rate=plan.masking,
        mask=special.mask,
        first_piece=special.first_piece,
        whole_words=plan.whole_words,
    )
    if not chosen.any():
        chosen[0, 1] = True  # a loss over nothing is not a number
    return Batch(name, hidden, attention, shift, chosen, ids[chosen])


def _shift(config: PretrainConfig, length: int, rng: np.random.Generator) -> int:
    room = config.model.positions - length
    return int(rng.integers(room + 1)) if room > 0 and rng.random() < config.shifted else 0


def masked_batch(store: Store, config: PretrainConfig, step: int) -> Batch:
    """Running text of all languages, some of it code-switched, with positions to guess."""
    rng, plan, special = generator(config.seed, step), config.objectives.masked, store.special
    length = length_at(config, step)
    languages = list(store.streams)
    weights = smoothed([len(store.streams[name].ids) for name in languages], config.sampling.smoothing)
    drawn = rng.choice(len(languages), size=max(1, config.tokens // length), p=weights)
    sequences = []
    for index in drawn:
        language = languages[index]
        inside = window(store.streams[language], length - 2, rng)
        tables = store.switch.get(language)
        if tables and rng.random() < plan.switch:
            target = sorted(tables)[int(rng.integers(len(tables)))]
            inside = switch_words(inside, special.word_starts, tables[target], plan.switch_words, rng)
        if _spacing(config, language, step, rng):
            inside = spaced(inside, special, config.spacing.pieces, rng)
        inside = inside[: length - 2]
        end = [] if len(inside) and inside[-1] == special.end else [special.end]
        sequences.append(np.array([special.start, *inside, *end], dtype=np.int64))
    return _guessing(store, "masked", sequences, plan, rng, _shift(config, length, rng))


def spaced(ids: Ids, special: Special, share: float, rng: np.random.Generator) -> Ids:
    """Tokens with the boundary put before some of those that do not begin a word.

    Example:
        >>> special = Special(0, 1, 2, 9, 10, 4, np.array([True] * 5 + [False] * 5), boundary=4)
        >>> spaced(np.array([5, 6]), special, 1.0, np.random.default_rng(0)).tolist()
        [4, 5, 4, 6]
    """
    if special.boundary < 0:
        return ids
    before = ~special.word_starts[ids] & (rng.random(len(ids)) < share)
    # A boundary that stands alone in the text has its token behind it already.
    before[1:] &= ids[:-1] != special.boundary
    return np.insert(ids, np.flatnonzero(before), special.boundary).astype(ids.dtype)


def _spacing(config: PretrainConfig, language: str, step: int, rng: np.random.Generator) -> bool:
    plan = config.spacing
    return language in plan.languages and step >= plan.begins and bool(rng.random() < plan.share)


def draw_pairs(
    table: PairTable,
    config: PretrainConfig,
    count: int,
    rng: np.random.Generator,
    *,
    special: Special | None = None,
    step: int = 0,
) -> list[tuple[Ids, Ids, int]]:
    """Draw sentence pairs: language pair by smoothed size and pivot share, then a row.

    Args:
        table: The pairs.
        config: How they are drawn, and which languages get spaces.
        count: How many.
        rng: Source of the choices.
        special: For the spaces; none = no spaces.
        step: Step of the run.

    Returns:
        Ids of one side, of the other, and the group of the row; sides in random order.
    """
    sizes = [len(rows) for rows in table.rows]
    drawn = rng.choice(len(sizes), size=count, p=pair_shares(table, config.sampling))
    places = rng.random(count)
    turned = rng.random(count) < 0.5
    found = []
    for index, place, turn in zip(drawn.tolist(), places.tolist(), turned.tolist(), strict=True):
        corpus, row = table.rows[index][int(place * sizes[index])].tolist()
        a, b = table.pairs[index][::-1] if turn else table.pairs[index]
        tuples = table.tuples[corpus]
        sides = {name: tuples.sentences[name][row] for name in (a, b)}
        if special is not None:
            for name in (a, b):
                if _spacing(config, name, step, rng):
                    sides[name] = spaced(sides[name], special, config.spacing.pieces, rng)
        found.append((sides[a], sides[b], int(tuples.groups[row])))
    return found


def translation_batch(store: Store, config: PretrainConfig, step: int) -> Batch:
    """Sentences with their translations behind them, `<s> a </s></s> b </s>`, with positions to guess."""
    rng, special = generator(config.seed, step), store.special
    length = length_at(config, step)
    most = (length - 4) // 2
    count = POOL * max(1, config.tokens // length)
    drawn = draw_pairs(store.sentences, config, count, rng, special=special, step=step)
    drawn.sort(key=lambda pair: min(len(pair[0]), most) + min(len(pair[1]), most))
    first = int(rng.integers(len(drawn)))
    sequences: list[NDArray[np.int64]] = []
    for a, b, _ in drawn[first:] + drawn[:first][::-1]:
        row = [special.start, *a[:most], special.end, special.end, *b[:most], special.end]
        width = max(len(row), max(map(len, sequences), default=0))
        if sequences and width * (len(sequences) + 1) > config.tokens:
            break
        sequences.append(np.array(row, dtype=np.int64))
    plan = config.objectives.translation
    return _guessing(store, "translation", sequences, plan, rng, _shift(config, length, rng))


def framed(sentence: Ids, special: Special, length: int) -> NDArray[np.int64]:
    """A sentence between its special tokens, cut to `length` in all."""
    return np.array([special.start, *sentence[: length - 2], special.end], dtype=np.int64)


def no_negatives(sequences: Sequence[NDArray[np.int64]], groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows must not count as negatives of which: the same meaning, or the same text.

    Args:
        sequences: An even number of rows; rows i and i + half are translations.
        groups: Group of each row, shape (rows,).

    Returns:
        Shape (rows, rows): true where the group is the same, or the column has the same
        ids as the row or as the row's translation. A row's own translation is among them.

    Example:
        >>> rows = [np.array([7]), np.array([8]), np.array([9]), np.array([9])]
        >>> no_negatives(rows, np.array([0, 1, 0, 1])).astype(int).tolist()
        [[1, 0, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 1]]
    """
    numbers: dict[bytes, int] = {}
    keys = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in sequences])
    same = groups[:, None] == groups[None, :]
    alike = keys[:, None] == keys[None, :]
    return same | alike | np.roll(alike, len(keys) // 2, axis=0)


def _contrasting(
    name: str, table: PairTable, plan: Contrastive, store: Store, config: PretrainConfig, step: int
) -> Batch:
    rng = generator(config.seed, step)
    special = store.special if name == "contrastive" else None
    drawn = draw_pairs(table, config, POOL * plan.pairs, rng, special=special, step=step)
    drawn.sort(key=lambda pair: min(max(len(pair[0]), len(pair[1])), plan.length - 2))
    first = int(rng.integers(len(drawn) - plan.pairs + 1))
    kept = drawn[first : first + plan.pairs]
    left = [framed(a, store.special, plan.length) for a, _, _ in kept]
    right = [framed(b, store.special, plan.length) for _, b, _ in kept]
    ids, attention = padded(left + right, store.special.pad)
    groups = np.array([group for _, _, group in kept] * 2, dtype=np.int64)
    return Batch(name, ids, attention, ignored=no_negatives(left + right, groups))


def contrastive_batch(store: Store, config: PretrainConfig, step: int) -> Batch:
    """Sentences, then their translations in the same order."""
    plan = config.objectives.contrastive
    return _contrasting("contrastive", store.sentences, plan, store, config, step)


def links_batch(store: Store, config: PretrainConfig, step: int) -> Batch:
    """Tokens, then the tokens that translate them in the same order."""
    return _contrasting("links", store.links, config.objectives.links, store, config, step)


def words_batch(store: Store, config: PretrainConfig, step: int) -> Batch:
    """Words of the dictionaries, then their translations in the same order."""
    return _contrasting("words", store.words, config.objectives.words, store, config, step)


BUILDERS = {
    "masked": masked_batch,
    "translation": translation_batch,
    "contrastive": contrastive_batch,
    "words": words_batch,
    "links": links_batch,
}
"""Builder of each objective's batch."""


def batch_at(store: Store, config: PretrainConfig, step: int) -> Batch:
    """The batch of a step: a pure function of the data, the configuration and the step."""
    return BUILDERS[objective_at(config, step)](store, config, step)
