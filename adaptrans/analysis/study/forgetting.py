"""What training on something new does to what was there before. Torch-free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.errors import ConfigError
from adaptrans.stats.crossed import crossed_regression


class Forgetting(Analysis):
    """Forgetting of each earlier task: its best score before, less its score after the last phase.

    Rows are told apart by `task` (what is tested: an earlier task, Tatoeba, minus the masked-LM loss) and
    `phase`, a number: 0 before anything, then after each phase. Forgetting is the drop from the best earlier
    phase to the last; backward transfer is the last less the task's first score.

    Source: Lopez-Paz and Ranzato 2017, Gradient episodic memory (backward transfer); Chaudhry et al. 2018
    (forgetting).
    """

    task: str = Field(default="task", description="column of what is tested")
    phase: str = Field(default="phase", description="column with the number of the phase it is tested after")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"forgetting over {self.phase}s"

    def one(self, group: str, table: ScoreTable) -> Part:
        """Forgetting and backward transfer of each task, and their means over tasks."""
        numbered = table.with_columns({"_phase": table.column(self.phase)})
        findings: list[Finding] = []
        notes: list[str] = []
        for name, part in numbered.parts((self.task,)):
            wide = crossed(part, ["_phase", "seed"], self.outcome)
            phases = np.array([key[0] for key in wide.runs], dtype=float)
            if len(np.unique(phases)) < 2:
                raise ConfigError(
                    f"{name} was tested after one phase alone", remedy="evaluate it before and after"
                )
            seeds = np.array([str(key[1]) if len(key) > 1 else "1" for key in wide.runs])
            whole = [
                seed for seed in dict.fromkeys(seeds) if len(set(phases[seeds == seed])) == len(set(phases))
            ]
            means = np.array(
                [
                    [
                        wide.scores[:, (seeds == seed) & (phases == at)].mean(axis=1)
                        for at in np.unique(phases)
                    ]
                    for seed in whole
                ]
            )  # (seeds, phases, languages)
            # The best phase is that of the mean: the best of each language alone would be luck.
            best = int(means.mean(axis=(0, 2))[:-1].argmax())
            for word, gap in (
                ("forgetting", means[:, best] - means[:, -1]),
                ("backward transfer", means[:, -1] - means[:, 0]),
            ):
                found = crossed_regression(gap.T, np.ones((len(whole), 1)), 0)
                n = {"languages": len(wide.languages), "seeds": len(whole)}
                where = ", ".join(filter(None, (group, name)))
                facts = {"effect": word, "group": where, "term": word}
                findings.append(Finding.of(found, analysis=self.heading, n=n, **facts))
            if best > 0:
                notes.append(f"{name}: its best score before the last phase is that after phase {best}")
            notes += wide.notes
        for word in ("forgetting", "backward transfer"):
            own = [found for found in findings if found.term == word]
            if len(own) > 1:
                # Tasks are those of the study, no sample; each has languages and seeds of its own.
                value, se = (
                    float(np.mean([f.value for f in own])),
                    float(np.sqrt(sum(f.se**2 for f in own))) / len(own),
                )
                width = max((f.high - f.value) / f.se if f.se else 0.0 for f in own)
                mean = replace(
                    own[0],
                    effect=f"mean {word}",
                    group=group,
                    value=value,
                    se=se,
                    low=value - width * se,
                    high=value + width * se,
                    p_value=None,
                    n={"tasks": len(own)},
                    term=f"mean {word}",
                )
                findings.append(mean)
        return Part(self.heading, self.kind, tuple(findings), notes=tuple(dict.fromkeys(notes)))
