"""Least squares with clustered standard errors. Torch-free."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable
from adaptrans.errors import ConfigError
from adaptrans.stats.crossed import estimate_of
from adaptrans.tasks.schema import Names


class Regression(Analysis):
    """Least squares of the score on columns, with an intercept for each value of `effects`.

    Standard errors are clustered by one column, or by two that are crossed; t has as many degrees of freedom
    as there are clusters, less one. Without language intercepts a coefficient also says which languages the
    rows are from; see the page about signs that flip.
    """

    on: Names = Field(min_length=1, description="columns, or log10(column)")
    effects: Names = Field(default=(), description="columns with an intercept for each value, as language")
    cluster: Names = Field(default=("configuration",), max_length=2, description="what rows share")
    small_sample: bool = Field(
        default=True, description="the correction of few clusters, G/(G-1) (N-1)/(N-k)"
    )

    @property
    def words(self) -> str:
        """What it does, in few words."""
        own = f"with {' and '.join(self.effects)} intercepts" if self.effects else "pooled"
        return f"{self.outcome} on {', '.join(self.on)}, {own}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """A finding for each column."""
        import statsmodels.api as sm

        y, terms = table.column(self.outcome), [table.column(name) for name in self.on]
        used = np.isfinite(np.column_stack([y, *terms])).all(axis=1)
        kept = table.with_columns({"_used": used}).chosen({"_used": True})
        design = np.column_stack([*(term[used] for term in terms), np.ones(int(used.sum()))])
        for name in self.effects:
            values = kept.texts(name)
            levels = np.unique(values)[1:]
            design = np.hstack([design, (values[:, None] == levels).astype(float)])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            said = f" and {', '.join(self.effects)} intercepts" if self.effects else ""
            raise ConfigError(
                f"{group or 'the table'}: {', '.join(self.on)}{said} determine one another",
                remedy="leave one of them out",
            )
        clusters = [np.unique(kept.texts(name), return_inverse=True)[1] for name in self.cluster]
        options: dict[str, Any] = {"cov_type": "nonrobust"}
        freedom = float(design.shape[0] - design.shape[1])
        if clusters:
            groups = clusters[0] if len(clusters) == 1 else np.column_stack(clusters)
            options = {
                "cov_type": "cluster",
                "cov_kwds": {"groups": groups, "use_correction": self.small_sample},
            }
            freedom = min(int(item.max()) for item in clusters)
        if freedom < 1:
            raise ConfigError(
                f"{group or 'the table'}: fewer than two clusters of {' and '.join(self.cluster)}",
                remedy="cluster by another column",
            )
        fit = sm.OLS(y[used], design).fit(**options)
        counts = kept.counts()
        findings = tuple(
            Finding.of(
                estimate_of(float(fit.params[at]), float(fit.bse[at]), freedom),
                analysis=self.heading,
                effect=f"{name}, {self.words.rpartition(', ')[2]}",
                group=group,
                term=name,
                n=counts,
                unit=f"points per unit of {name}",
            )
            for at, name in enumerate(self.on)
        )
        left = int((~used).sum())
        notes = (f"{group}: {left} rows without all columns left out".lstrip(": "),) if left else ()
        return Part(self.heading, self.kind, findings, notes=notes)
