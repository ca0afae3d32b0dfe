"""BUCC under a setup: candidate pairs, the threshold of the dev set, extracted pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adaptrans.data.encoding import rows
from adaptrans.errors import ConfigError, MissingDataError
from adaptrans.evaluation.bitext_mining.margin import first_and_last, mine, without_repeated
from adaptrans.evaluation.metrics.retrieval import best_margin_threshold, by_source
from adaptrans.evaluation.metrics.score import Threshold
from adaptrans.evaluation.results import Outcome
from adaptrans.task_types.base import Answer

if TYPE_CHECKING:
    from datasets import Dataset

    from adaptrans.evaluation.inference import Session


Tick = Callable[[int], None]
READ = 4_096
"""Features read from the cache at once."""


def answer(
    session: Session, language: str, data_key: str, examples: Sequence[Any], tick: Tick, layer: int | None
) -> Outcome:
    """Extracted partners of every sentence of a language's corpus.

    The threshold is tuned on the dev set of the language, unless the options give one or ask for the
    gold of the scored split itself.

    Raises:
        MissingDataError: If there is no dev set to tune on.
        ConfigError: If the layer is to be chosen.
    """
    spec = session.spec
    if layer is None or spec.config.select is not None:
        raise ConfigError(f"{spec.task.name} has no choice of a layer", remedy="give the number of one")
    pairs, scores, search = candidates(session, language, data_key, examples, tick, layer)
    golds = _golds(examples)
    threshold, origin = _threshold(session, language, layer, golds, pairs, scores)
    found = by_source(extracted(pairs, scores, threshold))
    said = f"margin {threshold:.4f} or more, {origin}; {search} search of {len(pairs):,} candidates"
    notes = (said, *session.switch_language(language), *session.without_effect(layer))
    partners = [found.get(example.id, []) for example in examples]
    return Outcome([example.references for example in examples], map(Answer, partners), notes=notes)


def candidates(
    session: Session, language: str, data_key: str, examples: Sequence[Any], tick: Tick, layer: int
) -> tuple[list[Pair], list[float], str]:
    """Candidate pairs of ids, the best first, their margins, and how neighbors were searched."""
    features = session.encoded(examples, f"{language}:{data_key}", session.spec.workspace.store.cache)
    pool = [item for example in examples for item in example.pool]
    sources = [(example.id, example.text) for example in examples]
    sides = np.asarray(features["side"][:])
    share = len(examples) / len(features)
    own_texts, other_texts = [text for _, text in sources], [text for _, text in pool]
    places, vectors, done = [], [], 0

    def told(sentences: int) -> None:
        tick(int(sentences * share))

    for side, texts in ((0, own_texts), (1, other_texts)):
        session.switch_language("en" if side else language)
        first, last = first_and_last(texts)
        wanted = np.flatnonzero(sides == side)[last]
        vectors.append(session.encoder(layer).vectors(_ids(features, wanted), told, done))
        places.append(first)
        done += len(wanted)
    found = mine(*vectors)
    tick(len(examples))
    numbered = list(zip(places[0][found.sources].tolist(), places[1][found.targets].tolist(), strict=True))
    kept = without_repeated(numbered, own_texts, other_texts)
    pairs = [(sources[numbered[place][0]][0], pool[numbered[place][1]][0]) for place in kept]
    return pairs, [float(found.scores[place]) for place in kept], found.search


def _threshold(
    session: Session,
    language: str,
    layer: int,
    golds: set[Pair] | None,
    pairs: Sequence[Pair],
    scores: Sequence[float],
) -> tuple[float, str]:
    """The threshold, and where it comes from."""
    spec = session.spec
    wanted, split = spec.config.threshold, spec.config.split
    if not isinstance(wanted, str):
        return wanted, "as given"
    if wanted == "own" or split == "dev":
        if golds is None:
            raise MissingDataError(
                f"{spec.task.name} {split} has no gold pairs in {language} to tune the threshold on",
                remedy="give one, as --threshold 1.06",
            )
        return _tuned(best_margin_threshold(pairs, scores, golds), f"the gold of {split} itself")
    try:
        examples = spec.workspace.examples(spec.task, "dev", language, None, [])
        data_key = spec.workspace.data_key(spec.task, "dev", language)
    except MissingDataError as error:
        raise MissingDataError(
            f"no dev set to tune the threshold on: {error.message}",
            remedy="give one, as --threshold 1.06, or say --threshold own to tune on the scored split",
        ) from None
    dev_pairs, dev_scores, _ = candidates(session, language, data_key, examples, lambda done: None, layer)
    return _tuned(
        best_margin_threshold(dev_pairs, dev_scores, _golds(examples) or set()), f"dev [{language}]"
    )


def _tuned(found: Threshold, where: str) -> tuple[float, str]:
    return found.value, f"tuned on {where} (F1 {found.f1:.1f} there)"


def _golds(examples: Sequence[Any]) -> set[Pair] | None:
    if any(example.references is None for example in examples):
        return None
    return {(example.id, partner) for example in examples for partner in example.references}


def _ids(features: Dataset, places: np.ndarray) -> list[list[int]]:
    found: list[list[int]] = []
    for start in range(0, len(places), READ):
        found += [row["input_ids"] for row in rows(features, places[start : start + READ].tolist())]
    return found


Pair = tuple[str, str]


def extracted(pairs: Sequence[Pair], scores: Sequence[float], threshold: float) -> list[Pair]:
    """The candidates that score the threshold or more.

    Example:
        >>> extracted([("a", "x"), ("b", "y")], [1.2, 1.0], 1.2)
        [('a', 'x')]
    """
    return [pair for pair, score in zip(pairs, scores, strict=True) if score >= threshold]
