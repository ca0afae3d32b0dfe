"""Means of a benchmark against plain arithmetic."""

import numpy as np
import pytest

from adaptrans import benchmarks
from adaptrans.analysis.aggregates import overall
from adaptrans.analysis.comparison import Row, TargetTable
from adaptrans.errors import UnknownNameError
from adaptrans.evaluation.results import LanguageResult
from adaptrans.runs.store import Store
from adaptrans.stats.intervals import Difference, Interval

GROUPS = benchmarks.get("xtreme").groups
VALUES = {"full": 60.0, "mnli > target": 62.0}
ANSWERS = {"full": ("backbone", "none"), "mnli > target": ("mnli", "seq_bn")}


@pytest.fixture
def filled(tmp_path):
    """Tables of all nine tasks as a store has them: retrieval rows bear the names of what answers."""
    store = Store(tmp_path)
    tables = []
    for number, (task, definition) in enumerate(benchmarks.get("xtreme").tasks.items()):
        retrieval = task in GROUPS["retrieval"]
        rows = []
        for setup, value in VALUES.items():
            name, method = ANSWERS[setup] if retrieval else (setup, "full" if setup == "full" else "seq_bn")
            config = {"task": task, "setup": name, "method": method, **({"layer": 2} if retrieval else {})}
            run = store.run("evaluate", f"{task}.{name}", config)
            with store.working_on(run, config):
                run.finish({})
            own = value + number
            gap = None if setup == "full" else Difference(2.0, 1.0, 3.5, 0.01, 100)
            results = {
                code: LanguageResult(code, 9, {"s": own}, 0, 1, "", "") for code in definition.languages
            }
            rows.append(Row(name, run.name, Interval(own, own - 3, own + 4, 100), None, gap, results, {}))
        tables.append(
            TargetTable(f"{task}@1", "s", tuple(definition.languages), (), (), tuple(rows), (), "", "b")
        )
    return tables, {run.key: run for run in store.runs()}


def test_groups_and_all_tasks_are_plain_means(filled):
    tables, runs = filled
    (found,) = overall(tables, "xtreme", runs)
    assert found.columns == (*GROUPS, "overall")
    assert set(found.rows) == set(VALUES)
    places = {task: number for number, task in enumerate(benchmarks.get("xtreme").tasks)}
    for setup, value in VALUES.items():
        for group, tasks in {**GROUPS, "overall": tuple(places)}.items():
            mean = found.rows[setup][group]
            assert mean.value == pytest.approx(value + np.mean([places[task] for task in tasks]))
            assert mean.value - mean.low == pytest.approx(3 / np.sqrt(len(tasks)))
            assert mean.high - mean.value == pytest.approx(4 / np.sqrt(len(tasks)))
    assert found.rows["full"]["overall"].difference is None
    own = found.rows["mnli > target"]["overall"]
    assert (own.difference, own.difference_low) == (pytest.approx(2.0), pytest.approx(2 - 1 / 3))


def test_a_mean_of_which_a_task_is_missing_is_not_given(filled):
    from dataclasses import replace

    tables, runs = filled
    short = replace(tables[0], scored=tables[0].scored[1:])
    (found,) = overall([short, *tables[1:-1]], "xtreme", runs)
    assert found.lacking == {"xnli": "no score in ar", "tatoeba": "not evaluated"}
    assert set(found.rows["full"]) == {"tagging", "qa"}
    assert overall(tables[:1], "xtreme", runs) == []
    with pytest.raises(UnknownNameError, match="xtreme"):
        overall(tables, "xtrem", runs)
