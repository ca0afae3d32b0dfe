"""From one value per language to the score of a task, by XTREME's rule. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adaptrans.errors import AdaptransError


@dataclass(frozen=True)
class TaskScore:
    """Averages of one task over its languages.

    Attributes:
        value: The task score: (exact match + F1) / 2 for question answering, else the
            primary part, averaged over `languages`.
        averages: Plain mean of each part over `languages`; the reference prints them as `avg_<part>`.
        zero_shot: The task score over the languages other than the source; None without any.
        languages: Languages that were averaged, in the order of the task.
        missing: Languages of the task without a value. If there are any, `value` cannot be
            compared with published scores.
        extra: Languages that have a value but do not belong to the task; not averaged.
    """

    value: float
    averages: dict[str, float]
    zero_shot: float | None
    languages: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every language of the task has a value."""
        return not self.missing

    def __str__(self) -> str:
        if self.complete:
            return f"{self.value:.1f}"
        total = len(self.languages) + len(self.missing)
        return (
            f"{self.value:.1f} (mean of {len(self.languages)} of {total}; missing {', '.join(self.missing)})"
        )


def task_score(
    per_language: Mapping[str, Mapping[str, float]],
    languages: Sequence[str],
    *,
    primary: str | None = None,
    source: Sequence[str] = ("en",),
) -> TaskScore:
    """Average the values of a task over its languages, and name the ones that are missing.

    English counts as any other language where the task lists it.

    Args:
        per_language: Parts of the scores in each language, in points, all with the same parts,
            named `accuracy` or, as in results of an evaluation, `chunk_f1.f1`. A language without
            any part, for it has no references, counts as missing.
        languages: The languages of the task.
        primary: The score that makes the task score (`squad`), or one of the parts (`chunk_f1.f1`);
            by default the score of the first part. A score of which there are both `exact_match`
            and `f1` follows the rule for question answering, any other counts by its first part.
        source: Languages the model was trained on, left out of `zero_shot`.

    Raises:
        AdaptransError: If no language of the task has a value, a language is listed twice, or
            parts differ between languages.

    Source: google-research/xtreme, evaluate.py.

    Example:
        >>> values = {"en": {"accuracy": 90.0}, "de": {"accuracy": 80.0}}
        >>> score = task_score(values, ["en", "de", "sw"])
        >>> score.value, score.zero_shot, score.missing
        (85.0, 80.0, ('sw',))
        >>> print(score)
        85.0 (mean of 2 of 3; missing sw)
        >>> task_score({"de": {"squad.f1": 80.0, "squad.exact_match": 60.0}}, ["de"], primary="squad").value
        70.0
    """
    if len(set(languages)) != len(languages):
        twice = sorted({name for name in languages if list(languages).count(name) > 1})
        raise AdaptransError(f"languages listed twice: {', '.join(twice)}", remedy="list each language once")
    present = tuple(name for name in languages if per_language.get(name))
    missing = tuple(name for name in languages if not per_language.get(name))
    if not present:
        raise AdaptransError(
            f"no value in any of the {len(languages)} languages of the task",
            remedy="evaluate one or more of its languages",
        )
    parts = _parts(per_language, present)
    counted = _counted(parts, primary)
    unseen = tuple(name for name in present if name not in source)
    averages = _averages(per_language, present, parts)
    return TaskScore(
        value=_task_value(averages, counted),
        averages=averages,
        zero_shot=_task_value(_averages(per_language, unseen, parts), counted) if unseen else None,
        languages=present,
        missing=missing,
        extra=tuple(sorted(set(per_language) - set(languages))),
    )


def _parts(per_language: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> tuple[str, ...]:
    parts = tuple(per_language[names[0]])
    for name in names:
        if set(per_language[name]) != set(parts):
            raise AdaptransError(
                f"{name} has the values {', '.join(sorted(per_language[name]))}, "
                f"{names[0]} has {', '.join(sorted(parts))}",
                remedy="score all languages with the same score",
            )
    return parts


def _averages(
    per_language: Mapping[str, Mapping[str, float]], names: Sequence[str], parts: Sequence[str]
) -> dict[str, float]:
    return {part: sum(per_language[name][part] for name in names) / len(names) for part in parts}


def _counted(parts: Sequence[str], primary: str | None) -> tuple[str, ...]:
    """The parts whose averages, in equal shares, make the task score."""
    if primary is not None and primary in parts:
        return (primary,)
    score = _score_of(parts[0]) if primary is None else primary
    own = [part for part in parts if _score_of(part) == score]
    if not own:
        scores = dict.fromkeys(filter(None, map(_score_of, parts)))
        raise AdaptransError(
            f'no part "{primary}" in the values', remedy=f"choose from {', '.join([*scores, *parts])}"
        )
    both = [part for part in own if part.rpartition(".")[2] in ("exact_match", "f1")]
    return tuple(both) if len(both) == 2 else (own[0],)


def _score_of(part: str) -> str:
    return part.rpartition(".")[0]


def _task_value(averages: Mapping[str, float], counted: Sequence[str]) -> float:
    return sum(averages[part] for part in counted) / len(counted)
