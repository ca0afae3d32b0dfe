"""Setups beside the baseline: means over languages, intervals, paired differences. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.score import Score
from adaptrans.evaluation.results import LanguageResult, better_layer_notes, load_results, load_statistics
from adaptrans.perturbations.base import PERTURBATIONS
from adaptrans.runs.base import TransferSetting
from adaptrans.runs.store import Run
from adaptrans.stats.bootstrap import Resampled, resample
from adaptrans.stats.intervals import (
    Difference,
    Interval,
    Spread,
    difference_of_medians,
    holm_correction,
    median_of,
    spread_of,
)
from adaptrans.utils.formats import COMPARISON, RECIPE
from adaptrans.utils.io import atomic_write, digest

SAMPLES = 1000
SHARED = (
    "task",
    "definition",
    "split",
    "limit",
    "backbone",
    "precision",
    "max_length",
    "layer",
    "pooling",
    "text_prefix",
    "regime",
)
"""Inputs of evaluations that stand in one table."""


@dataclass(frozen=True)
class Entry:
    """The evaluations that make a row: one per seed.

    Args:
        setup: Row it stands in.
        runs: The evaluations' runs, in the order of the seeds.
        languages: Languages that take part; empty for all they have.
        controls: The same evaluations on the shuffled backbone, where they were made.
        against: Row that its difference is taken to; empty, or not among the rows, for the baseline.
    """

    setup: str
    runs: tuple[Run, ...]
    languages: tuple[str, ...] = ()
    controls: tuple[Run, ...] = ()
    against: str = ""

    @property
    def run(self) -> Run:
        """The first seed's run, which stands for what all have in common."""
        return self.runs[0]

    @cached_property
    def results(self) -> tuple[dict[str, LanguageResult], ...]:
        """Results of the languages that take part, for each seed."""
        return tuple(
            {
                code: result
                for code, result in load_results(run).items()
                if not self.languages or code in self.languages
            }
            for run in self.runs
        )

    @cached_property
    def scored(self) -> frozenset[str]:
        """Languages that every seed was scored in, on the same data."""
        shared = set.intersection(
            *({code for code, item in found.items() if item.value is not None} for found in self.results)
        )
        return frozenset(code for code in shared if len({found[code].data for found in self.results}) == 1)

    @cached_property
    def control_results(self) -> tuple[dict[str, LanguageResult], ...]:
        """Results of each shuffled-weights baseline."""
        return tuple(load_results(run) for run in self.controls)


@dataclass(frozen=True)
class SeedScore:
    """What one seed scored.

    Args:
        seed: The seed; None for what has no training.
        run: Name of the evaluation's run.
        mean: Mean over the shared languages.
        languages: Values by language, also those not shared.
    """

    seed: int | None
    run: str
    mean: float
    languages: dict[str, float]


@dataclass(frozen=True)
class Row:
    """One setup on one target.

    Args:
        run: Name of the first seed's evaluation run.
        mean: Mean over the shared languages, with its interval; of several seeds the median.
        zero_shot: The same mean without the languages of the training data; None if none is left, and
            where something was seen of the target languages.
        difference: Mean minus the baseline's, paired by example; None for the baseline itself.
        languages: Results by language, also those not shared; of several seeds the median.
        differences: Difference to the baseline by language.
        control: The shuffled-weights baseline's values by language; empty without one.
        above_control: Mean minus that baseline's, over the same languages, paired by example.
        above_controls: The same by language.
        seeds: What each seed scored.
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
    seeds: tuple[SeedScore, ...] = ()

    def chance(self, languages: Sequence[str]) -> float | None:
        """Mean of the chance levels of some languages; None where one is not known."""
        levels = [self.languages[code].chance for code in languages]
        known = [level for level in levels if level is not None]
        return sum(known) / len(known) if known and len(known) == len(levels) else None


@dataclass(frozen=True)
class TargetTable:
    """All setups on one target, of one regime and on one backbone.

    Args:
        target: The task, as `name@version`.
        score: Name of the primary value.
        scored: Languages of the means: those that every setup was scored in.
        partial: Languages that only some setups were scored in, or on other data; they enter no mean.
        missing: Languages of the task that no setup was scored in.
        rows: One per setup, in the order given.
        notes: What the reader of the numbers has to know.
        regime: What was seen of the target languages, in words; empty for zero-shot.
        which: What tells the table from others of the same target, backbone and regime; empty without any.
        vectors: For what compares vectors, their layer, pooling, direction and prefix; else empty.
    """

    target: str
    score: str
    scored: tuple[str, ...]
    partial: tuple[str, ...]
    missing: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    regime: str = ""
    backbone: str = ""
    which: str = ""
    vectors: dict[str, Any] = field(default_factory=dict)


OWN_BASELINE = (
    "a row with a formulation in brackets, or with ~ and a changed test set, differs from the row without"
)


def formulated(row: str, formulation: str) -> str:
    """The name of a row with how the target is put; as it is where that is as its type puts it.

    Example:
        >>> formulated("full", "cloze:en"), formulated("full", "")
        ('full [cloze:en]', 'full')
    """
    return f"{row} [{formulation}]" if formulation else row


def compared(entries: Sequence[Entry], baseline: str, cache: Path) -> TargetTable | None:
    """`target_table`, kept in the cache as long as none of the scores changes."""
    what = [
        [
            entry.setup,
            [run.key for run in entry.runs],
            [{code: result.data for code, result in found.items()} for found in entry.results],
            [run.key for run in entry.controls],
            *([entry.against] if entry.against else []),
        ]
        for entry in entries
    ]
    path = cache / "comparisons" / f"{digest([COMPARISON, RECIPE, SAMPLES, baseline, what], length=24)}.json"
    form = TypeAdapter(TargetTable | None)
    if path.is_file():
        return form.validate_json(path.read_bytes())
    table = target_table(entries, baseline)
    with atomic_write(path) as temporary:
        temporary.write_bytes(form.dump_json(table))
    return table


def target_table(entries: Sequence[Entry], baseline: str) -> TargetTable | None:
    """Compare setups on one target; None if no language is scored by all of them on the same data.

    Args:
        entries: One per setup, all of the same target and regime.
        baseline: The setup that differences are taken to; without an entry of it there are none.
    """
    facts = entries[0].run.result()
    rule = SCORES[facts["score"]]
    in_some = {code for entry in entries for found in entry.results for code in found if found[code].values}
    in_all = frozenset.intersection(*(entry.scored for entry in entries))
    shared = {code for code in in_all if len({entry.results[0][code].data for entry in entries}) == 1}
    if not shared:
        return None
    order = [language for language in facts["task_languages"] if language in shared]
    # Items can only be drawn jointly where row i is item i in every language.
    whole = all(found[code].whole for entry in entries for found in entry.results for code in order)
    runs = [run for entry in entries for run in (*entry.runs, *_controls(entry, order))]
    scores = bootstrap_samples(runs, rule, order, SAMPLES, parallel=facts["parallel"] and whole)
    named = {entry.setup: entry for entry in entries}
    bases = [named.get(entry.against) or named.get(baseline) for entry in entries]
    pairs = zip(entries, bases, strict=True)
    rows = tuple(_row(entry, scores, base, rule, order) for entry, base in pairs)
    notes = dict.fromkeys(note for entry in entries for run in entry.runs for note in run.result()["notes"])
    halves = [found[code].half for entry in entries for found in entry.results for code in order]
    notes |= dict.fromkeys(better_layer_notes(facts, halves))
    if any(entry.against in named for entry in entries):
        notes[OWN_BASELINE] = None
    notes |= dict.fromkeys(filter(None, map(_should_be_equal, entries, rows)))
    return TargetTable(
        target=facts["target"],
        score=rule.primary,
        scored=tuple(order),
        partial=tuple(sorted(in_some - shared)),
        missing=tuple(code for code in facts["task_languages"] if code not in in_some),
        rows=rows,
        notes=tuple(notes),
        regime=_transfer(entries[0].run).words,
        backbone=str(entries[0].run.config().get("backbone_name", "")),
        vectors=facts.get("vectors") or {},
    )


def _should_be_equal(entry: Entry, row: Row) -> str | None:
    """A note where a perturbation changed a score that no model that works as it should changes under it."""
    name = (entry.run.config().get("perturbation") or {}).get("name", "")
    same = name and PERTURBATIONS[name.partition(":")[0]].SAME_SCORE
    if not same or row.difference is None or not row.difference.value:
        return None
    return (
        f"{row.setup}: {name} changed the score by {row.difference.value:+.2f}, where only rounding may; "
        "look at how the choices are scored"
    )


def backbone_of(run: Run) -> str:
    """Name of the encoder of an evaluation, or the beginning of its fingerprint."""
    config = run.config()
    return str(config.get("backbone_name") or config["backbone"][:12])


def _transfer(run: Run) -> TransferSetting:
    """What the model of an evaluation had seen of the target languages."""
    return TransferSetting(**run.result().get("regime", {}))


def _controls(entry: Entry, languages: Sequence[str]) -> tuple[Run, ...]:
    """The controls of a row; empty unless all were scored in these languages on the same data."""
    own = entry.results[0]
    for results in entry.control_results:
        if any(code not in results or results[code].data != own[code].data for code in languages):
            return ()
    return entry.controls


def _row(
    entry: Entry, scores: BootstrapSamples, base: Entry | None, rule: Score, order: Sequence[str]
) -> Row:
    against = base.runs if base is not None and base is not entry else ()
    row = Row(
        setup=entry.setup,
        run=entry.run.name,
        mean=scores.median(entry.runs),
        zero_shot=_zero_shot(entry, scores, order),
        difference=scores.difference(entry.runs, against) if against else None,
        languages={
            code: _over_seeds(entry, code, scores, rule) for code in entry.results[0] if code in entry.scored
        },
        differences=_by_language(scores, entry.runs, against, order),
        seeds=_seed_scores(entry, scores),
    )
    return _with_control(row, entry, scores, order)


def _zero_shot(entry: Entry, scores: BootstrapSamples, order: Sequence[str]) -> float | None:
    """Median over seeds of the mean over languages without labels in training."""
    if not _transfer(entry.run).zero_shot:
        return None
    source = entry.run.result()["source_languages"]
    unseen = [code for code in order if code not in source]
    if not unseen:
        return None
    values = [scores.observed(entry.runs, code) for code in unseen]
    return median(sum(seed) / len(unseen) for seed in zip(*values, strict=True))


def _over_seeds(entry: Entry, code: str, scores: BootstrapSamples, rule: Score) -> LanguageResult:
    """What a setup scored in one language: of several seeds the median, with an interval over both."""
    found = [results[code] for results in entry.results]
    if len({run.path for run in entry.runs}) == 1:
        return found[0]
    if code not in scores.scores.languages:
        scores = bootstrap_samples(entry.runs, rule, [code], SAMPLES, parallel=False)
    bounds = scores.median(entry.runs, code)
    values = {part: median(result.values[part] for result in found) for part in found[0].values}
    return replace(found[0], values=values, low=bounds.low, high=bounds.high)


def _seed_scores(entry: Entry, scores: BootstrapSamples) -> tuple[SeedScore, ...]:
    """What each run scored; one that answers for all seeds stands once."""
    found = {}
    for run, results in zip(entry.runs, entry.results, strict=True):
        values = {code: value for code, item in results.items() if (value := item.value) is not None}
        mean = scores.observed([run])[0]
        found[run.path] = SeedScore(run.config().get("seed"), run.name, mean, values)
    return tuple(found.values())


def _with_control(row: Row, entry: Entry, scores: BootstrapSamples, order: Sequence[str]) -> Row:
    """A row with its distance to the shuffled-weights baseline, where that was scored on the same data."""
    controls = _controls(entry, order)
    if not controls:
        return row
    found = entry.control_results
    shared = set.intersection(*({code for code in results if results[code].values} for results in found))
    return replace(
        row,
        control={
            code: median(next(iter(results[code].values.values())) for results in found)
            for code in sorted(shared)
        },
        above_control=scores.difference(entry.runs, controls),
        above_controls=_by_language(scores, entry.runs, controls, order),
    )


def _by_language(
    scores: BootstrapSamples, a: Sequence[Run], b: Sequence[Run], languages: Sequence[str]
) -> dict[str, Difference]:
    return {code: scores.difference(a, b, code) for code in languages} if b else {}


def corrected(tables: Sequence[TargetTable]) -> list[TargetTable]:
    """The tables with every difference's p-value corrected by Holm over the table it is shown in.

    Means over languages stand in one table of all targets on a backbone and of a regime, and so do their
    distances to the shuffled-weights baseline; differences by language stand in one table per target.
    """
    rows = [list(table.rows) for table in tables]
    families = []
    for place in {(table.backbone, table.regime): None for table in tables}:
        own = [at for at, table in enumerate(tables) if (table.backbone, table.regime) == place]
        families += [
            [(at, row, name, "") for at in own for row, found in enumerate(rows[at]) if getattr(found, name)]
            for name in ("difference", "above_control")
        ]
    for at, own_rows in enumerate(rows):
        families += [
            [(at, row, name, code) for row, found in enumerate(own_rows) for code in getattr(found, name)]
            for name in ("differences", "above_controls")
        ]
    for family in families:
        items: list[Difference] = [
            getattr(rows[at][row], name)[code] if code else getattr(rows[at][row], name)
            for at, row, name, code in family
        ]
        p_values = holm_correction([item.p_value for item in items])
        for (at, row, name, code), item, p_value in zip(family, items, p_values, strict=True):
            new: Any = replace(item, corrected=p_value)
            changes: dict[str, Any] = {name: {**getattr(rows[at][row], name), code: new} if code else new}
            rows[at][row] = replace(rows[at][row], **changes)
    return [replace(table, rows=tuple(own)) for table, own in zip(tables, rows, strict=True)]


@dataclass(frozen=True)
class BootstrapSamples:
    """Runs that were scored on the same examples.

    Args:
        places: Where each run stands in `scores`, by its folder.
        scores: Their scores, as observed and in each resample.
        spreads: Medians over seeds that were asked for, by the seeds' places and the language.
    """

    places: Mapping[Path, int]
    scores: Resampled
    spreads: dict[tuple[tuple[int, ...], str | None], Spread] = field(default_factory=dict, repr=False)

    def observed(self, runs: Sequence[Run], language: str | None = None) -> list[float]:
        """Score of each run in a language, or its mean over languages."""
        return [float(value) for value in self.scores.means(self._places(runs), language).observed]

    def median(self, runs: Sequence[Run], language: str | None = None) -> Interval:
        """Median over seeds of the score in a language, or of the mean over languages."""
        return median_of(self._spread(runs, language))

    def difference(self, a: Sequence[Run], b: Sequence[Run], language: str | None = None) -> Difference:
        """Difference of the medians over seeds of two setups, paired by example."""
        return difference_of_medians(self._spread(a, language), self._spread(b, language))

    def _spread(self, runs: Sequence[Run], language: str | None) -> Spread:
        key = (self._places(runs), language)
        if key not in self.spreads:
            self.spreads[key] = spread_of(self.scores.means(*key))
        return self.spreads[key]

    def _places(self, runs: Sequence[Run]) -> tuple[int, ...]:
        """Where runs stand; one that answers for several seeds stands once."""
        return tuple(dict.fromkeys(self.places[run.path] for run in runs))


def bootstrap_samples(
    runs: Sequence[Run], rule: Score, languages: Sequence[str], samples: int, *, parallel: bool | None
) -> BootstrapSamples:
    """Load the counts of runs and resample them.

    Args:
        runs: The runs; each is taken once.
        rule: The score.
        languages: Languages that all runs were scored in, on the same data.
        samples: Number of resamples.
        parallel: Whether row i is the same item in every language; items are drawn jointly only where
            languages are of one size too.
    """
    own = {run.path: run for run in runs}
    counts = [
        {code: _compact(load_statistics(run, code, rule.name)) for code in languages} for run in own.values()
    ]
    jointly = bool(parallel) and len({len(rows) for rows in counts[0].values()}) == 1
    scores = resample(counts, rule.reduce, 0, samples, 0, parallel=jointly, weigh=rule.weigh)
    return BootstrapSamples({path: place for place, path in enumerate(own)}, scores)


def _compact(counts: np.ndarray) -> np.ndarray:
    """Counts in half of the memory, where they are the same numbers there."""
    small = counts.astype(np.float32)
    return small if np.array_equal(small, counts) else counts
