"""What loaded setups answer, by language: computed together where that is the same, else one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from adaptrans.data.encodings import FOUND, count_examples, stream_features
from adaptrans.errors import MissingDataError
from adaptrans.evaluation.predict import Part, answered
from adaptrans.evaluation.session import Session
from adaptrans.models.nodes import has_language
from adaptrans.progress import Meter, progress, remark
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.specs import compares_vectors


@dataclass(frozen=True)
class Examples:
    """The examples of a language, read anew each time they are gone through.

    Args:
        spec: The evaluation.
        language: The language.
        notes: Receives a line if bad rows were left out.
    """

    spec: EvaluateSpec
    language: str
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        config = self.spec.config
        workspace = self.spec.workspace
        return workspace.stream(self.spec.task, config.split, self.language, config.limit, self.notes)


@dataclass(frozen=True)
class Language:
    """The answers to one language, read to their end before those to the next.

    Args:
        language: The language.
        examples: Its examples, which can be gone through again.
        rows: Id, gold value, and the prediction of each setup.
        notes: Filled by the last row, with what was left out.
        told: What the reader of the score has to know besides.
        layers: For retrieval, the primary value at every layer.
        half: The same on the first half of the sentences.
    """

    language: str
    examples: Examples | Sequence[Any]
    rows: Iterator[tuple[str, Any, tuple[Any, ...]]]
    notes: list[str]
    told: tuple[str, ...] = ()
    layers: tuple[float, ...] = ()
    half: tuple[float, ...] = ()


def languages(sessions: Sequence[Session], keys: Mapping[str, str], layer: int | None) -> Iterator[Language]:
    """The answers of setups to the same languages, in their order.

    Args:
        sessions: The setups; several only if they answer the same inputs.
        keys: Fingerprint of the data of each language.
        layer: For retrieval, the layer whose vectors are compared.

    Raises:
        MissingDataError: If a language has no example.
    """
    first = sessions[0]
    # A language adapter is changed, and what a fusion attends to is noted, between languages.
    if compares_vectors(first.spec.task) or has_language(first.assembled.setup) or first.assembled.fusions:
        return _one_by_one(first, keys, layer)
    return _together(sessions, keys)


def _one_by_one(session: Session, keys: Mapping[str, str], layer: int | None) -> Iterator[Language]:
    spec, config = session.spec, session.spec.config
    for language, data_key in keys.items():
        notes: list[str] = []
        examples = spec.workspace.examples(spec.task, config.split, language, config.limit, notes)
        _number(spec, language, examples)
        with progress(f"{spec.task.name} {language} ({spec.answering})", len(examples)) as meter:
            outcome = session.answer(language, data_key, examples, meter.to, layer)
            found = zip(examples, outcome.golds, outcome.predictions, strict=True)
            rows = ((example.id, gold, (prediction,)) for example, gold, prediction in found)
            yield Language(language, examples, rows, notes, outcome.notes, outcome.layers, outcome.half)


def _together(sessions: Sequence[Session], keys: Mapping[str, str]) -> Iterator[Language]:
    first = sessions[0]
    spec, gold = first.spec, first.kind.gold
    examples = {language: Examples(spec, language) for language in keys}
    files = _encoded(first, examples, keys)
    totals = {language: count_examples(path) for language, path in files.items()}
    parts = [Part(examples[language], stream_features(path)) for language, path in files.items()]
    where = next(iter(keys)) if len(keys) == 1 else f"in {len(keys)} languages"
    who = spec.answering if len(sessions) == 1 else f"{len(sessions)} setups"
    with progress(f"{spec.task.name} {where} ({who})", sum(totals.values())) as meter:
        found = answered([session.predictor() for session in sessions], parts, meter.to)
        for language, total in totals.items():
            # Not one example more is asked for, or the next ones would be computed before this is scored.
            own = islice(found, total)
            rows = ((example.id, gold(example), predictions) for _, example, predictions in own)
            yield Language(language, examples[language], rows, examples[language].notes)


def _encoded(session: Session, examples: Mapping[str, Examples], keys: Mapping[str, str]) -> dict[str, Path]:
    """Files with the token ids of all languages, and a word on which of them were made now."""
    spec = session.spec
    told: dict[str, str] = {}
    files: dict[str, Path] = {}
    # Reading the examples once more takes far less than encoding them, and tells how much there is to do.
    sizes = {
        language: _number(spec, language, examples[language])
        for language, key in keys.items()
        if not session.is_encoded(f"{language}:{key}")
    }
    done = 0
    with progress(f"encoding {spec.task.name}", sum(sizes.values())) as meter:
        for language, data_key in keys.items():
            files[language] = session.encoded_file(
                examples[language],
                f"{language}:{data_key}",
                tick=partial(_move, meter, done),
                tell=partial(told.__setitem__, language),
            )
            done += sizes.get(language, 0)
    made = [language for language, text in told.items() if text != FOUND]
    remark(f"token ids of {spec.task.name}: {_summary(told, made)}")
    return files


def _move(meter: Meter, before: int, done: int) -> None:
    """Move a meter on within one of several pieces of work."""
    meter.to(before + done)


def _summary(told: Mapping[str, str], made: Sequence[str]) -> str:
    """Where the token ids of some languages come from, in words."""
    if not made:
        return f"{FOUND}, {len(told)} language{'s' if len(told) > 1 else ''}"
    reasons = list(dict.fromkeys(told[language] for language in made))
    rest = len(told) - len(made)
    return f"{', '.join(made)} {'; '.join(reasons)}{f'; {rest} others {FOUND}' if rest else ''}"


def _number(spec: EvaluateSpec, language: str, examples: Iterable[Any]) -> int:
    """Number of the examples of a language, which is refused without any."""
    number = sum(1 for _ in examples)
    if not number:
        raise MissingDataError(
            f"{spec.task.name} {spec.config.split} has no examples in {language}",
            remedy="check the data folder",
        )
    return number
