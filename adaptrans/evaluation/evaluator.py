"""Evaluate setups on a target: inference, then prediction files, then counts, then results.

One process, one load of the model for all languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from adaptrans.errors import ArtifactError
from adaptrans.evaluation.inference import (
    LanguagePredictions,
    Session,
    answer_languages,
    open_session,
    open_sessions,
)
from adaptrans.evaluation.metrics.question_answering import best_no_answer_threshold, shifted
from adaptrans.evaluation.metrics.score import Threshold
from adaptrans.evaluation.results import (
    LanguageResult,
    PredictionFile,
    Row,
    chosen,
    chosen_layer,
    direction,
    direction_note,
    language_result,
    layer_note,
    load_language,
    load_results,
    save_language,
    scored,
)
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.setup.validation import UNQUANTIZED
from adaptrans.runs.evaluation import EvaluateSpec, side_by_side
from adaptrans.runs.train import compares_vectors, is_retrieval
from adaptrans.tasks.loading import available_languages
from adaptrans.tasks.tag_schemes import label_notes
from adaptrans.utils import distributed
from adaptrans.utils.progress import progress


def dev_threshold(spec: EvaluateSpec, session: Session) -> tuple[Threshold, str] | None:
    """The threshold that is best on the task's dev set, and the language it was tuned in.

    English, or the first language whose dev set is at hand: never a test language's own labels alone.
    None for a task whose questions all have answers, for the dev set itself, and without a dev set.
    """
    task = spec.task
    if not task.unanswerable or spec.config.split == "dev" or "dev" not in task.splits:
        return None
    languages = available_languages(task, "dev", spec.workspace.data)
    if not languages:
        return None
    language = "en" if "en" in languages else languages[0]
    examples = spec.workspace.examples(task, "dev", language, spec.config.limit, [])
    key = spec.workspace.data_key(task, "dev", language)
    outcome = session.answer(language, f"dev:{key}", examples, lambda done: None)
    predictions = [answer.prediction for answer in outcome.answers]
    return best_no_answer_threshold(outcome.golds, predictions), language


def evaluate(spec: EvaluateSpec) -> dict[str, LanguageResult]:
    """Score a setup in every wanted language; languages that are done are not computed again.

    Each language's predictions are streamed to `predictions/<language>.jsonl`,
    written in XTREME's layout to `submission/`, and scored. Inputs of all languages are
    computed together, some thousands at a time: a kill loses at most those and the language at hand.

    Returns:
        Results by language, in the order of the task's languages.

    Raises:
        MissingDataError: If the split has no data.
        ArtifactError: If the trained artifact does not fit the backbone.
    """
    return evaluate_all([spec])[0]


def evaluate_all(specs: Sequence[EvaluateSpec]) -> list[dict[str, LanguageResult]]:
    """The same of several setups; what they share is computed once, and the results are the same.

    Adapter setups on the same data answer the same batches side by side, on one copy of the backbone.
    """
    # Of several processes that work together the first one answers, and the others find what it wrote.
    with distributed.main_process_first():
        loaded: list[Session] = []
        for group in side_by_side(specs):
            same = [spec.unperturbed for spec in group] == [session.spec.unperturbed for session in loaded]
            loaded = _evaluate_group(group, group[0].missing, loaded if same else [])
    found = [{code: load_language(spec.run, code) for code in spec.wanted_languages} for spec in specs]
    return [{code: result for code, result in results.items() if result is not None} for results in found]


def _evaluate_group(
    specs: Sequence[EvaluateSpec], keys: dict[str, str], loaded: list[Session]
) -> list[Session]:
    """Answer and score what is missing, and close the runs.

    Args:
        specs: Setups that answer the same.
        keys: Fingerprint of the data of each language.
        loaded: Their models, where another perturbation was answered just before; else empty.

    Returns:
        Their models, where they have one for all languages.
    """
    with ExitStack() as locks:
        for spec in specs:
            locks.enter_context(spec.workspace.store.working_on(spec.run, spec.record))
        if keys:
            loaded = _evaluate_languages(specs, keys, loaded)
        for spec in specs:
            spec.run.finish(facts(spec))
            spec.run.sweep()
    return loaded


def _evaluate_languages(
    specs: Sequence[EvaluateSpec], keys: dict[str, str], loaded: list[Session]
) -> list[Session]:
    if not specs[0].shots:
        sessions = [
            replace(session, spec=spec)
            for session, spec in zip(loaded or open_sessions(specs), specs, strict=True)
        ]
        _evaluate_with(specs, sessions, keys)
        return sessions
    spec = specs[0]
    for language, data_key in keys.items():
        # Every language has a model of its own; what it finds out is kept in the run of all of them.
        session = open_session(replace(spec, trained=spec.shots[language].run, shots={}))
        _evaluate_with([spec], [replace(session, spec=spec)], {language: data_key})
    return []


def _evaluate_with(specs: Sequence[EvaluateSpec], sessions: Sequence[Session], keys: dict[str, str]) -> None:
    """Score what loaded models answer in some languages."""
    for spec, session in zip(specs, sessions, strict=True):
        _refuse_mixed_precision(spec, session.precision)
        spec.run.log_environment(session.environment)
    tuned = [dev_threshold(*pair) for pair in zip(specs, sessions, strict=True)]
    for answered in answer_languages(sessions, keys, _layer(specs[0], sessions[0])):
        number = _write(specs, answered, [found and found[0].value for found in tuned])
        for spec, session, found in zip(specs, sessions, tuned, strict=True):
            file = PredictionFile(spec.run, answered.language, spec.task.type.mines)
            counts = scored(spec, file, answered.examples, number)
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


def _write(
    specs: Sequence[EvaluateSpec], answered: LanguagePredictions, thresholds: Sequence[float | None]
) -> int:
    """Write what the setups answer while they answer; returns the number of examples."""
    number = 0
    with ExitStack() as files:
        adds = [files.enter_context(PredictionFile(spec.run, answered.language).writing()) for spec in specs]
        for id, gold, answers in answered.rows:
            for spec, add, threshold, answered_to in zip(specs, adds, thresholds, answers, strict=True):
                changed = spec.perturbation
                reference, answer = (
                    changed.restored(id, gold, answered_to) if changed else (gold, answered_to)
                )
                own = answer.prediction
                given = own if threshold is None else shifted(own, threshold)
                add(Row(id, reference, given, answer.log_probabilities))
            number += 1
    return number


def _layer(spec: EvaluateSpec, session: Session) -> int | None:
    """The layer that is compared, chosen now where the spec leaves it open; None without retrieval."""
    select = spec.config.select
    if not is_retrieval(spec.task) or select is None:
        return spec.layer if is_retrieval(spec.task) else None

    def neighbors() -> np.ndarray:
        language, split = select.language, spec.config.split
        examples = spec.workspace.examples(spec.task, split, language, spec.config.limit, [])
        data_key = spec.workspace.data_key(spec.task, split, language)
        with progress(f"choosing a layer on {language} ({spec.answering})", len(examples)) as meter:
            return session.answer(language, data_key, examples, meter.to, 0).neighbors

    return chosen_layer(spec.run, select, neighbors)


def _refuse_mixed_precision(spec: EvaluateSpec, precision: str) -> None:
    """Languages of one evaluation are scored at one precision, also when devices change."""
    for result in load_results(spec.run).values():
        if result.precision != precision:
            raise ArtifactError(
                f"{spec.run.name} was begun in {result.precision}, here it would go on in {precision}",
                remedy=f"say --precision {result.precision}, or delete {spec.run.path}",
            )


def facts(spec: EvaluateSpec) -> dict[str, Any]:
    """What a comparison has to know of an evaluation without its task file."""
    before = [spec.trained] if spec.trained else list(spec.parents.values())
    trained = [run.result() for run in [shot.run for shot in spec.shots.values()] or before]
    notes = dict.fromkeys(note for result in trained for note in result["notes"])
    if not spec.transfer.zero_shot:
        notes[f"rows {spec.transfer.label} are {spec.transfer.words}"] = None
    own = spec.task.split(spec.config.split).note
    if own:
        notes[f"{spec.task.name} {spec.config.split}: {own}"] = None
    if spec.perturbation is not None:
        notes[f"{spec.perturbation}: {spec.perturbation.TITLE}"] = None
    if spec.config.limit is not None:
        notes[f"{spec.task.name}: scored on {spec.config.limit} examples of each language at most"] = None
    for note in label_notes(spec.task.scores, spec.task.labels):
        notes[f"{spec.task.name}: {note}"] = None
    if spec.task.formulation is not None:
        notes.update(dict.fromkeys(spec.task.formulation.notes_on(spec.wanted_languages)))
    base = _base_note(spec)
    if base is not None:
        notes[base] = None
    if is_retrieval(spec.task):
        which = f"vectors: hidden_states[{spec.layer}]" if spec.layer is not None else layer_note(spec.run)
        notes[f"{which}, {spec.config.pooling} pooling"] = None
    if compares_vectors(spec.task):
        notes[direction_note(spec.task.kind, spec.prefixes)] = None
    return {
        "target": str(spec.task),
        "score": spec.task.scores[0],
        "parallel": spec.task.parallel,
        "task_languages": list(spec.task.languages),
        "source_languages": sorted({code for result in trained for code in result["source_languages"]}),
        "regime": asdict(spec.transfer),
        "vectors": _vectors(spec),
        "notes": list(notes),
    }


def _vectors(spec: EvaluateSpec) -> dict[str, Any]:
    """Which vectors were compared and how; empty where none were."""
    if not compares_vectors(spec.task):
        return {}
    found: dict[str, Any] = direction(spec.task.kind, spec.prefixes.key)
    if is_retrieval(spec.task):
        layer = chosen(spec.run, spec.layer)
        found |= {"layer": layer, "chosen": spec.layer is None, "pooling": spec.config.pooling}
    return found


def _base_note(spec: EvaluateSpec) -> str | None:
    """Around which base a setup answers, where that is not the one that it was trained around."""
    own = [shot.run for shot in spec.shots.values()] or ([spec.trained] if spec.trained else [])
    # What a trained setup was trained around it answers around, unless another base is asked for.
    how = spec.config.quantize or (None if own else UNQUANTIZED)
    trained = {read_manifest(run.artifact).quantize for run in own or spec.parents.values()} or {UNQUANTIZED}
    if how is None or trained == {how}:
        return None
    return f"answered around a base {'as it is in its file' if how == UNQUANTIZED else f'in {how}'}"
