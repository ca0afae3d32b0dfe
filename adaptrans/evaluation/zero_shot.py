"""Evaluate one setup on one target in every language: one process, one load of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adaptrans import processes
from adaptrans.errors import ArtefactError
from adaptrans.evaluation import layers
from adaptrans.evaluation.counting import scored
from adaptrans.evaluation.metrics.squad2 import shifted
from adaptrans.evaluation.no_answer import dev_threshold
from adaptrans.evaluation.results import (
    LanguageResult,
    language_result,
    load_language,
    load_results,
    save_language,
)
from adaptrans.evaluation.retrieval import nearest
from adaptrans.evaluation.written import Row, Written
from adaptrans.models.bits import FLOAT
from adaptrans.models.manifest import read_manifest
from adaptrans.models.setup import has_fusion, has_language, is_full
from adaptrans.progress import progress
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.specs import compares_vectors, is_retrieval
from adaptrans.tasks.tag_schemes import label_notes

if TYPE_CHECKING:
    from adaptrans.evaluation.answering import Language
    from adaptrans.evaluation.session import Session


def evaluate(spec: EvaluateSpec) -> dict[str, LanguageResult]:
    """Score a setup in every wanted language; languages that are done are not computed again.

    Each language's predictions are streamed to `predictions/<language>.jsonl`,
    written in XTREME's layout to `submission/`, and scored. Inputs of all languages are
    computed together, some thousands at a time: a kill loses at most those and the language at hand.

    Returns:
        Results by language, in the order of the task's languages.

    Raises:
        MissingDataError: If the split has no data.
        ArtefactError: If the trained artefact does not fit the backbone.
    """
    return evaluate_all([spec])[0]


def evaluate_all(specs: Sequence[EvaluateSpec]) -> list[dict[str, LanguageResult]]:
    """The same of several setups; what they share is computed once, and the results are the same.

    Adapter setups on the same data answer the same batches side by side, on one copy of the backbone.
    """
    # Of several processes that work together the first one answers, and the others find what it wrote.
    with processes.main_first():
        for group in side_by_side(specs):
            _evaluate_group(group, _missing(group[0]))
    found = [{code: load_language(spec.run, code) for code in spec.wanted_languages} for spec in specs]
    return [{code: result for code, result in results.items() if result is not None} for results in found]


def side_by_side(specs: Sequence[EvaluateSpec]) -> list[list[EvaluateSpec]]:
    """What is to do of some evaluations, each run once; those of a group are computed together."""
    groups: list[list[EvaluateSpec]] = []
    met: set[Path] = set()
    for spec in specs:
        if spec.run.path in met or is_done(spec):
            continue
        met.add(spec.run.path)
        group = next((group for group in groups if _fit(group[0], spec)), None)
        if group is None:
            groups.append([spec])
        else:
            group.append(spec)
    return groups


def _fit(one: EvaluateSpec, other: EvaluateSpec) -> bool:
    """Whether two setups answer the same inputs, around the same frozen backbone."""
    alone = any(
        spec.shots or is_full(spec.setup) or has_language(spec.setup) or has_fusion(spec.setup)
        for spec in (one, other)
    )
    return (
        not alone
        and not compares_vectors(one.task)
        and (one.task, one.config) == (other.task, other.config)
        and one.workspace.backbone.fingerprint == other.workspace.backbone.fingerprint
        and (one.workspace.data, one.workspace.device) == (other.workspace.data, other.workspace.device)
        and _missing(one) == _missing(other)
    )


def _missing(spec: EvaluateSpec) -> dict[str, str]:
    """Fingerprints of the data of the wanted languages that are not done."""
    split = spec.config.split
    keys = {code: spec.workspace.data_key(spec.task, split, code) for code in spec.wanted_languages}
    return {code: key for code, key in keys.items() if not _is_done(spec, code, key)}


def _evaluate_group(specs: Sequence[EvaluateSpec], keys: dict[str, str]) -> None:
    """Answer and score what is missing, and close the runs."""
    with ExitStack() as locks:
        for spec in specs:
            locks.enter_context(spec.workspace.store.working_on(spec.run, spec.record))
        if keys:
            _evaluate_languages(specs, keys)
        for spec in specs:
            spec.run.finish(facts(spec))
            spec.run.sweep()


def is_done(spec: EvaluateSpec) -> bool:
    """Whether every wanted language of an evaluation is there, on the data as it is now."""
    return spec.run.is_done and all(
        _is_done(spec, language, spec.workspace.data_key(spec.task, spec.config.split, language))
        for language in spec.wanted_languages
    )


def _is_done(spec: EvaluateSpec, language: str, data_key: str) -> bool:
    result = load_language(spec.run, language)
    return result is not None and result.data == data_key


def _evaluate_languages(specs: Sequence[EvaluateSpec], keys: dict[str, str]) -> None:
    from adaptrans.evaluation.session import open_session, open_sessions

    if not specs[0].shots:
        _evaluate_with(specs, open_sessions(specs), keys)
        return
    spec = specs[0]
    for language, data_key in keys.items():
        # Every language has a model of its own; what it finds out is kept in the run of all of them.
        session = open_session(replace(spec, trained=spec.shots[language].run, shots={}))
        _evaluate_with([spec], [replace(session, spec=spec)], {language: data_key})


def _evaluate_with(specs: Sequence[EvaluateSpec], sessions: Sequence[Session], keys: dict[str, str]) -> None:
    """Score what loaded models answer in some languages."""
    from adaptrans.evaluation import answering

    for spec, session in zip(specs, sessions, strict=True):
        _refuse_mixed_precision(spec, session.precision)
        spec.run.log_environment(session.environment)
    tuned = [dev_threshold(*pair) for pair in zip(specs, sessions, strict=True)]
    for answered in answering.languages(sessions, keys, _layer(specs[0], sessions[0])):
        number = _write(specs, answered, [found and found[0].value for found in tuned])
        for spec, session, found in zip(specs, sessions, tuned, strict=True):
            written = Written(spec.run, answered.language, spec.task.kind == "bitext_mining")
            counts = scored(spec, written, answered.examples, number)
            told = [f"no answer above {found[0].value:.3f}, tuned on dev [{found[1]}]"] if found else []
            counts = replace(
                counts,
                notes=(*counts.notes, *told, *answered.told, *answered.notes),
                layers=answered.layers,
                half=answered.half,
                whole=counts.whole and not answered.notes,
            )
            data_key = keys[answered.language]
            result = language_result(spec, answered.language, counts, data_key, session.precision)
            save_language(spec.run, result, counts)


def _write(specs: Sequence[EvaluateSpec], answered: Language, thresholds: Sequence[float | None]) -> int:
    """Write what the setups answer while they answer; returns the number of examples."""
    number = 0
    with ExitStack() as files:
        adds = [files.enter_context(Written(spec.run, answered.language).writing()) for spec in specs]
        for id, gold, predictions in answered.rows:
            for add, threshold, prediction in zip(adds, thresholds, predictions, strict=True):
                add(Row(id, gold, prediction if threshold is None else shifted(prediction, threshold)))
            number += 1
    return number


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
        notes[f"{spec.task.name}: scored on {spec.config.limit} examples of each language at most"] = None
    for note in label_notes(spec.task.scores, spec.task.labels):
        notes[f"{spec.task.name}: {note}"] = None
    base = _base_note(spec)
    if base is not None:
        notes[base] = None
    if is_retrieval(spec.task):
        which = f"vectors: hidden_states[{spec.layer}]" if spec.layer is not None else layers.note(spec.run)
        notes[f"{which}, {spec.config.pooling} pooling"] = None
    if compares_vectors(spec.task):
        notes[layers.direction_note(spec.task.kind)] = None
    return {
        "target": str(spec.task),
        "score": spec.task.scores[0],
        "parallel": spec.task.parallel,
        "task_languages": list(spec.task.languages),
        "source_languages": sorted({code for result in trained for code in result["source_languages"]}),
        "regime": asdict(spec.regime),
        "vectors": _vectors(spec),
        "notes": list(notes),
    }


def _vectors(spec: EvaluateSpec) -> dict[str, Any]:
    """Which vectors were compared and how; empty where none were."""
    if not compares_vectors(spec.task):
        return {}
    found: dict[str, Any] = layers.direction(spec.task.kind)
    if is_retrieval(spec.task):
        layer = layers.chosen(spec.run, spec.layer)
        found |= {"layer": layer, "chosen": spec.layer is None, "pooling": spec.config.pooling}
    return found


def _base_note(spec: EvaluateSpec) -> str | None:
    """Around which base a setup answers, where that is not the one that it was trained around."""
    own = [shot.run for shot in spec.shots.values()] or ([spec.trained] if spec.trained else [])
    # What a trained setup was trained around it answers around, unless another base is asked for.
    how = spec.config.quantise or (None if own else FLOAT)
    trained = {read_manifest(run.artefact).quantise for run in own or spec.parents.values()} or {FLOAT}
    if how is None or trained == {how}:
        return None
    return f"answered around a base {'as it is in its file' if how == FLOAT else f'in {how}'}"


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

    @property
    def half(self) -> tuple[float, ...]:
        """The same on the first half of the sentences, among all; empty where there is one sentence."""
        number = self.neighbours.shape[1]
        return tuple(layers.on_half(self.neighbours, range(number // 2))) if number > 1 else ()


def retrieval_outcome(vectors: np.ndarray, layer: int) -> Outcome:
    """Nearest neighbours at one layer, and the accuracy at every layer.

    Args:
        vectors: Shape (layers + 1, 2 x sentences, width): each sentence in the
            language, followed by its English translation.
        layer: The layer whose neighbours are the predictions.
    """
    found = np.stack([nearest(states[0::2], states[1::2]) for states in vectors])
    return Outcome(range(found.shape[1]), iter(found[layer].tolist()), found)
