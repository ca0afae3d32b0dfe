from dataclasses import replace

import pytest

from adaptrans.errors import ArtifactError, MissingDataError, SetupError, UnknownNameError
from adaptrans.experiments.execution import base
from adaptrans.experiments.plan import jobs_of, plan, stored
from adaptrans.modeling.setup.parser import parse


def test_shared_parents_are_trained_once_and_before_their_children(planner):
    found = plan(
        planner, ("full", "full(nli)", "nli > target", "continue(nli)"), ("xnli", "udpos", "tatoeba")
    )
    names = [(spec.phase, spec.task.name, str(spec.setup)) for spec in found.training]
    assert names.count(("intermediate", "nli", "adapter")) == 1
    assert names.count(("intermediate", "nli", "full")) == 1
    assert len(names) == 2 + 4 * 2
    places = {spec.run.key: place for place, spec in enumerate(found.training)}
    for spec in found.training:
        assert all(places[parent.key] < places[spec.run.key] for parent in spec.parents.values())
    assert len(found.cells) == 12


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("full(nli + tatoeba)", "tatoeba is a retrieval task and has no training"),
        ("./nowhere/nli > target", "nowhere"),
        ("nlii > target", 'did you mean "nli"'),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_loaded(planner, setup, words):
    with pytest.raises((SetupError, UnknownNameError, ArtifactError)) as caught:
        plan(planner, (setup,), ("xnli",))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_retrieval_cannot_be_trained(planner):
    with pytest.raises(SetupError, match="tatoeba is a retrieval task"):
        planner.target(parse("full"), planner.workspace.task("tatoeba"))
    with pytest.raises(SetupError, match="tatoeba is a retrieval task"):
        plan(planner, ("full(tatoeba)",), ("xnli",))


def test_a_missing_data_folder_is_named(planner, tmp_path):
    from dataclasses import replace

    gone = replace(planner.workspace, data=tmp_path / "gone")
    with pytest.raises(MissingDataError, match="gone does not exist; give an existing folder with --data"):
        gone.task("xnli")


def test_stored_takes_the_only_run_with_other_options_and_asks_when_there_are_two(planner):
    from dataclasses import replace

    from adaptrans.runs.training_args import training_config

    def short(steps):
        options = {"max_steps": steps, "precision": "fp32", "max_length": 64}
        return replace(planner, config_for=lambda name, whole: training_config(options))

    (reference,) = parse("full(nli)").layers[0].sources
    first = short(1).intermediate(reference, False).execute()
    chosen = replace(planner, choose=stored)
    runs, before = chosen.parents(parse("nli > target"))
    assert runs["nli"] == first
    assert before == []
    second = short(2).intermediate(reference, False).execute()
    with pytest.raises(ArtifactError, match=r"trained several times.*name one: 'nli#"):
        chosen.parents(parse("nli > target"))
    runs, _ = chosen.parents(parse(f"nli#{second.key} > target"))
    assert list(runs.values()) == [second]
    with pytest.raises(ArtifactError, match="was trained on nli@1, not on qa"):
        chosen.parents(parse(f"qa#{second.key} > target"))


def test_work_is_listed_and_done_once(planner):
    found = plan(planner, ("full", "adapter"), ("tatoeba",))
    items = jobs_of(found)
    assert len(items) == 1  # both leave the bare backbone
    assert base.execute(found) == 1
    assert base.execute(found) == 0
    assert all(item.done for item in jobs_of(found))


def test_languages_of_an_experiment_are_never_dropped_in_silence(planner):
    from dataclasses import replace

    from adaptrans.errors import ConfigError

    with pytest.raises(UnknownNameError, match='unknown language "swa"; did you mean "sw"'):
        plan(replace(planner, languages=("de", "swa")), ("full",), ("xnli",))
    with pytest.raises(ConfigError, match="tatoeba has none of the languages en; leave it out"):
        plan(replace(planner, languages=("en",)), ("full",), ("xnli", "tatoeba"))
    found = plan(replace(planner, languages=("de", "en")), ("full",), ("xnli", "tatoeba"))
    assert [cell.evaluation.wanted_languages for cell in found.cells] == [("de", "en"), ("de",)]


def test_all_that_a_fusion_or_a_merge_names_is_trained_before_it(planner):
    found = plan(planner, ("fuse(nli, qa)", "fuse(nli, qa) > target", "average(nli, qa) > target"), ("xnli",))
    names = [(spec.phase, spec.task.name, str(spec.setup)) for spec in found.training]
    assert names[:2] == [("intermediate", "nli", "adapter"), ("intermediate", "qa", "adapter")]
    assert len(names) == 2 + 3
    for spec in found.training[2:]:
        assert spec.inputs["parents"] == {
            "nli": found.training[0].run.key,
            "qa": found.training[1].run.key,
        }
    assert len({spec.run.key for spec in found.training}) == 5


def test_a_fusion_leaves_the_cells_of_retrieval_empty_and_says_so(planner):
    found = plan(planner, ("adapter", "fuse(nli, qa)"), ("xnli", "tatoeba"))
    cells = [(cell.setup, cell.target) for cell in found.cells]
    assert cells == [("adapter", "xnli"), ("adapter", "tatoeba"), ("fuse(nli, qa)", "xnli")]
    assert found.left_out == ("fuse(nli, qa) has no score on tatoeba, which has no training for a fusion",)
    with pytest.raises(SetupError, match=r"no training; nearest that runs: 'average\(nli, qa\) > target'"):
        planner.evaluate(parse("fuse(nli, qa)"), planner.workspace.task("tatoeba"))


def test_languages_without_data_are_left_out_of_an_experiment_and_refused_alone(planner):
    here = replace(planner, languages=("de", "ru"), present=True)
    spec, _ = here.evaluate(parse("full"), here.workspace.task("xnli"))
    assert spec.wanted_languages == ("de",)
    alone = replace(here, present=False).evaluate(parse("full"), here.workspace.task("xnli"))[0]
    with pytest.raises(MissingDataError):
        _ = alone.wanted_languages
    nowhere = replace(here, languages=("ru",)).evaluate(parse("full"), here.workspace.task("xnli"))[0]
    with pytest.raises(MissingDataError):
        _ = nowhere.wanted_languages


def test_a_setup_can_have_some_of_the_targets(planner):
    found = plan(planner, ("full", "adapter"), ("xnli", "udpos"), {" adapter ": ("udpos",)})
    cells = [(cell.setup, cell.target) for cell in found.cells]
    assert cells == [("full", "xnli"), ("full", "udpos"), ("adapter", "udpos")]
