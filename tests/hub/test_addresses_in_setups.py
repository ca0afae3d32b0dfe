"""A setup names an artifact of a hub where it names an adapter."""

import pytest

from adaptrans.errors import ArtifactError
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.hub import pull as pulling
from adaptrans.hub import push
from adaptrans.modeling.setup.parser import parse


@pytest.fixture(scope="module")
def hub(trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("hub") / "shared"
    push.push(trained.nli, trained.store, f"{place}/nli-tiny")
    push.push(trained.target, trained.store, f"{place}/stack")
    return place


def test_a_stack_on_an_address_is_the_stack_on_its_run(hub, trained, fresh, planners):
    xnli = fresh.task("xnli")
    spec, before = planners(fresh).evaluate(parse(f"{hub}/nli-tiny > target"), xnli)
    assert str(spec.setup) == f"nli#{trained.nli.key} > target"
    assert [run.name for run in fresh.store.runs("intermediate")] == [trained.nli.name]
    assert [item.phase for item in before] == ["target"]
    for item in before:
        item.execute()
    results = evaluate(spec)
    # The same weights below and the same seed: what the address gives is what the name gives.
    assert {code: found.values for code, found in results.items()} == {
        code: found.values for code, found in trained.scores.items()
    }


def test_quoted_addresses_name_versions_and_stores_are_addresses_too(hub, trained, fresh, planners):
    tatoeba = fresh.task("tatoeba")
    versioned, _ = planners(fresh).evaluate(parse(f'"{hub}/nli-tiny@v1" > target'), tatoeba)
    by_folder, _ = planners(fresh).evaluate(parse(f'"{trained.nli.path}" > target'), tatoeba)
    assert versioned.run.key == by_folder.run.key
    assert versioned.answering == f"nli#{trained.nli.key}"


def test_a_wrong_address_is_told(hub, fresh, planners):
    with pytest.raises(ArtifactError, match="no artifact qa; see adaptrans hub list"):
        planners(fresh).evaluate(parse(f"{hub}/qa > target"), fresh.task("xnli"))


def test_a_downloaded_package_is_an_address(hub, trained, fresh, planners):
    _, entry = pulling.show(f"{hub}/stack")
    stack = hub / "files" / "stack" / entry.revision
    with pytest.raises(ArtifactError, match=r"needs 'nli', which .* has not got; pull it from its hub"):
        planners(fresh).evaluate(parse(f'"{stack}" > target'), fresh.task("tatoeba"))
    _, entry = pulling.show(f"{hub}/nli-tiny")
    folder = hub / "files" / "nli-tiny" / entry.revision
    spec, _ = planners(fresh).evaluate(parse(f'"{folder}" > target'), fresh.task("tatoeba"))
    assert spec.parents[f"nli#{trained.nli.key}"].is_done
