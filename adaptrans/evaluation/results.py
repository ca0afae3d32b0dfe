"""Predictions, counts, scores and the chosen layer of an evaluation, as they lie in its run. Torch-free."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from adaptrans.evaluation.dense_retrieval import nearest
from adaptrans.evaluation.metrics import SCORES, chance
from adaptrans.evaluation.xtreme_format import collected, write_predictions
from adaptrans.runs.evaluation import EvaluateSpec
from adaptrans.runs.store import Run
from adaptrans.runs.train import is_retrieval
from adaptrans.runs.training_args import Select
from adaptrans.stats.edges import Sample
from adaptrans.stats.intervals import ends_of, interval
from adaptrans.task_types.base import TASK_TYPES, Answer
from adaptrans.task_types.rows import Prefixes
from adaptrans.utils.formats import INTERVALS
from adaptrans.utils.io import atomic_write, read_json, write_json


@dataclass(frozen=True)
class Outcome:
    """Answers of a setup to the examples of one language, in order.

    Args:
        golds: References, None where the data has none.
        answers: Answers, made while they are read.
        neighbors: For retrieval, the nearest row of each sentence, shape (layers + 1, sentences).
        notes: What the reader of the score has to know.
    """

    golds: Sequence[Any]
    answers: Iterator[Answer]
    neighbors: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[float, ...]:
        """For retrieval, the accuracy x 100 at every layer."""
        right = np.arange(self.neighbors.shape[1])
        return tuple(float(100 * (found == right).mean()) for found in self.neighbors)

    @property
    def half(self) -> tuple[float, ...]:
        """The same on the first half of the sentences, among all; empty where there is one sentence."""
        number = self.neighbors.shape[1]
        return tuple(on_half(self.neighbors, range(number // 2))) if number > 1 else ()


def retrieval_outcome(vectors: np.ndarray, layer: int) -> Outcome:
    """Nearest neighbors at one layer, and the accuracy at every layer.

    Args:
        vectors: Shape (layers + 1, 2 x sentences, width): each sentence in the
            language, followed by its English translation.
        layer: The layer whose neighbors are the predictions.
    """
    found = np.stack([nearest(states[0::2], states[1::2]) for states in vectors])
    return Outcome(range(found.shape[1]), map(Answer, found[layer].tolist()), found)


CHUNK = 4_096
"""Rows that are in memory at once."""

DIGITS = 6
"""Of a log-probability after the point, in a predictions file."""


@dataclass(frozen=True)
class Row:
    """One example as it was answered.

    Args:
        log_probabilities: Of each label or choice; None where there are none to choose from, and in files of
            evaluations that were made before these were kept.
    """

    id: str
    gold: Any
    prediction: Any
    log_probabilities: Sequence[float] | None = None


@dataclass(frozen=True)
class PredictionFile:
    """The predictions file of one language of a run.

    Args:
        sets: Whether references are sets, which may be empty: they come back as tuples, and an empty list
            stands for no reference.
    """

    run: Run
    language: str
    sets: bool = False

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.run.path / "predictions" / f"{self.language}.jsonl"

    @contextmanager
    def writing(self) -> Iterator[Callable[[Row], None]]:
        """Gives what adds a row; a file that was there stays until the block has come to its end."""
        with atomic_write(self.path) as temporary, temporary.open("w", encoding="utf-8") as file:

            def add(row: Row) -> None:
                values = {"id": row.id, "gold": row.gold, "prediction": row.prediction}
                if row.log_probabilities is not None:
                    values["log_probabilities"] = [round(value, DIGITS) for value in row.log_probabilities]
                file.write(json.dumps(values, ensure_ascii=False) + "\n")

            yield add

    def read(self) -> Iterator[Row]:
        """All rows, one after the other."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                values = json.loads(line)
                # Labels and tags are few, and would be as many strings as there are lines.
                gold = _one_copy(values["gold"])
                gold = tuple(gold) if self.sets and gold is not None else gold
                chances = values.get("log_probabilities")
                yield Row(values["id"], gold, _one_copy(values["prediction"]), chances)

    def chunks(self) -> Iterator[list[Row]]:
        """All rows, some at a time."""
        rest = self.read()
        while chunk := list(islice(rest, CHUNK)):
            yield chunk

    def golds(self) -> Golds:
        """The references alone."""
        return Golds(self)


@dataclass(frozen=True)
class Golds:
    """The references of a predictions file, read anew each time they are gone through."""

    file: PredictionFile

    def __iter__(self) -> Iterator[Any]:
        return (row.gold for row in self.file.read())


def _one_copy(value: Any) -> Any:
    if isinstance(value, str):
        return sys.intern(value) if len(value) < 64 else value
    return [_one_copy(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class LanguageResult:
    """What a setup scored in one language.

    Args:
        n: Examples scored; 0 where the data has no gold.
        values: Values x 100 by `<score>` or `<score>.<part>`, the primary one first.
        low: Lower end of the primary value's 95 % bootstrap interval.
        high: Upper end.
        data: Fingerprint of the data it was scored on.
        precision: Precision it was computed in.
        whole: Whether no bad row was left out, so that row i is the data's item i.
        notes: What the reader of the number has to know.
        layers: For retrieval, the primary value at every layer, 0 = embeddings.
        half: The same on the first half of the sentences, on which a layer may be chosen.
        chance: The primary value without reading the text, see `TaskType.chance`.
    """

    language: str
    n: int
    values: dict[str, float]
    low: float | None
    high: float | None
    data: str
    precision: str
    whole: bool = True
    notes: tuple[str, ...] = ()
    layers: tuple[float, ...] = ()
    chance: float | None = None
    half: tuple[float, ...] = ()

    @property
    def value(self) -> float | None:
        """The primary value x 100, None without gold."""
        return next(iter(self.values.values()), None)

    @property
    def above_chance(self) -> bool | None:
        """Whether the whole interval lies above chance; None where one of them is not known."""
        if self.low is None or self.chance is None:
            return None
        return self.low > self.chance


@dataclass(frozen=True)
class Scored:
    """Predictions of one language, counted.

    Args:
        statistics: Additive counts by score name, shape (examples, k).
        notes: What the reader has to know.
        layers: For retrieval, the primary value at every layer.
        half: The same on the first half of the sentences.
        whole: Whether no bad row was left out.
        chance: The primary value without reading the text.
    """

    statistics: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()
    whole: bool = True
    layers: tuple[float, ...] = ()
    half: tuple[float, ...] = ()
    chance: float | None = None


def language_result(
    spec: EvaluateSpec, language: str, scored: Scored, data: str, precision: str
) -> LanguageResult:
    """Values of all scores of a task, and the interval of the primary one."""
    values: dict[str, float] = {}
    for name, statistics in scored.statistics.items():
        for part, value in SCORES[name].values(statistics).items():
            values[name if part == name else f"{name}.{part}"] = value
    low = high = None
    n = 0
    if values:
        rule = SCORES[spec.task.scores[0]]
        primary = scored.statistics[rule.name]
        bounds = interval(primary, rule.reduce, samples=spec.config.samples, weigh=rule.weigh)
        low, high, n = bounds.low, bounds.high, len(primary)
    same = {name: getattr(scored, name) for name in ("whole", "notes", "layers", "half", "chance")}
    return LanguageResult(language, n, values, low, high, data, precision, **same)


def save_language(run: Run, result: LanguageResult, scored: Scored) -> None:
    """Write one language's statistics, then its scores, whose presence says it is done."""
    for name, statistics in scored.statistics.items():
        path = statistics_path(run, result.language, name)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, statistics, allow_pickle=False)
    values = {**asdict(result), "intervals": INTERVALS}
    write_json(run.path / "scores" / f"{result.language}.json", values)


def statistics_path(run: Run, language: str, score: str) -> Path:
    """Where the counts of a language lie."""
    return run.path / "statistics" / f"{language}.{score}.npy"


def load_statistics(run: Run, language: str, score: str) -> np.ndarray:
    """Counts of one language, shape (examples, k); they cannot be written to."""
    data = statistics_path(run, language, score).read_bytes()
    start = 10 + int.from_bytes(data[8:10], "little")
    shape, by_columns, kind = _layout(data[:start])
    return np.frombuffer(data, kind, offset=start).reshape(shape, order="F" if by_columns else "C")


@lru_cache(maxsize=256)
def _layout(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array file; its header is Python, and slow to parse again and again."""
    file = io.BytesIO(header)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"array file of format {version}, expected 1.0")
    return np.lib.format.read_array_header_1_0(file)


def load_language(run: Run, language: str) -> LanguageResult | None:
    """The scores of a language, None if it was not evaluated."""
    path = run.path / "scores" / f"{language}.json"
    if not path.is_file():
        return None
    values: dict[str, Any] = read_json(path)
    made_by = values.pop("intervals", 1)
    lists = {name: tuple(values.get(name, ())) for name in ("notes", "layers", "half")}
    found = LanguageResult(**{**values, **lists})
    return found if made_by >= INTERVALS else _brought_up(run, found)


def _brought_up(run: Run, found: LanguageResult) -> LanguageResult:
    """A result with the interval it would get now: the first rule was the bootstrap for all."""
    if found.value is None or found.low is None or found.high is None:
        return found
    rule = SCORES[next(iter(found.values)).partition(".")[0]]
    if not statistics_path(run, found.language, rule.name).is_file():
        return found
    counts = load_statistics(run, found.language, rule.name)
    sample = Sample([[counts]], rule.reduce, 0, parallel=False, weigh=rule.weigh)
    low, high = ends_of(found.value, (found.low, found.high), sample)
    return replace(found, low=low, high=high)


def load_results(run: Run) -> dict[str, LanguageResult]:
    """All evaluated languages of a run, in alphabetical order."""
    found = (load_language(run, path.stem) for path in sorted((run.path / "scores").glob("*.json")))
    return {result.language: result for result in found if result is not None}


NO_GOLD = "no gold labels: predictions only"
CONSTANT_GOLD = "all gold labels are equal: the labels of this file were probably blanked"

Pairs = tuple[Sequence[Any], Sequence[Any]]
"""Golds and predictions of some examples."""


def scored(spec: EvaluateSpec, file: PredictionFile, examples: Iterable[Any], number: int) -> Scored:
    """The counts and the chance level of a language; its file in XTREME's layout is written beside.

    Args:
        spec: The evaluation.
        file: The predictions.
        examples: The examples, gone through where the file is not enough.
        number: How many there are.
    """
    if spec.config.split == "test":
        submit(spec, file, examples)
    counts = _scored_rows(spec, file.language, number)
    left_out = 0

    def chunks() -> Iterable[Pairs]:
        nonlocal left_out
        place = 0
        for chunk in file.chunks():
            rows = [row for offset, row in enumerate(chunk) if counts(place + offset, row)]
            place += len(chunk)
            left_out += len(chunk) - len(rows)
            yield [row.gold for row in rows], [row.prediction for row in rows]

    found = counted(spec.task.scores, chunks(), file.language)
    level = chance(spec.task, examples, file.golds())
    return replace(found, whole=not left_out, chance=level)


def submit(spec: EvaluateSpec, file: PredictionFile, examples: Iterable[Any]) -> None:
    """Write the predictions, and the reference labels where there are any, in XTREME's layout."""
    task, kind, folder = spec.task.name, spec.task.kind, spec.run.path
    found = collected(kind, examples, ([row.prediction for row in chunk] for chunk in file.chunks()))
    write_predictions(folder / "submission", task, kind, file.language, found)
    if not any(_is_absent(gold) for gold in file.golds()):
        golds = collected(kind, examples, ([row.gold for row in chunk] for chunk in file.chunks()))
        write_predictions(folder / "labels", task, kind, file.language, golds, gold=True)


def counted(names: Sequence[str], chunks: Iterable[Pairs], language: str | None = None) -> Scored:
    """Counts of every score of golds and predictions, or a note where there is no gold to count with."""
    at_once = any(SCORES[name].whole for name in names)
    counts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    first: list[Any] = []
    constant, number = True, 0
    for golds, predictions in [_joined(chunks)] if at_once else chunks:
        if any(_is_absent(gold) for gold in golds):
            return Scored({}, (NO_GOLD,))
        first = first or list(golds[:1])
        constant = constant and all(gold == first[0] for gold in golds)
        number += len(golds)
        for name, parts in counts.items():
            parts.append(SCORES[name].counts(golds, predictions, language))
    # Blanked test files repeat one label; a real set of this size does not.
    notes = (CONSTANT_GOLD,) if constant and number > 10 else ()
    return Scored({name: np.concatenate(parts) for name, parts in counts.items()}, notes)


def _joined(chunks: Iterable[Pairs]) -> Pairs:
    every = list(chunks)
    return [gold for golds, _ in every for gold in golds], [item for _, found in every for item in found]


def _is_absent(gold: Any) -> bool:
    return gold is None or gold == []


def _scored_rows(spec: EvaluateSpec, language: str, number: int) -> Callable[[int, Row], bool]:
    """Whether a row is scored: it is, unless it had a part in training or in choosing a layer."""
    shot, select = spec.shots.get(language), spec.config.select
    if shot is not None and shot.split == spec.config.split:
        drawn = set(shot.run.result()["example_ids"])
        return lambda place, row: row.id not in drawn
    if select is not None and is_retrieval(spec.task) and select.language == language:
        half = select.scored(number)
        return lambda place, row: place in half
    return lambda place, row: True


LAYER_FILE = "layer.json"


def chosen_layer(run: Run, select: Select, neighbors: Callable[[], np.ndarray]) -> int:
    """The layer with the highest accuracy on the choosing half; the lowest of equal ones.

    Args:
        run: The evaluation, which remembers its choice.
        select: The half.
        neighbors: Gives the nearest row of each sentence of that language, shape (layers + 1, sentences).
    """
    path = run.path / LAYER_FILE
    if not path.is_file():
        found = accuracies(neighbors(), select)
        best = int(np.argmax(found))
        write_json(path, {"layer": best, **select.model_dump(), "accuracies": found})
    return int(read_json(path)["layer"])


def accuracies(neighbors: np.ndarray, select: Select) -> list[float]:
    """Accuracy x 100 of each layer on the choosing half, among the sentences of both halves.

    Example:
        >>> accuracies(np.array([[0, 0, 2, 3], [0, 1, 0, 0]]), Select(language="de"))
        [50.0, 100.0]
    """
    return on_half(neighbors, select.chosen(neighbors.shape[1]))


def on_half(neighbors: np.ndarray, places: Sequence[int]) -> list[float]:
    """Accuracy x 100 of each layer at some places, among the sentences of all."""
    half = np.asarray(places)
    return [float(value) for value in 100 * (neighbors[:, half] == half).mean(axis=1)]


def layer_note(run: Run) -> str:
    """How the layer was chosen, for the reader of the score."""
    made: dict[str, Any] = read_json(run.path / LAYER_FILE)
    return (
        f"vectors: hidden_states[{made['layer']}], the best of {len(made['accuracies']) - 1} layers and the "
        f"embeddings on the {made['half']} half of {made['language']}, which is not scored"
    )


def direction(kind: str, prefix: str = "") -> dict[str, str]:
    """Direction of a type of task and what stands before every text, for tables and exports."""
    return {"direction": _searches(kind)[0], "prefix": prefix}


def _searches(kind: str) -> tuple[str, str]:
    """Which side looks for which, in a word and in words."""
    found = TASK_TYPES[kind].searches
    assert found is not None, "a head answers, nothing is searched"
    return found


def direction_note(kind: str, prefixes: Prefixes) -> str:
    """Direction and prefix, for the reader of the score."""
    return f"direction: {_searches(kind)[1]}; {prefixes or 'no'} text prefix"


MARGIN = 1.0
"""Points by which another layer has to be better to be named: less is within what halves differ by chance."""


def _better_layer(halves: Sequence[Sequence[float]], layer: int) -> str | None:
    """That another layer is better on the choosing half; None where none is by a point or more.

    Args:
        halves: For each language, the accuracy x 100 of each layer on the first half of its sentences.
        layer: The layer that was compared.

    Example:
        >>> str(_better_layer([[10.0, 50.0, 80.0], [20.0, 60.0, 90.0]], 1)).partition(" (")[0]
        'layer 2 is better than layer 1 on the first half of the sentences, 85.0 and 55.0'
        >>> _better_layer([[10.0, 50.0]], 1)
    """
    known = [found for found in halves if len(found) > layer]
    if not known:
        return None
    means = np.mean(known, axis=0)
    best = int(np.argmax(means))
    if means[best] < means[layer] + MARGIN:
        return None
    number = f"mean of {len(known)} languages" if len(known) > 1 else "one language"
    return (
        f"layer {best} is better than layer {layer} on the first half of the sentences, {means[best]:.1f} "
        f"and {means[layer]:.1f} ({number}); --layer {best} takes it, and layer: best chooses it on a half "
        "that is not scored"
    )


def chosen(run: Run, layer: int | None) -> int:
    """The layer that was compared, given or chosen."""
    return int(read_json(run.path / LAYER_FILE)["layer"]) if layer is None else layer


def better_layer_notes(facts: Mapping[str, Any], halves: Sequence[Sequence[float]]) -> list[str]:
    """What a table says of other layers, of an evaluation's facts; nothing where the layer was chosen."""
    vectors = facts.get("vectors") or {}
    if vectors.get("chosen") or vectors.get("layer") is None:
        return []
    note = _better_layer(halves, vectors["layer"])
    return [note] if note else []
