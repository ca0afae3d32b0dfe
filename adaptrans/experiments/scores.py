"""The finished cells of an experiment as a table of scores with their factors. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.analysis.study.order_means import SEPARATOR
from adaptrans.analysis.study.score_table import ScoreTable
from adaptrans.errors import ArtifactError, UnknownNameError
from adaptrans.evaluation.results import load_results
from adaptrans.experiments.plan import Cell
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.evaluation import EvaluateSpec
from adaptrans.runs.store import Run
from adaptrans.stats.intervals import t_quantile

NONE = "-"
"""What a table says for no intermediate task."""


def score_table(cells: Sequence[Cell], advance: Callable[[str], None] = lambda what: None) -> ScoreTable:
    """The scores of the finished cells of a plan, one row per cell and language.

    Columns: `task` (the target), `setup`, `row` (the setup with all that tells its row), `configuration` (the
    row on its backbone), `seed`, `language`, `score` (the primary one, in points), `item_error`, `backbone`,
    `method`, `regime`, `source` (whether it is a training language of the target), `intermediates` (the set
    of intermediate tasks, as `nli + qa`, or `-`), `number` of them and `families` of their languages, and a
    column for each factor of `vary`: `asked_size`, `source_language`, `provenance`; `-` for setups without.
    `phase` is the number of trainings that a score comes after: 0 for the bare encoder, as retrieval has it.
    `size` are the examples that the intermediate runs were trained on, all together, as they counted them; 0
    without any.

    Args:
        cells: The cells; those that are not done are counted in a note.
        advance: Told what is read.

    Raises:
        ArtifactError: If no cell is done.
    """
    import pandas

    done = [cell for cell in cells if cell.evaluation.is_done]
    sizes = _Sizes()
    rows: list[dict[str, Any]] = []
    for place, cell in enumerate(done):
        if place % 100 == 0:
            advance(f"reading scores {place}/{len(done)}")
        rows += _rows(cell, sizes)
    if not rows:
        raise ArtifactError(
            f"none of the {len(cells)} cells has a score yet",
            remedy="carry the experiment out with adaptrans run",
        )
    left = len(cells) - len(done)
    notes = (f"{left} of {len(cells)} cells are not done and not in these numbers",) if left else ()
    frame = pandas.DataFrame(rows)
    factors = {name for cell in done for name, _ in cell.factors}
    # A setup without factors has no value of them.
    return ScoreTable(frame.fillna(dict.fromkeys(factors, NONE)), notes)


class _Sizes:
    """Training examples behind evaluations; what is known of a run is read once."""

    def __init__(self) -> None:
        self.runs: dict[Path, dict[str, Run]] = {}
        self.found: dict[Path, float] = {}

    def of(self, evaluation: EvaluateSpec) -> float:
        """Examples of all intermediate runs below an evaluation; not a number where one is not known."""
        if evaluation.trained is None:
            return sum(map(self._examples, evaluation.parents.values()))
        store = evaluation.workspace.store
        if store.root not in self.runs:
            self.runs[store.root] = {run.key: run for run in store.runs("intermediate")}
        keys = evaluation.trained.config().get("parents", {}).values()
        known = self.runs[store.root]
        return sum(self._examples(known[key]) if key in known else math.nan for key in keys)

    def _examples(self, run: Run) -> float:
        if run.path not in self.found:
            self.found[run.path] = float(run.result().get("examples", math.nan)) if run.is_done else math.nan
        return self.found[run.path]


def _rows(cell: Cell, sizes: _Sizes) -> list[dict[str, Any]]:
    evaluation = cell.evaluation
    run = evaluation.run
    names, families = _intermediates(cell)
    sources = run.result().get("source_languages", [])
    own = {
        "task": cell.target,
        "setup": cell.setup,
        "row": cell.row,
        "configuration": f"{cell.row} on {evaluation.workspace.backbone.name}",
        "seed": evaluation.seed,
        "backbone": evaluation.workspace.backbone.name,
        "method": evaluation.effective_method,
        "regime": cell.transfer.label,
        "intermediates": SEPARATOR.join(names) or NONE,
        "number": len(names),
        "families": len(families),
        "phase": bool(names) + (evaluation.trained is not None),
        "size": sizes.of(evaluation) if names else 0.0,
        **dict(cell.factors),
    }
    width = 2 * t_quantile(0.975, math.inf)
    return [
        {
            **own,
            "language": code,
            "score": result.value,
            "item_error": math.nan
            if result.low is None or result.high is None
            else (result.high - result.low) / width,
            "source": code in sources,
        }
        for code, result in load_results(run).items()
        if result.value is not None
    ]


def _intermediates(cell: Cell) -> tuple[list[str], set[str]]:
    """The intermediate tasks of a setup, with their training languages, and the families of these."""
    names: dict[str, tuple[str, ...]] = {}
    for reference in parse(cell.setup).references():
        codes = reference.languages
        if not codes and reference.name:
            task = cell.evaluation.workspace.task(reference.name)
            published = task.languages_of("train") if "train" in task.splits else ()
            codes = ("en",) if "en" in published else published
        names[str(reference)] = codes
    families = set()
    for code in (code for codes in names.values() for code in codes):
        try:
            families.add(languages.get(code).family)
        except UnknownNameError:
            continue
    return sorted(names), families
