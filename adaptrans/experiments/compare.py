"""Setups beside the baseline: means over languages, intervals, paired differences. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from adaptrans.evaluation.metrics import SCORES, Score
from adaptrans.evaluation.results import LanguageResult, load_results, load_statistics
from adaptrans.evaluation.statistics import Difference, Interval, mean_interval, paired_difference
from adaptrans.files import digest, write_json
from adaptrans.hub.store import Run
from adaptrans.models.setup import Setup, below_target, parse
from adaptrans.runs.specs import BARE, RECIPE

SAMPLES = 1000
FORM = 2
"""Raised when a table gets another form."""


@dataclass(frozen=True)
class Entry:
    """One evaluation that takes part in a comparison.

    Args:
        setup: Row it stands in.
        run: The evaluation's run.
        languages: Languages that take part; empty for all it has.
        control: The same evaluation on the shuffled backbone, if it was made.
    """

    setup: str
    run: Run
    languages: tuple[str, ...] = ()
    control: Run | None = None

    @functools.cached_property
    def results(self) -> dict[str, LanguageResult]:
        """Results of the languages that take part."""
        found = load_results(self.run)
        return {
            code: result for code, result in found.items() if not self.languages or code in self.languages
        }


@dataclass(frozen=True)
class Row:
    """One setup on one target.

    Args:
        setup: The setup.
        run: Name of the evaluation's run.
        mean: Mean over the shared languages, with its interval.
        zero_shot: The same mean without the languages of the training data; None if none is left.
        difference: Mean minus the baseline's, paired by example; None for the baseline itself.
        languages: Results by language, also those not shared.
        differences: Difference to the baseline by language.
        control: The control's values by language; empty without one.
        above_control: Mean minus the control's, over the same languages, paired by example.
        above_controls: The same by language.
    """

    setup: str
    run: str
    mean: Interval
    zero_shot: float | None
    difference: Difference | None
    languages: dict[str, LanguageResult]
    differences: dict[str, Difference]
    control: dict[str, float] = field(default_factory=dict)
    above_control: Difference | None = None
    above_controls: dict[str, Difference] = field(default_factory=dict)

    def chance(self, languages: Sequence[str]) -> float | None:
        """Mean of the chance levels of some languages; None where one is not known."""
        levels = [self.languages[code].chance for code in languages]
        known = [level for level in levels if level is not None]
        return sum(known) / len(known) if known and len(known) == len(levels) else None


@dataclass(frozen=True)
class TargetTable:
    """All setups on one target.

    Args:
        target: The task, as `name@version`.
        score: Name of the primary value.
        scored: Languages of the means: those that every setup was scored in.
        partial: Languages that only some setups were scored in, or on other data; they enter no mean.
        missing: Languages of the task that no setup was scored in.
        rows: One per setup, in the order given.
        notes: What the reader of the numbers has to know.
    """

    target: str
    score: str
    scored: tuple[str, ...]
    partial: tuple[str, ...]
    missing: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def compared(entries: Sequence[Entry], baseline: str, cache: Path) -> TargetTable | None:
    """`target_table`, kept in the cache as long as none of the scores changes."""
    what = [
        [
            entry.setup,
            entry.run.key,
            {code: result.data for code, result in entry.results.items()},
            entry.control.key if entry.control else None,
        ]
        for entry in entries
    ]
    path = cache / "comparisons" / f"{digest([FORM, RECIPE, SAMPLES, baseline, what], length=24)}.json"
    form = TypeAdapter(TargetTable | None)
    if path.is_file():
        return form.validate_json(path.read_bytes())
    table = target_table(entries, baseline)
    write_json(path, form.dump_python(table, mode="json"))
    return table


def target_table(entries: Sequence[Entry], baseline: str) -> TargetTable | None:
    """Compare setups on one target; None if no language is scored by all of them on the same data.

    Args:
        entries: One per setup, all of the same target.
        baseline: The setup that differences are taken to; without an entry of it there are none.
    """
    facts = entries[0].run.result()
    rule = SCORES[facts["score"]]
    results = {entry.setup: entry.results for entry in entries}
    scored_by = [
        {code for code, item in found.items() if item.value is not None} for found in results.values()
    ]
    in_some = set.union(*scored_by)
    shared = {code for code in set.intersection(*scored_by) if _same_data(code, entries)}
    if not shared:
        return None
    order = [language for language in facts["task_languages"] if language in shared]
    counts = {
        entry.setup: {code: load_statistics(entry.run, code, rule.name) for code in order}
        for entry in entries
    }
    # Items can only be drawn jointly where row i is item i in every language.
    whole = all(entry.results[code].whole for entry in entries for code in order)
    sizes = {len(rows) for rows in next(iter(counts.values())).values()}
    parallel = facts["parallel"] and whole and len(sizes) == 1
    rows = tuple(_row(entry, counts, baseline, parallel) for entry in entries)
    notes = dict.fromkeys(note for entry in entries for note in entry.run.result()["notes"])
    return TargetTable(
        target=facts["target"],
        score=rule.primary,
        scored=tuple(order),
        partial=tuple(sorted(in_some - shared)),
        missing=tuple(code for code in facts["task_languages"] if code not in in_some),
        rows=rows,
        notes=tuple(notes),
    )


def _same_data(language: str, entries: Sequence[Entry]) -> bool:
    """Whether all setups were scored on the same rows of a language."""
    return len({entry.results[language].data for entry in entries}) == 1


def _row(entry: Entry, counts: Mapping[str, Mapping[str, np.ndarray]], baseline: str, parallel: bool) -> Row:
    rule = SCORES[entry.run.result()["score"]]
    own = counts[entry.setup]
    base = counts.get(baseline)
    against = base if base is not None and entry.setup != baseline else None
    mean = mean_interval(own, rule.reduce, samples=SAMPLES, parallel=parallel)
    source = entry.run.result()["source_languages"]
    unseen = [float(rule.reduce(rows.sum(axis=0))[0]) for code, rows in own.items() if code not in source]
    difference = None
    differences = {}
    if against is not None:
        difference = _difference(rule, own, against, parallel=parallel)
        differences = {
            code: _difference(rule, {code: own[code]}, {code: against[code]}, parallel=False) for code in own
        }
    zero_shot = sum(unseen) / len(unseen) if unseen else None
    row = Row(entry.setup, entry.run.name, mean, zero_shot, difference, entry.results, differences)
    return _with_control(row, entry, own, parallel)


def _with_control(row: Row, entry: Entry, own: Mapping[str, np.ndarray], parallel: bool) -> Row:
    """A row with its distance to the control, where that was scored on the same data."""
    if entry.control is None:
        return row
    rule = SCORES[entry.control.result()["score"]]
    found = load_results(entry.control)
    same = [code for code in own if code in found and found[code].data == entry.results[code].data]
    if len(same) < len(own):
        return row
    other = {code: load_statistics(entry.control, code, rule.name) for code in own}
    over = functools.partial(_difference, rule, parallel=False)
    return replace(
        row,
        control={code: value for code, item in found.items() if (value := item.value) is not None},
        above_control=_difference(rule, own, other, parallel=parallel),
        above_controls={code: over({code: own[code]}, {code: other[code]}) for code in own},
    )


def _difference(
    rule: Score, a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], *, parallel: bool
) -> Difference:
    return paired_difference(a, b, rule.reduce, samples=SAMPLES, parallel=parallel)


def store_entries(runs: Sequence[Run]) -> dict[str, list[Entry]]:
    """Finished evaluations of a store by target and options, one entry per trained setup.

    Retrieval has no training: what answers below `target` (`backbone`, `mnli`, ...) stands in a row of
    its own name. Where two different runs would have the same name, their keys tell them apart.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        config = run.config()
        shared = (
            "task",
            "definition",
            "split",
            "limit",
            "backbone",
            "precision",
            "max_length",
            "layer",
            "pooling",
        )
        groups.setdefault(digest([config.get(name) for name in shared]), []).append(run)
    found = {}
    for members in groups.values():
        labels = [row_label(run.config()) for run in members]
        named = [
            Entry(label if labels.count(label) == 1 else f"{label} #{run.key[:6]}", run)
            for label, run in zip(labels, members, strict=True)
        ]
        config = members[0].config()
        found[f"{config['task']} {config['split']} {members[0].key}"] = named
    return dict(sorted(found.items()))


def row_label(config: Mapping[str, Any]) -> str:
    """Name of a row: the setup, with method and seed where they are not the usual ones."""
    method = "" if config["method"] in ("full", "none") else f" ({config['method']})"
    seed = "" if config["seed"] in (None, 1) else f" seed {config['seed']}"
    return f"{config['setup']}{method}{seed}"


def baseline_of(entries: Sequence[Entry], baseline: str) -> str | None:
    """The row that a baseline stands for: by its full name, or by its setup if only one row has it.

    For retrieval a setup stands for what of it answers, so `full` is the bare backbone.
    """
    labels = [entry.setup for entry in entries]
    if baseline in labels:
        return baseline
    setup = parse(baseline)
    below = below_target(setup)
    names = {False: str(setup), True: str(Setup(below)) if below else BARE}
    matches = [
        entry.setup
        for entry in entries
        if entry.run.config()["setup"] == names["layer" in entry.run.config()]
    ]
    return matches[0] if len(matches) == 1 else None
