"""Further training on a few examples of a target language."""

from dataclasses import replace

import pytest

from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import training_config
from adaptrans.tasks import catalogue

OPTIONS = {"epochs": 6, "batch_size": 2, "precision": "fp32", "max_length": 64, "checkpoint_seconds": 0}


def shots_of(planner, setup):
    """The few-shot run of a setup in one language, after what it goes on from."""
    # Its own dev sets, which are in English and German.
    known = planner.workspace.tasks
    values = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}}}
    task = catalogue.resolve(values, name="xnli", known={"nli": known["nli"]})
    chosen = replace(planner, shots_for=lambda task, whole: training_config(OPTIONS))
    _, before = chosen.few_shot(parse(setup), task, 2)
    *earlier, spec = [item for item in before if item.phase != "shots" or item.language == "de"]
    for item in earlier:
        item.execute()
    return spec


@pytest.mark.parametrize("setup", ["full", "adapter"])
def test_a_resumed_run_equals_an_undisturbed_one(planner, elsewhere, kill, same_weights, setup):
    expected = shots_of(planner, setup).execute()
    spec = shots_of(replace(planner, workspace=elsewhere), setup)
    for last in (2, 5):
        kill(lambda: spec.execute(), last)
    resumed = spec.execute()
    assert same_weights(expected, resumed) > 0
    assert resumed.result()["example_ids"] == expected.result()["example_ids"]
    assert len(resumed.result()["example_ids"]) == 6
