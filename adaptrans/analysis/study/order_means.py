"""What each task adds, averaged over the orders in which tasks can be added. Torch-free."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pydantic import Field

from adaptrans.analysis.study.base import Analysis
from adaptrans.analysis.study.findings import Finding, Part
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.errors import ConfigError
from adaptrans.stats.crossed import crossed_regression

SEPARATOR = " + "


def members(text: str) -> frozenset[str]:
    """The tasks of a set as a column names it; nothing, `none` or `-` for the empty one.

    Example:
        >>> sorted(members("nli + qa")), members("-")
        (['nli', 'qa'], frozenset())
    """
    return frozenset(part for part in text.split(SEPARATOR) if part not in ("", "-", "none", "nan"))


class OrderMeans(Analysis):
    """What adding a task to a set changes, its mean over sets of each size, then over sizes.

    With every set scored this is the task's Shapley value: the mean over all orders in which tasks can be
    added. With some sets scored it is the mean over the additions that were, and a note says how many.

    Source: Shapley 1953, A value for n-person games.
    """

    tasks: str = Field(default="intermediates", description="column with the set of tasks, as nli + qa")

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return f"what each of the {self.tasks} adds, mean over orders"

    def one(self, group: str, table: ScoreTable) -> Part:
        """A finding for each task."""
        wide = crossed(table, [self.tasks, "seed"], self.outcome)
        by_set: dict[tuple[frozenset[str], str], np.ndarray] = {}
        for at, key in enumerate(wide.runs):
            place = (members(str(key[0])), str(key[1]) if len(key) > 1 else "1")
            by_set[place] = wide.scores[:, at]
        every = sorted({name for own, _ in by_set for name in own})
        findings, notes = [], list(wide.notes)
        for name in every:
            additions: dict[str, dict[int, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
            for (own, seed), scores in by_set.items():
                before = own - {name}
                if name in own and (before, seed) in by_set:
                    additions[seed][len(before)].append(scores - by_set[before, seed])
            sizes = [set(found) for found in additions.values()]
            # Every seed over the same sizes, so that seeds differ in nothing else.
            shared = sorted(set.intersection(*sizes)) if sizes else []
            if not shared:
                notes.append(f"{name} is never added to a set that was scored without it")
                continue
            values = np.column_stack(
                [
                    np.mean([np.mean(found[size], axis=0) for size in shared], axis=0)
                    for found in additions.values()
                ]
            )
            found = crossed_regression(values, np.ones((values.shape[1], 1)), 0)
            number = sum(len(pairs) for own in additions.values() for pairs in own.values())
            n = {"languages": len(wide.languages), "seeds": values.shape[1], "additions": number}
            facts = {"effect": f"adding {name}", "group": group, "term": name}
            findings.append(Finding.of(found, analysis=self.heading, n=n, **facts))
        sets = len({own for own, _ in by_set})
        if sets < 2 ** len(every):
            notes.append(f"{sets} of {2 ** len(every)} sets of {len(every)} tasks were scored")
        if not findings:
            raise ConfigError(
                "no two sets of the table differ in one task", remedy="score a set with and without a task"
            )
        return Part(self.heading, self.kind, tuple(findings), notes=tuple(notes))
