"""Mixed-effects models with crossed random effects. Torch-free."""

from __future__ import annotations

import warnings

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable
from adaptrans.errors import ConfigError
from adaptrans.stats.crossed import estimate_of
from adaptrans.tasks.schema import Names


class MixedEffects(Analysis):
    """Score on columns with crossed random effects, by default of language and configuration (REML).

    The degrees of freedom of a column are those of the level that it varies at: a column that is one number
    per language has languages less columns less one.
    """

    on: Names = Field(min_length=1, description="columns, or log10(column)")
    effects: Names = Field(
        default=("language", "configuration"), min_length=1, description="columns of random intercepts"
    )

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"{self.outcome} on {', '.join(self.on)}, random {' and '.join(self.effects)}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """A finding for each column, and the parts of the variance in a note."""
        import pandas
        from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

        y, terms = table.column(self.outcome), [table.column(name) for name in self.on]
        used = np.isfinite(np.column_stack([y, *terms])).all(axis=1)
        kept = table.with_columns({"_used": used}).chosen({"_used": True})
        design = np.column_stack([np.ones(int(used.sum())), *(term[used] for term in terms)])
        levels = {name: np.unique(kept.texts(name), return_inverse=True)[1] for name in self.effects}
        for name, places in levels.items():
            if places.max() < 1 or places.max() + 1 == len(places):
                raise ConfigError(
                    f"{group or 'the table'}: random effects of {name} need several rows in each of several",
                    remedy="leave it out of effects",
                )
        indicators = [np.eye(int(places.max()) + 1)[places] for places in levels.values()]
        columns = [
            [f"{name}[{at}]" for at in range(part.shape[1])]
            for name, part in zip(levels, indicators, strict=True)
        ]
        spec = VCSpec(list(levels), [[names] for names in columns], [[part] for part in indicators])
        frame = pandas.DataFrame(design, columns=["intercept", *self.on])
        model = MixedLM(y[used], frame, groups=np.ones(len(design)), exog_re=None, exog_vc=spec)
        with warnings.catch_warnings():
            # A variance of 0 lies at the edge of what can be, which the library warns of.
            warnings.simplefilter("ignore")
            fit = model.fit(reml=True)
        counts = kept.counts()
        findings = []
        for at, name in enumerate(self.on, start=1):
            freedom = _freedom(design, at, list(levels.values()))
            value, se = float(fit.fe_params.iloc[at]), float(fit.bse_fe.iloc[at])
            facts = {"effect": f"{name}, random {' and '.join(self.effects)}", "group": group, "term": name}
            unit = f"points per unit of {name}"
            estimate = estimate_of(value, se, max(1.0, freedom))
            findings.append(Finding.of(estimate, analysis=self.heading, n=counts, unit=unit, **facts))
        spread = ", ".join(
            f"{name} {np.sqrt(max(0.0, part)):.2f}" for name, part in zip(levels, fit.vcomp, strict=True)
        )
        said = f"standard deviations of effects in points: {spread}, rest {np.sqrt(fit.scale):.2f}"
        return Part(self.heading, self.kind, tuple(findings), notes=(f"{group}: {said}".lstrip(": "),))


def _freedom(design: np.ndarray, at: int, levels: list[np.ndarray]) -> float:
    """Degrees of freedom of a column: those of the smallest grouping within which it does not vary.

    Source: the rule "between-within" of mixed models (Schluchter and Elashoff 1990).
    """
    column, terms = design[:, at], design.shape[1]
    found = float(len(design) - terms)
    for places in levels:
        number = int(places.max()) + 1
        low, high = np.full(number, np.inf), np.full(number, -np.inf)
        np.minimum.at(low, places, column)
        np.maximum.at(high, places, column)
        if np.all(high - low <= 1e-12 * max(1.0, float(np.abs(column).max()))):
            found = min(found, float(number - terms))
    return found
