"""Which layer is compared, how it was chosen, and what a table says of the other layers. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from adaptrans.runs.store import Run
from adaptrans.runs.training_args import Select
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.utils.io import read_json, write_json

FILE = "layer.json"


def chosen_layer(run: Run, select: Select, neighbors: Callable[[], np.ndarray]) -> int:
    """The layer with the highest accuracy on the choosing half; the lowest of equal ones.

    Args:
        run: The evaluation, which remembers its choice.
        select: The half.
        neighbors: Gives the nearest row of each sentence of that language, shape (layers + 1, sentences).
    """
    path = run.path / FILE
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
    made: dict[str, Any] = read_json(run.path / FILE)
    return (
        f"vectors: hidden_states[{made['layer']}], the best of {len(made['accuracies']) - 1} layers and the "
        f"embeddings on the {made['half']} half of {made['language']}, which is not scored"
    )


NO_PREFIX = ""
"""What stands before every text: nothing. Encoders trained with a prefix score less without it."""


def direction(kind: str) -> dict[str, str]:
    """Direction and prefix of a type of task, for tables and exports."""
    return {"direction": _searches(kind)[0], "prefix": NO_PREFIX}


def _searches(kind: str) -> tuple[str, str]:
    """Which side looks for which, in a word and in words."""
    found = TASK_TYPES[kind].searches
    assert found is not None, "a head answers, nothing is searched"
    return found


def direction_note(kind: str) -> str:
    """Direction and prefix, for the reader of the score."""
    return f"direction: {_searches(kind)[1]}; {NO_PREFIX or 'no'} text prefix"


MARGIN = 1.0
"""Points by which another layer has to be better to be named: less is within what halves differ by chance."""


def better_layer(halves: Sequence[Sequence[float]], layer: int) -> str | None:
    """That another layer is better on the choosing half; None where none is by a point or more.

    Args:
        halves: For each language, the accuracy x 100 of each layer on the first half of its sentences.
        layer: The layer that was compared.

    Example:
        >>> str(better_layer([[10.0, 50.0, 80.0], [20.0, 60.0, 90.0]], 1)).partition(" (")[0]
        'layer 2 is better than layer 1 on the first half of the sentences, 85.0 and 55.0'
        >>> better_layer([[10.0, 50.0]], 1)
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
    return int(read_json(run.path / FILE)["layer"]) if layer is None else layer


def better_layer_notes(facts: Mapping[str, Any], halves: Sequence[Sequence[float]]) -> list[str]:
    """What a table says of other layers, of an evaluation's facts; nothing where the layer was chosen."""
    vectors = facts.get("vectors") or {}
    if vectors.get("chosen") or vectors.get("layer") is None:
        return []
    note = better_layer(halves, vectors["layer"])
    return [note] if note else []
