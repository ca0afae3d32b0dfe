"""An adapter method from one file: what its entry says is all that the package asks."""

from dataclasses import replace

import pytest

from adaptrans.errors import SetupError
from adaptrans.hub.verification.checks import adapter_config_problem
from adaptrans.modeling import adapter_methods, adapters
from adaptrans.modeling.adapter_methods import ADAPTER_METHODS, parse
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse as parse_setup
from adaptrans.modeling.setup.validation import check


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """A bottleneck of half the width in the lower part of each layer, and one that does not fuse."""
    narrow = replace(ADAPTER_METHODS["seq_bn"], library="seq_bn", defaults={"reduction_factor": 2})
    apart = replace(narrow, composition=ADAPTER_METHODS["lora"].composition)
    for name, entry in (("toy", narrow), ("apart", apart)):
        monkeypatch.setitem(ADAPTER_METHODS._targets, name, entry)


def test_a_method_is_known_by_its_entry():
    assert {"toy", "apart"} < set(adapter_methods.names())
    assert str(parse("toy[reduction_factor=4]")) == "toy[reduction_factor=4]"
    assert adapter_config_problem(adapters.default_config("toy")) is None


@pytest.mark.parametrize("text", ["adapter", "one > target", "fuse(one, two)"])
def test_a_method_is_trained_on_saved_and_loaded(build, tools, tmp_path, text):
    parents = {}
    for seed, name in enumerate(("one", "two")):
        own = build("adapter", tools.spec("classification", name), method="toy", seed=seed)
        assert own.model.adapters_config.get(name)["reduction_factor"] == 2
        own.save(tmp_path / name)
        parents[name] = tmp_path / name
    model = build(text, tools.spec("classification"), parents, method="toy")
    model.save(tmp_path / "saved")
    assert tools.same(model, SetupModel.load(tmp_path / "saved"), tools.batch_of("classification"))


def test_what_the_entry_does_not_compose_is_refused():
    with pytest.raises(SetupError, match="does not implement Fuse of apart"):
        check(parse_setup("fuse(one, two)"), "apart")


@pytest.mark.parametrize("method", ["toy", "apart"])
def test_a_method_goes_through_target_and_evaluate(planner, method):
    from adaptrans.evaluation.evaluator import evaluate

    own = replace(planner, method=method)
    spec, before = own.evaluate(parse_setup("adapter"), own.workspace.task("xnli"))
    for earlier in before:
        earlier.execute()
    assert set(evaluate(spec)) == set(spec.wanted_languages)
    assert f"{method}" in (before[-1].run.artifact / "artifact.json").read_text(encoding="utf-8")
