"""What an analysis found: a value with its interval, in numbers and as one sentence. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from adaptrans.stats.crossed import Estimate
from adaptrans.stats.intervals import SIGNIFICANT, holm_correction


@dataclass(frozen=True)
class Finding:
    """One estimated effect.

    Args:
        analysis: Title of the analysis.
        effect: What is estimated, in words.
        group: The part of the table it is estimated on; empty for all of it.
        term: The column it belongs to.
        value: The effect.
        low: Lower end of its 95 % interval.
        high: Upper end.
        se: Its standard error.
        p_value: Two-sided, that the effect is 0; None where nothing is tested.
        n: Numbers of rows, languages and so on that it rests on.
        unit: What the effect is in, such as `points per unit of log10(size)`.
        corrected: The p-value after Holm's correction over all tests of the page.
        bootstrap: Percentile interval of a hierarchical bootstrap; None where there is none.
    """

    analysis: str
    effect: str
    group: str
    term: str
    value: float
    low: float
    high: float
    se: float
    p_value: float | None
    n: dict[str, int]
    unit: str = "points"
    corrected: float | None = None
    bootstrap: tuple[float, float] | None = None

    @classmethod
    def of(cls, estimate: Estimate, **facts: object) -> Finding:
        """A finding from an estimate and what it is about."""
        numbers = {name: getattr(estimate, name) for name in ("value", "low", "high", "se", "p_value")}
        return cls(**numbers, **facts)  # type: ignore[arg-type]

    @property
    def significant(self) -> bool:
        """Whether it is marked: p below 0.05, after correction where there is one."""
        p_value = self.p_value if self.corrected is None else self.corrected
        return p_value is not None and p_value < SIGNIFICANT

    @property
    def shown_p(self) -> str:
        """The corrected p-value as tables show it."""
        if self.corrected is None:
            return "-"
        return "< 0.001" if self.corrected < 0.001 else f"{self.corrected:.3f}"

    @property
    def numbers(self) -> str:
        """What it rests on, in words."""
        return ", ".join(f"{count:,} {_counted(name, count)}" for name, count in self.n.items())

    @property
    def sentence(self) -> str:
        """The finding in words: effect, interval, test, numbers.

        Example:
            >>> Finding("a", "slope", "", "x", 1.5, 0.5, 2.5, 0.5, 0.01, {"languages": 10}).sentence
            'slope: +1.50 points (95 % interval +0.50 to +2.50; p = 0.010); n = 10 languages'
        """
        where = f"{self.group}: " if self.group else ""
        p_value = self.p_value if self.corrected is None else self.corrected
        after = "" if self.corrected is None else " after Holm"
        said = "" if p_value is None else f"; p {_small(p_value)}{after}"
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{where}{self.effect}: {self.value:+.2f}{unit} "
            f"(95 % interval {self.low:+.2f} to {self.high:+.2f}{said}); n = {self.numbers}"
        )


def _small(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def _counted(name: str, count: int) -> str:
    """A plural, or the singular for one."""
    return name[:-1] if count == 1 and name.endswith("s") else name


@dataclass(frozen=True)
class Series:
    """Points of a curve with their intervals.

    Args:
        name: What it is a curve of.
        x: Places.
        y: Values.
        low: Lower ends.
        high: Upper ends.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Part:
    """What one analysis says.

    Args:
        title: Its title.
        kind: Its name in the registry.
        findings: Its findings.
        series: Curves, of an analysis that has some.
        axis: What the curves are drawn against.
        notes: What the reader has to know.
    """

    title: str
    kind: str
    findings: tuple[Finding, ...] = ()
    series: tuple[Series, ...] = ()
    axis: str = ""
    notes: tuple[str, ...] = field(default=())


def corrected_parts(parts: Sequence[Part]) -> list[Part]:
    """The parts with p-values after Holm's correction over all tests of all parts together.

    The chance that any mark of the page is false is then at most 5 %.
    """
    tests = [
        (at, place)
        for at, part in enumerate(parts)
        for place, found in enumerate(part.findings)
        if found.p_value is not None
    ]
    every = [list(part.findings) for part in parts]
    p_values = [found.p_value for part in parts for found in part.findings if found.p_value is not None]
    for (at, place), p_value in zip(tests, holm_correction(p_values), strict=True):
        every[at][place] = replace(every[at][place], corrected=p_value)
    return [replace(part, findings=tuple(own)) for part, own in zip(parts, every, strict=True)]
