"""Passages ranked for queries by a trained dual encoder; the pool is streamed, its vectors lie on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adaptrans.data.encoding import rows
from adaptrans.errors import MissingDataError
from adaptrans.evaluation.dense_retrieval import exact_neighbors
from adaptrans.evaluation.metrics.retrieval import DEPTH
from adaptrans.evaluation.results import Outcome
from adaptrans.task_types.base import Answer
from adaptrans.tasks import loading
from adaptrans.utils.io import atomic_write, digest
from adaptrans.utils.progress import progress

if TYPE_CHECKING:
    from adaptrans.evaluation.inference import Session


POOL = "candidates"
"""Split of a task that holds what is ranked."""

CHUNK = 4_096
"""Passages, or queries, that are encoded together."""

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Pool:
    """Candidates on disk.

    Attributes:
        vectors: Unit vectors, memory-mapped, shape (candidates, width).
        ids: Their ids.
        by_key: Ids of the candidates that have a key.
        notes: Languages that are missing.
    """

    vectors: np.ndarray
    ids: list[str]
    by_key: dict[str, list[str]]
    notes: tuple[str, ...]


def answer(
    session: Session, language: str, data_key: str, examples: Sequence[Any], tick: Tick, layer: int | None
) -> Outcome:
    """The ids of the best candidates of every query, and those that are right.

    Args:
        session: A trained dual encoder.
        language: Language of the queries.
        data_key: Fingerprint of their data.
        examples: The queries.
        tick: Called with the number of queries done.
        layer: Not used: the head makes the vectors.

    Raises:
        MissingDataError: If there are no candidates.
    """
    del layer
    pool = open_pool(session)
    features = session.encoded(examples, f"{language}:{data_key}", session.spec.workspace.store.cache)
    spoken = session.switch_language(language)
    predictor = session.predictor()
    found: list[list[str]] = []
    for start in range(0, len(features), CHUNK):
        part = rows(features, range(start, min(start + CHUNK, len(features))))
        best = exact_neighbors(np.stack(predictor.outputs(part)), pool.vectors, DEPTH).rows
        found += [[pool.ids[row] for row in ranked] for ranked in best.tolist()]
        tick(start + len(part))
    golds = [[id for key in example.keys for id in pool.by_key.get(key, ())] for example in examples]
    note = f"{len(pool.ids):,} candidates"
    return Outcome(golds, map(Answer, found), notes=(note, *spoken, *pool.notes))


def open_pool(session: Session) -> Pool:
    """The candidates of a task under a trained model, encoded now unless they are in the cache."""
    spec = session.spec
    languages = spec.workspace.languages_with(spec.task, POOL)
    keys = {code: spec.workspace.data_key(spec.task, POOL, code) for code in languages}
    if not keys:
        raise MissingDataError(f"{spec.task.name} has no candidates", remedy="check the data folder")
    length = spec.max_length
    trained = spec.trained.key if spec.trained else None
    made_of = [trained, keys, length, session.precision]
    if spec.setup.has_language:
        made_of += [spec.policy, {code: run.key for code, run in spec.language_runs.items() if code in keys}]
    folder = spec.workspace.store.cache / "pools" / digest(made_of, length=24)
    if not folder.is_dir():
        with atomic_write(folder) as temporary:
            temporary.mkdir(parents=True)
            _write(session, languages, length, temporary)
    ids: list[str] = []
    by_key: dict[str, list[str]] = {}
    with (folder / "candidates.jsonl").open(encoding="utf-8") as file:
        for line in file:
            id, own = json.loads(line)
            ids.append(id)
            for key in own:
                by_key.setdefault(key, []).append(id)
    vectors = np.memmap(folder / "vectors.f32", dtype=np.float32, mode="r").reshape(len(ids), -1)
    missing = [code for code in spec.task.languages_of(POOL) if code not in keys]
    notes = (f"no candidates in {', '.join(missing)}, for which there are no data",) if missing else ()
    return Pool(vectors, ids, by_key, notes)


def _write(session: Session, languages: Sequence[str], length: int, folder: Path) -> None:
    """Encode all candidates, a chunk at a time."""
    spec, kind, predictor = session.spec, session.kind, session.predictor()
    split = spec.task.split(POOL)
    # Reading them once more takes far less than encoding them, and tells how much there is to do.
    total = sum(
        split.count(code)
        or sum(1 for _ in loading.stream_examples(spec.task, POOL, code, spec.workspace.data))
        for code in languages
    )
    with (
        (folder / "vectors.f32").open("wb") as vectors,
        (folder / "candidates.jsonl").open("w", encoding="utf-8") as names,
        progress(f"{spec.task.name} candidates", total) as meter,
    ):
        for code in languages:
            session.switch_language(code)
            for chunk in _chunks(loading.stream_examples(spec.task, POOL, code, spec.workspace.data)):
                texts = list(session.as_read(chunk))
                features = kind.encode(texts, session.tokenizer, spec.task, length, False)
                vectors.write(np.stack(predictor.outputs(features)).astype(np.float32).tobytes())
                names.writelines(
                    json.dumps([example.id, list(example.keys)], ensure_ascii=False) + "\n"
                    for example in chunk
                )
                meter.advance(len(chunk))


def _chunks(examples: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(examples, CHUNK)):
        yield chunk
