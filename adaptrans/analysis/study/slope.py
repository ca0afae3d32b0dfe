"""Dose-response slopes. Torch-free."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.stats.crossed import crossed_regression
from adaptrans.tasks.schema import Names


class Slope(Analysis):
    """Slope of the score on what runs differ in, such as the size of a training set, averaged over languages.

    Languages and runs are both samples, see `adaptrans.stats.crossed`: the interval holds for other languages
    and other seeds.
    """

    on: str = Field(description="a column of runs, or log10(column)")
    runs: Names = Field(default=("configuration", "seed"), description="columns that tell runs apart")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"slope on {self.on}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """The slope."""
        doses = table.with_columns({"_dose": table.column(self.on)})
        wide = crossed(doses, ["_dose", *self.runs], self.outcome)
        dose = np.array([key[0] for key in wide.runs], dtype=float)
        design = np.column_stack([np.ones(len(dose)), dose])
        found = crossed_regression(wide.scores, design, 1)
        n = {"languages": len(wide.languages), "runs": len(dose), "doses": len(np.unique(dose))}
        facts = {"effect": f"slope on {self.on}", "group": group, "term": self.on}
        unit = f"points per unit of {self.on}"
        finding = Finding.of(found, analysis=self.heading, n=n, unit=unit, **facts)
        return Part(self.heading, self.kind, (finding,), notes=wide.notes)
