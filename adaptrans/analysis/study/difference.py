"""Differences to a baseline, paired by language and seed. Torch-free."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.errors import ConfigError
from adaptrans.stats.crossed import crossed_regression


class DifferenceToBaseline(Analysis):
    """Mean difference of each value of a factor to one of its values, such as each setup to `full`.

    With `by: resource_class` it is the gain or degradation of low-resource languages apart. The interval is
    over languages and seeds.
    """

    factor: str = Field(default="setup", description="the column whose values are compared")
    baseline: Any = Field(description="the value that differences are taken to")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"difference to {self.factor} {self.baseline}"

    def one(self, group: str, table: ScoreTable) -> Part:
        """A finding for each other value."""
        values = table.texts(self.factor)
        if str(self.baseline) not in values:
            raise ConfigError(
                f"{group or 'the table'}: no row has {self.factor} {self.baseline}", remedy="name another"
            )
        named = table.with_columns({"_factor": values})
        findings: list[Finding] = []
        notes: list[str] = []
        for value in dict.fromkeys(values):
            if value == str(self.baseline):
                continue
            pair = named.chosen({"_factor": [value, str(self.baseline)]})
            wide = crossed(pair, ["_factor", "seed"], self.outcome)
            seeds = [key[1] if len(key) > 1 else 1 for key in wide.runs]
            first = np.array([key[0] == value for key in wide.runs])
            both = sorted({seed for seed, own in zip(seeds, first, strict=True) if own}, key=str)
            gaps = [self._gap(wide.scores, first, seeds, seed) for seed in both]
            found = crossed_regression(np.column_stack(gaps), np.ones((len(gaps), 1)), 0)
            n = {"languages": len(wide.languages), **({"seeds": len(gaps)} if "seed" in table.frame else {})}
            facts = {"effect": f"{self.factor} {value} minus {self.baseline}", "group": group, "term": value}
            findings.append(Finding.of(found, analysis=self.heading, n=n, **facts))
            notes += wide.notes
        if "seed" in table.frame and len(set(table.texts("seed"))) == 1:
            notes.append("one seed: intervals say nothing of how another would have come out")
        return Part(self.heading, self.kind, tuple(findings), notes=tuple(dict.fromkeys(notes)))

    @staticmethod
    def _gap(scores: np.ndarray, first: np.ndarray, seeds: list[Any], seed: Any) -> np.ndarray:
        """One seed's difference in each language; a baseline without that seed stands for all seeds."""
        same = np.array([str(other) == str(seed) for other in seeds])
        base = scores[:, ~first & same] if (~first & same).any() else scores[:, ~first]
        return np.asarray(scores[:, first & same].mean(axis=1) - base.mean(axis=1))
