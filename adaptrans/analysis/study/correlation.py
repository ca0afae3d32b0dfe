"""Correlations over languages. Torch-free."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.stats.correlations import coefficient, correlation
from adaptrans.stats.crossed import weights_of
from adaptrans.stats.hierarchical import hierarchical_draws
from adaptrans.tasks.schema import Names


class Correlation(Analysis):
    """Correlation over languages of a covariate with the mean score, or with each language's slope.

    The interval is over languages, by Fisher's z. The percentile interval of a hierarchical bootstrap over
    languages, seeds and test items stands beside it in the JSON; it is too short for few languages.
    """

    on: str = Field(description="a column with one number per language, as log10(cc100_gib), or its log10")
    slope_on: str | None = Field(
        default=None, description="correlate each language's slope on this column of runs, not its mean"
    )
    method: Literal["pearson", "spearman"] = Field(default="pearson", description="which correlation")
    runs: Names = Field(default=("configuration", "seed"), description="columns that tell runs apart")
    samples: int = Field(default=1000, ge=1, description="resamples of the bootstrap")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        of = "score" if self.slope_on is None else f"slope on {self.slope_on}"
        return f"{self.method.capitalize()} correlation of {of} with {self.on}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """The correlation."""
        covariate = table.column(self.on)
        known = np.isfinite(covariate)
        kept = table.with_columns({"_on": covariate, "_known": known}).chosen({"_known": True})
        lacking = sorted(set(table.texts("language")) - set(kept.texts("language")))
        notes = [f"no {self.on} is known of {', '.join(lacking)}"] if lacking else []
        if self.slope_on is not None:
            kept = kept.with_columns({"_dose": kept.column(self.slope_on)})
        wide = crossed(kept, [*(["_dose"] if self.slope_on else []), *self.runs], self.outcome)
        values = dict(zip(kept.texts("language"), kept.column("_on"), strict=True))
        x = np.array([values[code] for code in wide.languages])
        if self.slope_on is None:
            weights = np.full(len(wide.runs), 1 / len(wide.runs))
        else:
            dose = np.array([key[0] for key in wide.runs], dtype=float)
            weights = weights_of(np.column_stack([np.ones(len(dose)), dose]), 1)
        y = wide.scores @ weights
        found = correlation(x, y, self.method)
        # A weighted sum of runs as the mean of what each contributes, so that runs can be resampled.
        scaled = weights * len(weights)
        draws = hierarchical_draws(
            wide.scores * scaled if self.slope_on is None else y[:, None],
            wide.errors * scaled
            if self.slope_on is None
            else np.sqrt((wide.errors**2) @ weights**2)[:, None],
            lambda means, places: coefficient(x[places], means, self.method),
            self.samples,
        )
        low, high = np.quantile(draws, [0.025, 0.975])
        finding = Finding.of(
            found,
            analysis=self.heading,
            effect=self.words,
            group=group,
            term=self.on,
            n={"languages": len(wide.languages), "runs": len(wide.runs)},
            unit="",
            bootstrap=(float(low), float(high)),
        )
        return Part(self.heading, self.kind, (finding,), notes=(*notes, *wide.notes))
