"""Evaluate one setup on one target in every language: one process, one load of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adaptrans.errors import ArtefactError, MissingDataError
from adaptrans.evaluation import layers
from adaptrans.evaluation.chance import chance
from adaptrans.evaluation.layouts import LAYOUTS
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.no_answer import dev_threshold, with_threshold
from adaptrans.evaluation.results import (
    LanguageResult,
    Scored,
    language_result,
    load_language,
    load_results,
    save_language,
)
from adaptrans.evaluation.retrieval import nearest
from adaptrans.evaluation.submission import write_labels, write_predictions
from adaptrans.files import written_whole
from adaptrans.progress import progress
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.specs import is_retrieval

if TYPE_CHECKING:
    from adaptrans.evaluation.session import Session

NO_GOLD = "no gold labels: predictions only"
CONSTANT_GOLD = "all gold labels are equal: the labels of this file were probably blanked"


def evaluate(spec: EvaluateSpec) -> dict[str, LanguageResult]:
    """Score a setup in every wanted language; languages that are done are not computed again.

    Each language's predictions are streamed to `predictions/<language>.jsonl`,
    written in XTREME's layout to `submission/`, and scored. A kill loses at most
    the language at hand.

    Returns:
        Results by language, in the order of the task's languages.

    Raises:
        MissingDataError: If the split has no data.
        ArtefactError: If the trained artefact does not fit the backbone.
    """
    keys = {
        language: spec.workspace.data_key(spec.task, spec.config.split, language)
        for language in spec.wanted_languages
    }
    missing = [language for language, key in keys.items() if not _is_done(spec, language, key)]
    if missing or not spec.run.is_done:
        with spec.workspace.store.working_on(spec.run, spec.record):
            _evaluate_languages(spec, {language: keys[language] for language in missing})
            spec.run.finish(facts(spec))
            spec.run.sweep()
    results = {language: load_language(spec.run, language) for language in keys}
    return {language: result for language, result in results.items() if result is not None}


def is_done(spec: EvaluateSpec) -> bool:
    """Whether every wanted language of an evaluation is there, on the data as it is now."""
    return spec.run.is_done and all(
        _is_done(spec, language, spec.workspace.data_key(spec.task, spec.config.split, language))
        for language in spec.wanted_languages
    )


def _is_done(spec: EvaluateSpec, language: str, data_key: str) -> bool:
    result = load_language(spec.run, language)
    return result is not None and result.data == data_key


def _evaluate_languages(spec: EvaluateSpec, keys: dict[str, str]) -> None:
    if not keys:
        return
    from adaptrans.evaluation.session import open_session

    if not spec.shots:
        _evaluate_with(open_session(spec), spec, keys)
        return
    for language, data_key in keys.items():
        # Every language has a model of its own; what it finds out is kept in the run of all of them.
        session = open_session(replace(spec, trained=spec.shots[language].run, shots={}))
        _evaluate_with(replace(session, spec=spec), spec, {language: data_key})


def _evaluate_with(session: Session, spec: EvaluateSpec, keys: dict[str, str]) -> None:
    """Score what one loaded model answers in some languages."""
    _refuse_mixed_precision(spec, session.precision)
    spec.run.log_environment(session.environment)
    tuned = dev_threshold(spec, session)
    layer = _layer(spec, session)
    for language, data_key in keys.items():
        notes: list[str] = []
        examples = spec.workspace.examples(spec.task, spec.config.split, language, spec.config.limit, notes)
        if not examples:
            raise MissingDataError(
                f"{spec.task.name} {spec.config.split} has no examples in {language}",
                remedy="check the data folder",
            )
        with progress(f"{spec.task.name} {language} ({spec.answering})", len(examples)) as meter:
            outcome = session.answer(language, data_key, examples, meter.to, layer)
            if tuned is not None:
                outcome = with_threshold(outcome, tuned[0].value)
            written = _Written(spec, language)
            written.lines(examples, outcome.golds, outcome.predictions)
        predictions = list(written.read())
        if spec.config.split == "test":
            _submit(spec, language, examples, predictions, outcome.golds)
        unseen = _unseen(spec, language, examples)
        golds, answers = [outcome.golds[i] for i in unseen], [predictions[i] for i in unseen]
        counted = score(spec.task.scores, golds, answers, language)
        told = [] if tuned is None else [f"no answer above {tuned[0].value:.3f}, tuned on dev [{tuned[1]}]"]
        scored = replace(
            counted,
            notes=(*counted.notes, *told, *outcome.notes, *notes),
            layers=outcome.layers,
            whole=not notes and len(unseen) == len(examples),
            chance=chance(spec.task, examples, outcome.golds),
        )
        result = language_result(spec, language, scored, data_key, session.precision)
        save_language(spec.run, result, scored)


def _layer(spec: EvaluateSpec, session: Session) -> int | None:
    """The layer that is compared, chosen now where the spec leaves it open; None without retrieval."""
    select = spec.config.select
    if not is_retrieval(spec.task) or select is None:
        return spec.layer if is_retrieval(spec.task) else None

    def neighbours() -> np.ndarray:
        language, split = select.language, spec.config.split
        examples = spec.workspace.examples(spec.task, split, language, spec.config.limit, [])
        data_key = spec.workspace.data_key(spec.task, split, language)
        with progress(f"choosing a layer on {language} ({spec.answering})", len(examples)) as meter:
            return session.answer(language, data_key, examples, meter.to, 0).neighbours

    return layers.chosen_layer(spec.run, select, neighbours)


def _unseen(spec: EvaluateSpec, language: str, examples: Sequence[Any]) -> Sequence[int]:
    """Places of the examples that are scored: all that had no part in training or in choosing a layer."""
    shot = spec.shots.get(language)
    if shot is not None and shot.split == spec.config.split:
        drawn = set(shot.run.result()["example_ids"])
        return [place for place, example in enumerate(examples) if example.id not in drawn]
    return _not_choosing(spec, language, len(examples))


def _not_choosing(spec: EvaluateSpec, language: str, number: int) -> range:
    """Places of a language's sentences that are scored: all that had no part in choosing the layer."""
    select = spec.config.select
    if select is None or not is_retrieval(spec.task) or select.language != language:
        return range(number)
    return select.scored(number)


def _refuse_mixed_precision(spec: EvaluateSpec, precision: str) -> None:
    """Languages of one evaluation are scored at one precision, also when devices change."""
    for result in load_results(spec.run).values():
        if result.precision != precision:
            raise ArtefactError(
                f"{spec.run.name} was begun in {result.precision}, here it would go on in {precision}",
                remedy=f"say --precision {result.precision}, or delete {spec.run.path}",
            )


def facts(spec: EvaluateSpec) -> dict[str, Any]:
    """What a comparison has to know of an evaluation without its task file."""
    before = [spec.trained] if spec.trained else list(spec.parents.values())
    trained = [run.result() for run in [shot.run for shot in spec.shots.values()] or before]
    notes = dict.fromkeys(note for result in trained for note in result["notes"])
    if not spec.regime.zero_shot:
        notes[f"rows {spec.regime.label} are {spec.regime.words}"] = None
    own = spec.task.split(spec.config.split).note
    if own:
        notes[f"{spec.task.name} {spec.config.split}: {own}"] = None
    if spec.config.limit is not None:
        notes[f"{spec.task.name}: scored on {spec.config.limit} examples of each language only"] = None
    if is_retrieval(spec.task):
        which = f"vectors: hidden_states[{spec.layer}]" if spec.layer is not None else layers.note(spec.run)
        notes[f"{which}, {spec.config.pooling} pooling"] = None
    return {
        "target": str(spec.task),
        "score": spec.task.scores[0],
        "parallel": spec.task.parallel,
        "task_languages": list(spec.task.languages),
        "source_languages": sorted({code for result in trained for code in result["source_languages"]}),
        "regime": asdict(spec.regime),
        "notes": list(notes),
    }


@dataclass(frozen=True)
class Outcome:
    """Answers of a setup to the examples of one language, in order.

    Args:
        golds: Gold values, None where the data has none.
        predictions: Predictions, made while they are read.
        neighbours: For retrieval, the nearest row of each sentence, shape (layers + 1, sentences).
        notes: What the reader of the score has to know.
    """

    golds: Sequence[Any]
    predictions: Iterator[Any]
    neighbours: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[float, ...]:
        """For retrieval, the accuracy x 100 at every layer."""
        right = np.arange(self.neighbours.shape[1])
        return tuple(float(100 * (found == right).mean()) for found in self.neighbours)


@dataclass(frozen=True)
class _Written:
    """The predictions file of one language."""

    spec: EvaluateSpec
    language: str

    @property
    def path(self) -> Path:
        return self.spec.run.path / "predictions" / f"{self.language}.jsonl"

    def lines(self, examples: Sequence[Any], golds: Sequence[Any], predictions: Iterator[Any]) -> None:
        with written_whole(self.path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for example, gold, prediction in zip(examples, golds, predictions, strict=True):
                row = {"id": example.id, "gold": gold, "prediction": prediction}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def read(self) -> Iterator[Any]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["prediction"]


def _submit(
    spec: EvaluateSpec,
    language: str,
    examples: Sequence[Any],
    predictions: Sequence[Any],
    golds: Sequence[Any],
) -> None:
    """Write the predictions, and the gold labels where there are any, in XTREME's layout."""
    name, kind, collect = spec.task.name, spec.task.kind, LAYOUTS[spec.task.kind].collect
    folder = spec.run.path
    write_predictions(folder / "submission", name, kind, language, collect(examples, predictions))
    if not any(gold is None or gold == [] for gold in golds):
        write_labels(folder / "labels", name, kind, language, collect(examples, golds))


def score(
    names: Sequence[str], golds: Sequence[Any], predictions: Sequence[Any], language: str | None = None
) -> Scored:
    """Counts of every score, or a note where there is no gold to count with."""
    if any(gold is None or gold == [] for gold in golds):
        return Scored({}, (NO_GOLD,))
    # Blanked test files repeat one label; a real set of this size does not.
    constant = len(golds) > 10 and all(gold == golds[0] for gold in golds)
    notes = (CONSTANT_GOLD,) if constant else ()
    return Scored({name: SCORES[name].counts(golds, predictions, language) for name in names}, notes)


def retrieval_outcome(vectors: np.ndarray, layer: int) -> Outcome:
    """Nearest neighbours at one layer, and the accuracy at every layer.

    Args:
        vectors: Shape (layers + 1, 2 x sentences, width): each sentence in the
            language, followed by its English translation.
        layer: The layer whose neighbours are the predictions.
    """
    found = np.stack([nearest(states[0::2], states[1::2]) for states in vectors])
    return Outcome(range(found.shape[1]), iter(found[layer].tolist()), found)
