"""Analyses of factors against slow twins: what tasks add, gains, forgetting, differences, slopes, curves."""

import itertools
import math

import numpy as np
import pandas
import pytest

from adaptrans.analysis.study.base import analysis_of
from adaptrans.analysis.study.score_table import ScoreTable, crossed
from adaptrans.errors import AdaptransError

LANGUAGES = [f"l{at}" for at in range(6)]
TASKS = ["a", "b", "c"]


def table(score, seeds=(1, 2, 3), sets=None, noise=0.0, **more):
    """Scores of every set of tasks: `score` of a set and a language."""
    generator = np.random.default_rng(0)
    every = [own for size in range(4) for own in itertools.combinations(TASKS, size)]
    rows = [
        {
            "intermediates": " + ".join(own) or "-",
            "number": len(own),
            "families": len(own) - (len(own) > 2),
            "configuration": " + ".join(own),
            "seed": seed,
            "language": code,
            "score": score(own, at) + noise * generator.standard_normal(),
            **{name: value(own, at) for name, value in more.items()},
        }
        for own in (every if sets is None else sets)
        for seed in seeds
        for at, code in enumerate(LANGUAGES)
    ]
    return ScoreTable(pandas.DataFrame(rows))


def worth(own, at):
    """Tasks are worth 1, 2 and 4; a and b together a point less; languages differ."""
    single = sum({"a": 1, "b": 2, "c": 4}[name] for name in own)
    return 50 + at + single * (1 + at / 10) - ("a" in own and "b" in own)


def run(found, **keys):
    return analysis_of(keys).run(found)


def test_means_over_orders_are_those_of_every_order():
    found = {f.term: f.value for f in run(table(worth), kind="order_means").findings}
    for name in TASKS:
        added = []
        for order in itertools.permutations(TASKS):
            before = order[: order.index(name)]
            for at in range(6):
                after = tuple(task for task in TASKS if task in (*before, name))
                added.append(worth(after, at) - worth(tuple(t for t in TASKS if t in before), at))
        assert found[name] == pytest.approx(np.mean(added))


def test_a_part_of_the_sets_says_how_many_and_what_was_never_added():
    part = run(table(worth, sets=[(), ("a",), ("a", "b")]), kind="order_means")
    assert {f.term for f in part.findings} == {"a", "b"}
    assert part.findings[0].n == {"languages": 6, "seeds": 3, "additions": 3}
    assert "3 of 4 sets of 2 tasks were scored" in part.notes
    with pytest.raises(AdaptransError, match="differ in one task"):
        run(table(worth, sets=[("a",), ("b", "c")]), kind="order_means")


def test_gains_by_number_keep_the_identity_of_tasks_apart():
    found = {f.term: f for f in run(table(worth), kind="gain", families="families").findings}
    # Without a loss for pairs, a straight line in the number is the mean worth of a task.
    plain = {f.term: f for f in run(table(lambda own, at: 50 + 3 * len(own) + at), kind="gain").findings}
    assert plain["number"].value == pytest.approx(3)
    assert plain["pairs"].value == pytest.approx(0, abs=1e-9)
    assert plain["pairs"].p_value == 1
    # One of three pairs loses a point: least squares on number, identity and pairs, done by hand.
    sets = [own for size in range(4) for own in itertools.combinations(TASKS, size)]
    design = np.array(
        [[1, *(name in own for name in TASKS), len(own) * (len(own) - 1) / 2] for own in sets], dtype=float
    )
    y = np.array([np.mean([worth(own, at) for at in range(6)]) for own in sets])
    assert found["pairs"].value == pytest.approx(np.linalg.lstsq(design, y, rcond=None)[0][-1])
    families = np.array([len(own) - (len(own) > 2) for own in sets], dtype=float)
    by_family = np.column_stack([np.ones(8), [len(own) for own in sets], families])
    assert found["families"].value == pytest.approx(np.linalg.lstsq(by_family, y, rcond=None)[0][2])


def test_forgetting_is_the_drop_from_the_best_earlier_phase():
    scores = {"nli": [70, 74, 66], "tatoeba": [80, 78, 77]}
    rows = [
        {"task": task, "phase": phase, "seed": seed, "language": code, "score": value + at + seed}
        for task, own in scores.items()
        for phase, value in enumerate(own)
        for seed in (1, 2)
        for at, code in enumerate(LANGUAGES)
    ]
    part = run(ScoreTable(pandas.DataFrame(rows)), kind="forgetting")
    found = {(f.group, f.term): f.value for f in part.findings}
    assert found == pytest.approx(
        {
            ("nli", "forgetting"): 8,
            ("nli", "backward transfer"): -4,
            ("tatoeba", "forgetting"): 3,
            ("tatoeba", "backward transfer"): -3,
            ("", "mean forgetting"): 5.5,
            ("", "mean backward transfer"): -3.5,
        }
    )
    assert "nli: its best score before the last phase is that after phase 1" in part.notes
    alone = ScoreTable(pandas.DataFrame([row for row in rows if row["phase"] == 0]))
    with pytest.raises(AdaptransError, match="after one phase alone"):
        run(alone, kind="forgetting")


def test_differences_are_paired_by_language_and_seed():
    def shifted(own, at):
        return 50 + 10 * at + (2 + at / 10 if own else 0)

    found = table(shifted, sets=[(), ("a",)])
    frame = found.frame
    # A seed that is better in all languages, before and after, changes nothing.
    frame.loc[frame["seed"] == 2, "score"] += 7
    (finding,) = run(found, kind="difference", factor="intermediates", baseline="-").findings
    assert finding.value == pytest.approx(2.25)
    assert finding.se == pytest.approx(np.std([at / 10 for at in range(6)], ddof=1) / math.sqrt(6))
    # A baseline without training has one seed, which stands beside every seed.
    one = ScoreTable(frame[(frame["intermediates"] == "a") | (frame["seed"] == 1)])
    (other,) = run(one, kind="difference", factor="intermediates", baseline="-").findings
    assert other.value == pytest.approx(2.25 + 7 / 3)


def test_slopes_and_curves_are_means_over_languages():
    sizes = {"a": 100, "b": 1000, "c": 10_000}

    def score(own, at):
        return 50 + at + (1 + at) * math.log10(sizes[own[0]])

    found = table(score, sets=[("a",), ("b",), ("c",)], size=lambda own, at: sizes[own[0]])
    (slope,) = run(found, kind="slope", on="log10(size)").findings
    assert slope.value == pytest.approx(3.5)
    assert slope.se == pytest.approx(np.std(range(6), ddof=1) / math.sqrt(6))
    (curve,) = run(found, kind="learning_curve").series
    assert curve.x == (2, 3, 4)
    assert curve.y == pytest.approx([50 + 2.5 + 3.5 * x for x in (2, 3, 4)])
    assert all(low < y < high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True))
    text = found.with_columns({"text": list(range(6)) * 9})
    (linked,) = run(text, kind="correlation", on="text", slope_on="log10(size)").findings
    assert linked.value == pytest.approx(1)


def test_languages_that_a_run_lacks_are_left_out_and_named():
    found = table(worth)
    frame = found.frame
    less = ScoreTable(frame[~((frame["language"] == "l3") & (frame["number"] == 2) & (frame["seed"] == 1))])
    wide = crossed(less, ["intermediates", "seed"])
    assert wide.languages == ("l0", "l1", "l2", "l4", "l5")
    assert wide.notes == ("not scored in every run, left out: l3",)
    place = wide.runs.index(("a + c", 2))
    assert wide.scores[:, place] == pytest.approx([worth(("a", "c"), at) for at in (0, 1, 2, 4, 5)])
    with pytest.raises(AdaptransError, match="1 languages were scored in all"):
        crossed(ScoreTable(frame[frame["language"] == "l0"]), ["intermediates", "seed"])


def test_scores_that_are_alike_but_for_rounding_do_not_differ():
    found = table(lambda own, at: 100 + 1e-13 * len(own) * at)
    part = run(found, kind="gain")
    assert {f.p_value for f in part.findings} == {1.0}
