"""Gain by number of tasks and of families, with the identity of tasks kept apart. Torch-free."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part, Series
from adaptrans.analysis.study.order_means import members
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.errors import AdaptransError
from adaptrans.stats.crossed import crossed_regression


class Gain(Analysis):
    """Score by the number of tasks, and beyond what each task is worth by itself.

    A curve of "more tasks" mixes how many with which ones. `number` is its slope. `pairs` is what is left
    when every task has a coefficient of its own: how much each further pair of tasks changes the score,
    below 0 where gains saturate. `families` is the slope on the number of language families of the tasks at
    an equal number of tasks.
    """

    tasks: str = Field(default="intermediates", description="column with the set of tasks, as nli + qa")
    families: str | None = Field(default=None, description="column with the number of families of the set")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"gain by number of {self.tasks}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """Slopes, and the curve by number."""
        columns = [self.tasks, *([self.families] if self.families else []), "seed"]
        wide = crossed(table, columns, self.outcome)
        sets = [members(str(key[0])) for key in wide.runs]
        every = sorted({name for own in sets for name in own})
        number = np.array([float(len(own)) for own in sets])
        one = np.ones(len(sets))
        which = np.array([[float(name in own) for name in every] for own in sets]).reshape(len(sets), -1)
        designs = [
            ("number", "each further task", np.column_stack([one, number]), 1),
            (
                "pairs",
                "each further pair of tasks, at the worth of each task",
                np.column_stack([one, which, number * (number - 1) / 2]),
                which.shape[1] + 1,
            ),
        ]
        if self.families:
            families = np.array([float(key[1]) for key in wide.runs])
            effect = "each further family, at an equal number of tasks"
            designs.append(("families", effect, np.column_stack([one, number, families]), 2))
        findings, notes = [], list(wide.notes)
        n = {"languages": len(wide.languages), "runs": len(sets), "sets": len(set(sets))}
        for term, effect, design, at in designs:
            try:
                found = crossed_regression(wide.scores, design, at)
            except AdaptransError as error:
                notes.append(f"no {term}: {error.message}")
                continue
            findings.append(
                Finding.of(found, analysis=self.heading, effect=effect, group=group, term=term, n=n)
            )
        points = []
        for size in np.unique(number):
            own = wide.scores[:, number == size]
            found = crossed_regression(own, np.ones((own.shape[1], 1)), 0)
            points.append((float(size), found.value, found.low, found.high))
        x, y, low, high = map(tuple, zip(*points, strict=True))
        series = (Series(group or self.outcome, x, y, low, high),)
        return Part(self.heading, self.kind, tuple(findings), series, "number of tasks", tuple(notes))
