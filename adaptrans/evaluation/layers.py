"""Which layer's vectors answer for retrieval, where `layer: best` chooses on half a language. No torch.

The half that chose is not scored, and the layer is chosen once for all languages of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adaptrans.files import read_json, write_json
from adaptrans.hub.store import Run
from adaptrans.runs.config import Select

FILE = "layer.json"


def chosen_layer(run: Run, select: Select, neighbours: Callable[[], np.ndarray]) -> int:
    """The layer with the highest accuracy on the choosing half; the lowest of equal ones.

    Args:
        run: The evaluation, which remembers its choice.
        select: The half.
        neighbours: Gives the nearest row of each sentence of that language, shape (layers + 1, sentences).
    """
    path = run.path / FILE
    if not path.is_file():
        found = accuracies(neighbours(), select)
        best = int(np.argmax(found))
        write_json(path, {"layer": best, **select.model_dump(), "accuracies": found})
    return int(read_json(path)["layer"])


def accuracies(neighbours: np.ndarray, select: Select) -> list[float]:
    """Accuracy x 100 of each layer on the choosing half, among the sentences of both halves.

    Example:
        >>> accuracies(np.array([[0, 0, 2, 3], [0, 1, 0, 0]]), Select(language="de"))
        [50.0, 100.0]
    """
    half = np.asarray(select.chosen(neighbours.shape[1]))
    return [float(value) for value in 100 * (neighbours[:, half] == half).mean(axis=1)]


def note(run: Run) -> str:
    """How the layer was chosen, for the reader of the score."""
    made: dict[str, Any] = read_json(run.path / FILE)
    return (
        f"vectors: hidden_states[{made['layer']}], the best of {len(made['accuracies']) - 1} layers and the "
        f"embeddings on the {made['half']} half of {made['language']}, which is not scored"
    )
