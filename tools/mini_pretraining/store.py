"""Text as arrays of token ids: running streams per language, tuples of sentences [no torch]."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adaptrans.errors import ConfigError
from mini_pretraining import tokenizer as pieces
from mini_pretraining.config import PretrainConfig
from mini_pretraining.switching import Switch, build_switch, capital
from mini_pretraining.text import Dictionary, Parallel, TextFolder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Special:
    """Ids of the special tokens, the size of the vocabulary, and which ids begin a word."""

    start: int
    pad: int
    end: int
    mask: int
    vocabulary: int
    first_piece: int
    word_starts: NDArray[np.bool_]
    boundary: int = -1


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of different lengths, end to end.

    Args:
        ids: All ids, shape (tokens,).
        offsets: Where each sequence begins, and the end of the last, shape (sequences + 1,).
    """

    ids: Ids
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def lengths(self) -> NDArray[np.int64]:
        """Number of ids of each sequence."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Tuples:
    """Aligned sentences; rows with the same group are translations of the same thing."""

    name: str
    sentences: dict[str, Ragged]
    groups: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairTable:
    """For every pair of languages, which rows of which tuples have both.

    Args:
        tuples: What the rows point into.
        pairs: Language pairs, in a fixed order.
        rows: Per pair, (index of the tuples, row), shape (n, 2).
    """

    tuples: tuple[Tuples, ...]
    pairs: tuple[tuple[str, str], ...]
    rows: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True)
class Store:
    """All that training reads, as token ids."""

    special: Special
    streams: dict[str, Ragged]
    held_streams: dict[str, Ragged]
    sentences: PairTable
    held_sentences: PairTable
    words: PairTable
    held_words: PairTable
    links: PairTable
    switch: Switch

    def tokens(self) -> dict[str, int]:
        """Training tokens of running text per language."""
        return {language: len(stream.ids) for language, stream in self.streams.items()}


def ragged(sequences: Iterable[Sequence[int]]) -> Ragged:
    """Put sequences end to end.

    Example:
        >>> ragged([[5, 6], [], [7]])[2].tolist()
        [7]
    """
    held = list(sequences)
    offsets = np.zeros(len(held) + 1, dtype=np.int64)
    np.cumsum([len(sequence) for sequence in held], out=offsets[1:])
    flat = np.fromiter((i for sequence in held for i in sequence), dtype=np.int32, count=int(offsets[-1]))
    return Ragged(flat, offsets)


def special_ids(tokenizer: Tokenizer) -> Special:
    """Look up the special tokens of a tokenizer of XLM-R's form."""
    starts = np.array(pieces.word_starts(tokenizer), dtype=bool)
    by_name = {name: tokenizer.token_to_id(name) for name in (*pieces.SPECIALS, pieces.MASK)}
    return Special(
        start=by_name["<s>"],
        pad=by_name["<pad>"],
        end=by_name["</s>"],
        mask=by_name["<mask>"],
        vocabulary=len(starts),
        first_piece=max(by_name[name] for name in pieces.SPECIALS) + 1,
        word_starts=starts,
        boundary=-1 if (boundary := tokenizer.token_to_id(pieces.BOUNDARY)) is None else boundary,
    )


def _kept(numbers: NDArray[np.int64], every: int) -> NDArray[np.bool_]:
    """Which of numbered lines are for training: all but the last of each `every`."""
    return numbers % every != every - 1


def _ended(lines: Ragged, keep: NDArray[np.bool_], end: int) -> Ragged:
    """The lines to keep that are not empty, each with the end token behind it."""
    keep = keep & (lines.lengths() > 0)
    lengths = lines.lengths()[keep] + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.full(int(offsets[-1]), end, dtype=np.int32)
    inside = np.ones(len(ids), dtype=bool)
    inside[offsets[1:] - 1] = False
    ids[inside] = lines.ids[np.repeat(keep, lines.lengths())]
    return Ragged(ids, offsets)


def _joined(parts: Sequence[Ragged]) -> Ragged:
    starts = np.cumsum([0, *(len(part.ids) for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
    return Ragged(np.concatenate([part.ids for part in parts]), np.concatenate([*offsets, starts[-1:]]))


def pair_table(
    tuples: Sequence[Tuples], languages: Sequence[str], keep: Sequence[NDArray[np.bool_]]
) -> PairTable:
    """List, for every pair of languages, the rows in which both have a sentence.

    Args:
        tuples: The corpora.
        languages: Languages, in the order that fixes the order of the pairs.
        keep: Per corpus, which rows may be used.
    """
    found: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
    for index, corpus in enumerate(tuples):
        present = {name: (lines.lengths() > 0) & keep[index] for name, lines in corpus.sentences.items()}
        for i, a in enumerate(languages):
            for b in languages[i + 1 :]:
                if a not in present or b not in present:
                    continue
                rows = np.flatnonzero(present[a] & present[b])
                if len(rows):
                    both = np.stack([np.full_like(rows, index), rows], axis=1)
                    found.setdefault((a, b), []).append(both)
    names = tuple(found)
    return PairTable(tuple(tuples), names, tuple(np.concatenate(found[name]) for name in names))


def _corpora(parallel: Sequence[Parallel], tokenizer: Tokenizer) -> list[Tuples]:
    corpora, base = [], 0
    for corpus in parallel:
        sentences = {
            language: ragged(pieces.encode_lines(tokenizer, lines))
            for language, lines in corpus.lines.items()
        }
        count = max(map(len, sentences.values()), default=0)
        corpora.append(Tuples(corpus.name, sentences, np.arange(base, base + count)))
        base += count
    return corpora


def _split(dictionaries: Sequence[Dictionary], every: int) -> tuple[list[Dictionary], list[Dictionary]]:
    """Dictionaries to train on, and the words that are kept back from all of a language."""
    numbers: dict[tuple[str, str], int] = {}
    halves: tuple[list[Dictionary], list[Dictionary]] = ([], [])
    for found in dictionaries:
        own = [numbers.setdefault((found.source, word), len(numbers)) for word, _ in found.pairs]
        keep = _kept(np.array(own, dtype=np.int64), every)
        for half, wanted in zip(halves, (True, False), strict=True):
            pairs = tuple(pair for pair, kept in zip(found.pairs, keep, strict=True) if kept == wanted)
            half.append(Dictionary(found.name, found.source, found.target, pairs))
    return halves


def _all(tuples: Sequence[Tuples]) -> list[NDArray[np.bool_]]:
    return [np.ones(len(found.groups), dtype=bool) for found in tuples]


def _word_tuples(dictionaries: Sequence[Dictionary], tokenizer: Tokenizer) -> list[Tuples]:
    """Words with their translations in all languages, a row per meaning, small and capital.

    Dictionaries from the same language are joined by their words, so that two languages
    have pairs although no dictionary is of these two. A word with several translations
    has several rows; languages with fewer of them repeat theirs.
    """
    joined: dict[str, dict[str, dict[str, list[str]]]] = {}
    for found in dictionaries:
        words = joined.setdefault(found.source, {})
        for word, translation in found.pairs:
            words.setdefault(word, {}).setdefault(found.target, []).append(translation)
    tuples, base = [], 0
    for source, words in joined.items():
        targets = sorted({target for translations in words.values() for target in translations})
        rows: list[list[str]] = []
        groups: list[int] = []
        for number, (word, by) in enumerate(words.items(), base):
            for k in range(max(map(len, by.values()))):
                rows.append([word, *(by[name][k % len(by[name])] if name in by else "" for name in targets)])
                groups.append(number)
        base += len(words)
        for name, form in (("words", str), ("words with a capital", capital)):
            columns = {
                language: ragged(pieces.encode_lines(tokenizer, (form(row[place]) for row in rows)))
                for place, language in enumerate([source, *targets])
            }
            tuples.append(Tuples(f"{name} of {source}", columns, np.array(groups, dtype=np.int64)))
    return tuples


def build(text: TextFolder, config: PretrainConfig, tokenizer: Tokenizer) -> Store:
    """Encode all text, and keep back one line in `text.held_out`.

    Args:
        text: What was read.
        config: Languages and how much is held out.
        tokenizer: Whose tokens are used.

    Raises:
        ConfigError: If an objective with a share has no data.
    """
    special, every = special_ids(tokenizer), config.text.held_out
    corpora = _corpora(text.parallel, tokenizer)
    keeps = [_kept(np.arange(len(corpus.groups)), every) for corpus in corpora]
    training: dict[str, list[Ragged]] = {language: [] for language in config.languages}
    held: dict[str, list[Ragged]] = {language: [] for language in config.languages}
    blocks = [(part.language, ragged(pieces.encode_lines(tokenizer, part.lines))) for part in text.mono]
    marked = [(language, lines, _kept(np.arange(len(lines)), every)) for language, lines in blocks]
    for corpus, keep in zip(corpora, keeps, strict=True):
        marked += [(language, lines, keep[: len(lines)]) for language, lines in corpus.sentences.items()]
    for language, lines, keep in marked:
        training[language].append(_ended(lines, keep, special.end))
        held[language].append(_ended(lines, ~keep, special.end))
    known, unknown = _split(text.dictionary, every)
    sentences = pair_table(corpora, config.languages, keeps)
    words, held_words = _word_tuples(known, tokenizer), _word_tuples(unknown, tokenizer)[::2]
    store = Store(
        special=special,
        streams=_streams(training),
        held_streams=_streams(held),
        sentences=sentences,
        held_sentences=pair_table(corpora, config.languages, [~keep for keep in keeps]),
        words=pair_table(words, config.languages, _all(words)),
        held_words=pair_table(held_words, config.languages, _all(held_words)),
        links=_links(sentences, config, special.vocabulary),
        switch=build_switch(known, tokenizer) if config.objectives.masked.switch else {},
    )
    _check(store, config)
    return store


def _links(sentences: PairTable, config: PretrainConfig, vocabulary: int) -> PairTable:
    if not (config.objectives.links.share or (config.static.steps and config.static.links.count)):
        return PairTable((), (), ())
    from mini_pretraining.links import link_table

    return link_table(sentences, config.languages, config.sampling.pivot, vocabulary)


def _streams(parts: dict[str, list[Ragged]]) -> dict[str, Ragged]:
    joined = {language: _joined(found) for language, found in parts.items() if found}
    return {language: stream for language, stream in joined.items() if len(stream.ids)}


def _check(store: Store, config: PretrainConfig) -> None:
    lacking = {
        "translation": not store.sentences.pairs,
        "contrastive": not store.sentences.pairs,
        "words": not store.words.pairs,
        "links": not store.links.pairs,
        "masked": not store.streams,
    }
    for name in config.objectives.shares():
        if lacking[name]:
            kind = "dictionary" if name == "words" else "parallel"
            raise ConfigError(
                f"objectives.{name} has a share but no data of two of the languages",
                remedy=f"name a source under text.{kind}, or set the share to 0",
            )


def counts(store: Store) -> NDArray[np.int64]:
    """How often each id occurs in the running text for training, shape (vocabulary,)."""
    found = np.zeros(store.special.vocabulary, dtype=np.int64)
    for stream in store.streams.values():
        found += np.bincount(stream.ids, minlength=len(found))
    return found


def fingerprint(store: Store) -> str:
    """Hash of the ids in their order, to notice that text or tokenizer changed under a run."""
    digest = hashlib.sha256()
    for language in sorted(store.streams):
        digest.update(language.encode())
        digest.update(store.streams[language].ids.tobytes())
    for table in (store.sentences, store.words):
        for rows in table.rows:
            digest.update(rows.tobytes())
        for corpus in table.tuples:
            for language in sorted(corpus.sentences):
                digest.update(corpus.sentences[language].ids.tobytes())
    return digest.hexdigest()[:16]
