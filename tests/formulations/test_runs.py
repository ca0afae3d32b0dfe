"""Formulated targets through the runs that every target has: planned, trained, reloaded, answered."""

import json
import re
from dataclasses import replace

import pytest
from support.smalldata import make_planner, make_workspace

from adaptrans.analysis.comparison import OWN_BASELINE
from adaptrans.analysis.entries import store_entries
from adaptrans.errors import ArtifactError, ConfigError, SetupError
from adaptrans.evaluation.inference import Predictor, lender, open_session, predict_rows
from adaptrans.evaluation.results import load_language
from adaptrans.experiments.commands import plan_evaluate
from adaptrans.experiments.config import Experiment
from adaptrans.experiments.plan import plan, planned_tables
from adaptrans.exporting.transformers import export
from adaptrans.hub.pull import pull
from adaptrans.hub.push import push
from adaptrans.modeling import adapters
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.safetensors_io import read_tensors
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.evaluation import execute_together, side_by_side
from adaptrans.utils.io import read_json


@pytest.fixture(scope="module")
def planner(tiny_backbone, small_data, tmp_path_factory):
    where = make_workspace(tiny_backbone, small_data, tmp_path_factory.mktemp("store"))
    return make_planner(where, epochs=0.5)


def carried_out(planner, setup, target):
    """The scores of a setup on a target, and its evaluation."""
    task = planner.workspace.task(target)
    spec, before = planner.evaluate(parse(setup), task)
    for run in before:
        run.execute()
    spec.execute()
    return spec, {code: load_language(spec.run, code) for code in spec.wanted_languages}


@pytest.mark.parametrize("setup", ["full", "nli > target"])
def test_a_cloze_is_trained_and_answers_again_from_its_artifact(planner, setup):
    spec, scores = carried_out(planner, setup, "xnli[cloze:own]")
    assert set(scores) == {"en", "de", "sw"}
    assert all(result.n == 18 for result in scores.values())
    assert spec.run.config()["formulation"]["name"] == "cloze:own"
    session = open_session(spec)
    assert session.assembled.head.type == "mlm"
    row = {"text": "the man sleeps", "pair": "the man rests"}
    told = list(predict_rows(replace(spec, languages=("sw",)), [row]))
    assert told[0]["prediction"] in spec.task.labels


def test_the_key_of_a_target_that_is_put_as_its_type_puts_it_is_what_it_was(planner):
    plain, _ = planner.evaluate(parse("full"), planner.workspace.task("xnli"))
    head, _ = planner.evaluate(parse("full"), planner.workspace.task("xnli[head]"))
    cloze, (before,) = planner.evaluate(parse("full"), planner.workspace.task("xnli[cloze:en]"))
    assert plain.run.key == head.run.key != cloze.run.key
    assert "formulation" not in plain.inputs
    assert cloze.inputs["definition"] == plain.inputs["definition"]
    assert before.inputs["train"] == planner.evaluate(parse("full"), plain.task)[1][0].inputs["train"]
    assert cloze.missing == plain.missing


def test_what_is_below_the_target_answers_untrained(planner):
    spec, scores = carried_out(planner, "full", "xnli[cloze:en/untrained]")
    assert spec.trained is None
    assert spec.answering == "backbone"
    assert spec.run.config()["method"] == "none"
    assert all(result.n == 18 for result in scores.values())
    # An adapter setup leaves the same bare backbone.
    other, _ = planner.evaluate(parse("adapter"), spec.task)
    assert other.run.key == spec.run.key


ENTAILS = """kind: entailment
title: mine
tasks: [xnli]
source: mine
license: mine
languages:
  en:
    template: "It is {word}."
    words: {entailment: "right", neutral: "open", contradiction: "wrong"}
    words_by: ours
"""


@pytest.fixture(scope="module")
def own(planner, tmp_path_factory):
    """The planner with an entailment formulation of the user's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "formulations").mkdir()
    (folder / "formulations" / "right.yaml").write_text(ENTAILS, encoding="utf-8")
    return replace(planner, workspace=replace(planner.workspace, folders=(folder,)))


@pytest.mark.parametrize("setup", ["nli > target"])
def test_entailment_answers_under_the_head_of_an_intermediate(own, setup):
    spec, scores = carried_out(own, setup, "xnli[right/untrained]")
    assert all(result.n == 18 for result in scores.values())
    session = open_session(spec)
    (parent,) = spec.parents.values()
    folder, labels = lender(spec.task.type, [parent.artifact])
    stored = read_tensors(next(folder.glob("*.safetensors")))
    found = adapters.head_tensors(session.assembled.model, session.assembled.head_name)
    assert session.labels == labels
    assert sorted(value.sum().item() for value in found.values()) == sorted(
        value.sum().item() for value in stored.values()
    )


def test_entailment_without_such_a_task_below_is_refused(own):
    task = own.workspace.task("xnli[right/untrained]")
    with pytest.raises(SetupError, match="natural language inference"):
        own.evaluate(parse("qa > target"), task)
    with pytest.raises(SetupError, match="full"):
        own.evaluate(parse("full"), task)


def test_trained_entailment_begins_with_the_head_of_the_intermediate(own):
    task = own.workspace.task("xnli[right]")
    still = replace(own, config_for=lambda name, whole: own.config_for(name, whole).model_copy(
        update={"learning_rate": 1e-12} if name == "xnli" else {}
    ))  # fmt: skip
    spec, before = still.target(parse("nli > target"), task)
    for run in (*before, spec):
        run.execute()
    trained = read_manifest(spec.run.artifact)
    lent = read_manifest(spec.parents["nli"].artifact)
    assert trained.head["labels"] == lent.head["labels"]
    one, other = (
        read_tensors(next((item.folder / "heads" / item.head["module"]).glob("*.safetensors")))
        for item in (trained, lent)
    )
    for key, value in one.items():
        same = other[key.replace(trained.head["module"], lent.head["module"])]
        assert (value - same).abs().max() < 1e-6


def test_rows_of_a_table_differ_from_the_row_of_their_setup(planner):
    written = ("head", "cloze:own", "cloze:en/untrained", "entailment:en")
    planned = plan(planner, ("nli > target", "full"), ("xnli",), formulations=written)
    for spec in planned.specs:
        spec.execute()
    assert planned.left_out == ("entailment has no prompts for xnli",)
    (table,), unscored = planned_tables(planned, ("xnli",), "full", planner.workspace.store.cache)
    assert unscored == []
    rows = {row.setup: row for row in table.rows}
    setups = ("nli > target", "full")
    assert list(rows) == [
        row for setup in setups for row in (setup, f"{setup} [cloze:own]", f"{setup} [cloze:en/untrained]")
    ]
    for setup in setups:
        own, head = rows[f"{setup} [cloze:own]"], rows[setup]
        assert own.difference.value == pytest.approx(own.mean.value - head.mean.value)
        assert own.differences["sw"].value == pytest.approx(
            own.languages["sw"].value - head.languages["sw"].value
        )
    assert OWN_BASELINE in table.notes
    # The same rows from the store alone, in one table.
    found = store_entries(planner.workspace.store.runs("evaluate"), planner.workspace.store.runs())
    entries = {entry.setup: entry.against for entry in next(iter(found.values()))}
    assert entries["full [cloze:own]"] == "full"
    assert entries["nli > target (seq_bn) [cloze:own]"] == "nli > target (seq_bn)"


def test_an_experiment_names_formulations_apart_from_targets():
    values = {"name": "a", "setups": ["full"], "targets": ["xnli"], "formulations": ["head", "cloze:en:own"]}
    assert Experiment.model_validate(values).formulations == ("head", "cloze:en:own")
    with pytest.raises(ConfigError, match=r"say formulations: \[head, cloze:en\]"):
        Experiment.model_validate({**values, "targets": ["xnli[cloze:en]"]}).check("a.yaml")
    with pytest.raises(ConfigError, match="is no formulation"):
        Experiment.model_validate({**values, "formulations": ["cloze:en:de:sw"]}).check("a.yaml")


def test_an_export_answers_with_the_code_of_its_readme(planner, tmp_path):
    """A cloze is a plain masked language model, whose template stands in its card."""
    spec, _ = carried_out(planner, "full", "xnli[cloze:own]")
    where = planner.workspace
    made = export(spec.trained.key, out=tmp_path / "e", store=where.store.root, backbone=where.backbone.path)
    assert made.format == "transformers"
    assert "AutoModelForMaskedLM" in made.lines[0]
    told = (tmp_path / "e" / "README.md").read_text("utf-8")
    assert "{text.bare}. Swali: {pair.bare}? Jibu: {mask}." in told
    found = {}
    for block in re.findall(r"```python\n(.*?)```", told, re.DOTALL):
        exec(block.replace('folder = "."', f"folder = {str(tmp_path / 'e')!r}"), found)
    examples = where.examples(spec.task, "test", "sw", 12, [])
    rows = [{"text": asked.example.text, "pair": asked.example.pair} for asked in examples]
    rows[0]["text"] = " ".join(row["text"] for row in rows)
    ours = predict_rows(replace(spec, languages=("sw",)), rows)
    theirs = [found["answer"](**row, language="sw") for row in rows]
    assert [row["prediction"] for row in ours] == theirs
    config = read_json(tmp_path / "e" / "config.json")["adaptrans"]
    assert config["formulation"]["name"] == "cloze:own"


def test_trained_vectors_are_shared_as_adapters_are(planner, tiny_backbone, small_data, tmp_path):
    soft = replace(planner, method="prompt_tuning[prompt_length=4]")
    spec, scores = carried_out(soft, "adapter", "xnli[cloze:universal]")
    assert read_manifest(spec.trained.artifact).values["formulation"] == "cloze:universal"
    push(spec.trained, planner.workspace.store, f"{tmp_path}/hub/soft", license="mit")
    fresh = make_workspace(tiny_backbone, small_data, tmp_path / "fresh")
    pulled = pull(f"{tmp_path}/hub/soft", fresh.store, backbone=fresh.backbone)
    assert pulled.run.name == spec.trained.name
    task = fresh.task("xnli[cloze:universal]")
    where = {"where": fresh, "run": pulled.run.key, "precision": "fp32", "max_length": 64}
    again = plan_evaluate("xnli[cloze:universal]", **where)
    again.execute()
    assert again.task == task
    assert {code: load_language(again.run, code).values for code in scores} == {
        code: result.values for code, result in scores.items()
    }
    with pytest.raises(ArtifactError, match=r"was trained on xnli\[cloze:universal\]; name"):
        plan_evaluate("xnli", **where)


def test_a_cloze_goes_on_training_on_a_few_examples(tiny_backbone, small_data, tmp_path):
    xnli = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}}}
    where = make_workspace(tiny_backbone, small_data, tmp_path / "store", xnli)
    planner = make_planner(where, epochs=0.25)
    evaluation, before = planner.few_shot(parse("full"), where.task("xnli[cloze:own]"), 1)
    assert [spec.language for spec in before if spec.phase == "shots"] == ["de"]
    for spec in before:
        spec.execute()
    evaluation.execute()
    assert load_language(evaluation.run, "de").n == 18
    assert "formulation" in evaluation.shots["de"].inputs


FIVE = ("cloze:en", "cloze:own", "cloze:en+own", "cloze:en/calibrated", "cloze:en:own/first_token")


def test_formulations_of_one_encoder_compute_common_rows_once(
    tiny_backbone, small_data, tmp_path, monkeypatch
):
    computed = []
    values = Predictor.values

    def counted(self, batch):
        computed.append(batch["input_ids"].shape[0])
        return values(self, batch)

    monkeypatch.setattr(Predictor, "values", counted)
    found, rows = {}, {}
    for way in ("apart", "together"):
        where = make_workspace(tiny_backbone, small_data, tmp_path / way)
        planner = make_planner(where)
        tasks = [where.task(f"xnli[{text}/untrained]") for text in FIVE]
        specs = [planner.evaluate(parse("full"), task)[0] for task in tasks]
        groups = side_by_side(specs)
        assert [len(group) for group in groups] == [5]
        computed.clear()
        for group in [[spec] for spec in specs] if way == "apart" else groups:
            execute_together(group)
        rows[way] = sum(computed)
        found[way] = [
            [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            for spec in specs
            for code in ("en", "de", "sw")
            for path in [spec.run.path / "predictions" / f"{code}.jsonl"]
        ]
    assert rows["together"] <= 0.6 * rows["apart"]
    for apart, together in zip(found["apart"], found["together"], strict=True):
        assert [row["prediction"] for row in apart] == [row["prediction"] for row in together]
        for one, other in zip(apart, together, strict=True):
            assert one["log_probabilities"] == pytest.approx(other["log_probabilities"], abs=1e-5)
    assert len({json.dumps(rows) for rows in found["apart"]}) > 9
