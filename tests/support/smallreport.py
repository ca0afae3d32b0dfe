"""A page's content made by hand, with everything that a page can show."""

import numpy as np

from adaptrans.analysis.comparison import Row, TargetTable
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.results import LanguageResult
from adaptrans.report.content import Content, Cost, Curve, Fusion
from adaptrans.stats.intervals import difference_over_seeds, interval

SETUPS = ("full", "mnli > target", "fuse(a_rather_long_name, another_name) > target")
LANGUAGES = ("en", "de", "sw", "zh")


def _counts(setup: str, code: str, share: float) -> np.ndarray:
    generator = np.random.default_rng([len(setup), *code.encode()])
    return SCORES["accuracy"].statistics([1] * 200, (generator.random(200) < share).astype(int).tolist())


def _row(setup: str, share: float, chance: float) -> Row:
    rule = SCORES["accuracy"].reduce
    own = {code: _counts(setup, code, share) for code in LANGUAGES}
    base = {code: _counts("full", code, 0.5) for code in LANGUAGES}
    control = {code: _counts("control", code, 0.3) for code in LANGUAGES}
    results = {}
    for code in LANGUAGES:
        found = interval(own[code], rule)
        results[code] = LanguageResult(
            code, 200, {"accuracy": found.value}, found.low, found.high, "data", "fp32", chance=chance
        )
    one = lambda a, b, code: difference_over_seeds([{code: a[code]}], [{code: b[code]}], rule, parallel=False)  # noqa: E731
    mean = interval(np.vstack(list(own.values())), rule)
    first = setup == "full"
    return Row(
        setup,
        f"task.{setup}-0123456789ab",
        mean,
        mean.value,
        None if first else difference_over_seeds([own], [base], rule, parallel=True),
        results,
        {} if first else {code: one(own, base, code) for code in LANGUAGES},
        dict.fromkeys(LANGUAGES, 30.0),
        difference_over_seeds([own], [control], rule, parallel=True),
        {code: one(own, control, code) for code in LANGUAGES},
    )


def report_content(targets: int = 3) -> Content:
    """Three setups on some targets, with control, curves, costs, fusion and text that has to be escaped."""
    tables = tuple(
        TargetTable(
            f"target_{number}@1",
            "accuracy",
            LANGUAGES,
            (),
            ("yo",),
            tuple(
                _row(setup, 0.45 + 0.1 * place, 33.3) for place, setup in enumerate(SETUPS[: 3 - number % 2])
            ),
            ("a note with <b>markup</b> & an ampersand",),
        )
        for number in range(targets)
    )
    steps = tuple((10 * step, 3 / step) for step in range(1, 200))
    return Content(
        title="A <small> experiment",
        description="What is on the page, for tests.",
        backbones=("mini",),
        baseline="full",
        setups=SETUPS,
        tables=tables,
        curves=tuple(
            Curve(f"run-{place}", phase, task, setup, steps, ((1990, 71.5),))
            for phase, task in (("intermediate", "mnli"), ("target", "target_0"))
            for place, setup in enumerate(SETUPS)
        ),
        costs=tuple(
            Cost(
                row.setup,
                table.target,
                row.mean.value,
                10 ** (4 + place),
                30.0 * (place + 1),
                2**28 * (place + 3),
            )
            for table in tables
            for place, row in enumerate(table.rows)
        ),
        fusions=(
            Fusion(
                SETUPS[2],
                "target_0@1",
                ("a_rather_long_name", "another_name"),
                {str(layer): [0.1 * layer, 1 - 0.1 * layer] for layer in range(1, 5)},
                {code: [0.4, 0.6] for code in LANGUAGES},
            ),
        ),
        environment={"torch": "2.13.0", "platform": "Linux-" + "very-long-" * 20},
        commands=("adaptrans run experiment.yaml --backbone mini --data " + "folder/" * 30,),
        notes=tuple(dict.fromkeys(note for table in tables for note in table.notes)),
    )
