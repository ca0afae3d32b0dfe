"""Published rows: only beside what is the same in everything that moves a score."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adaptrans import benchmarks
from adaptrans.analysis.comparison import Row, TargetTable
from adaptrans.analysis.published import PublishedBaselines, known, published_baselines, why_not
from adaptrans.evaluation.results import LanguageResult
from adaptrans.runs.store import Store
from adaptrans.stats.intervals import Interval

LARGE = "FacebookAI/xlm-roberta-large"
MEAN = Interval(80.0, 79.0, 81.0, 5010)


@pytest.fixture
def made(tmp_path):
    """A table on a target and its store: whole test sets, all languages, standard training data."""
    store = Store(tmp_path)

    def make(target="xnli", examples=392702, n=5010, **config):
        data = known().data[target]
        languages = benchmarks.get(data.benchmark).tasks[target].languages
        trained = store.run("target", target, {"of": target, "examples": examples})
        inputs = {"task": target, "split": "test", "limit": None, "trained": trained.key, **config}
        run = store.run("evaluate", target, inputs)
        for own, values, result in ((trained, {}, {"examples": examples}), (run, inputs, {})):
            with store.working_on(own, values):
                own.finish(result)
        results = {
            code: LanguageResult(code, n, {"accuracy": 80.0}, 79.0, 81.0, "", "fp32") for code in languages
        }
        row = Row("full", run.name, MEAN, 80.0, None, results, {})
        table = TargetTable(f"{target}@1", "accuracy", tuple(languages), (), (), (row,), (), "", LARGE)
        return table, {run.key: run for run in store.runs()}

    return make


def test_every_row_has_a_source_and_known_targets():
    for row in known().rows:
        assert row.source
        assert set(row.scores) <= set(known().data)
        for target, values in row.languages.items():
            definition = benchmarks.get(known().data[target].benchmark).tasks[target]
            assert set(values) == set(definition.languages)
            # A published mean is rounded, and so are the values behind it.
            assert sum(values.values()) / len(values) == pytest.approx(row.value(target), abs=0.06)


def test_what_is_the_same_in_everything_stands_beside(made):
    found = published_baselines(*made())
    assert found.why_not == ""
    assert found.lines[0].label == "published: XLM-R Large"
    assert found.lines[0].value == 79.2
    assert found.lines[0].note == "published: XLM-R Large: RemBERT (arXiv 2010.12821), Table 16 (found)"
    questions = published_baselines(*made("xquad", 87599, 1190))
    assert questions.lines[0].value == pytest.approx((76.6 + 60.8) / 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone": "mini"}, "backbone mini, published are xlm-roberta-large"),
        ({"regime": "not zero-shot: x"}, "not zero-shot: x"),
        ({"scored": ("de", "en")}, "no score in ar, bg, el, es ..."),
        (
            {"notes": ("trained on a part, not comparable with published numbers",)},
            "not the standard training",
        ),
    ],
)
def test_any_other_table_has_none_and_says_why(made, change, reason):
    table, runs = made()
    found = published_baselines(replace(table, **change), runs)
    assert found.lines == ()
    assert found.why_not.startswith(reason)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"limit": 100}, "scored on 100 examples a language"),
        ({"split": "dev"}, "scored on dev"),
        ({"n": 5000}, "test sets of 5,000 examples instead of 5,010"),
        ({"examples": 8000}, "trained on 8,000 examples instead of 392,702"),
    ],
)
def test_a_part_of_the_data_is_not_comparable(made, options, reason):
    assert published_baselines(*made(**options)) == PublishedBaselines("xnli@1", (), reason)


def test_vectors_of_another_layer_are_not_comparable(made):
    own = published_baselines(*made("tatoeba", 0, 1000, layer=14, pooling="mean"))
    assert own.lines[0].languages["sw"] == 7.9
    assert (
        published_baselines(*made("tatoeba", 0, 1000, layer=7, pooling="mean")).why_not
        == "published vectors are of layer 14"
    )


def test_what_nothing_is_published_of_is_no_reason(made):
    table, runs = made()
    assert published_baselines(replace(table, target="own@1"), runs) == PublishedBaselines("own@1")
    assert why_not([PublishedBaselines("own@1")]) == ""


def test_command_and_page_say_why(filled_store):
    from typer.testing import CliRunner

    from adaptrans import api
    from adaptrans_cli.main import app

    place = str(filled_store.root)
    shown = CliRunner().invoke(app, ["compare", "--store", place, "--published"])
    assert "published rows not shown, for they are not comparable: xnli (" in shown.output
    assert "published rows" not in CliRunner().invoke(app, ["compare", "--store", place]).output
    printed = CliRunner().invoke(app, ["compare", "--store", place, "--json"])
    assert json.loads(printed.output)[0]["published"]["lines"] == []
    page = api.report(api.compare(place), out=Path(place) / "page.html", store=place)
    assert "published rows not shown" in page.read_text()


@pytest.fixture
def filled_store(planner):
    from adaptrans.experiments.execution.base import execute
    from adaptrans.experiments.plan import plan

    execute(plan(planner, ("full",), ("xnli",)))
    return planner.workspace.store
