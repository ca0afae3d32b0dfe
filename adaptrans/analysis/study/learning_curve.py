"""Learning curves: the score at each size, with a band. Torch-free."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Part, Series
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.stats.crossed import crossed_regression
from adaptrans.tasks.schema import Names


class LearningCurve(Analysis):
    """Mean score over languages at each size, with 95 % bands over languages and runs.

    Nothing is tested; `slope` is the test of a trend.
    """

    on: str = Field(default="log10(size)", description="what is on the axis: a column of runs, or its log10")
    runs: Names = Field(default=("configuration", "seed"), description="columns that tell runs apart")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"curve by {self.on}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """The curve."""
        wide = crossed(
            table.with_columns({"_dose": table.column(self.on)}), ["_dose", *self.runs], self.outcome
        )
        dose = np.array([key[0] for key in wide.runs], dtype=float)
        points = []
        for place in np.unique(dose):
            own = wide.scores[:, dose == place]
            found = crossed_regression(own, np.ones((own.shape[1], 1)), 0)
            points.append((float(place), found.value, found.low, found.high))
        x, y, low, high = map(tuple, zip(*points, strict=True))
        series = Series(group or self.outcome, x, y, low, high)
        return Part(self.heading, self.kind, series=(series,), axis=self.on, notes=wide.notes)
