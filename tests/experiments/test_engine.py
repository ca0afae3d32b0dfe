"""Runs side by side: the same results as one after another, in an order that respects what builds on what."""

import pytest

from adaptrans.errors import ArtefactError
from adaptrans.evaluation.results import load_statistics
from adaptrans.experiments import engine
from adaptrans.experiments.plan import plan
from adaptrans.hub.store import Store


def test_two_at_a_time_give_what_one_after_another_gives(planner, tmp_path):
    from dataclasses import replace

    other = replace(planner, workspace=replace(planner.workspace, store=Store(tmp_path / "parallel")))
    what = (("full", "nli > target"), ("xnli",))
    alone, together = plan(planner, *what), plan(other, *what)
    started = []
    assert (
        engine.execute(alone) == engine.execute(together, lambda item, *at: started.append(item), jobs=2) == 5
    )
    assert engine.execute(together, jobs=2) == 0
    for first, second in zip(alone.cells, together.cells, strict=True):
        one, two = first.evaluation.run, second.evaluation.run
        assert one.key == two.key
        for language in first.evaluation.wanted_languages:
            assert (
                load_statistics(one, language, "accuracy") == load_statistics(two, language, "accuracy")
            ).all()
    places = {item.run.path: place for place, item in enumerate(started)}
    assert all(places[need] < places[item.run.path] for item in started for need in item.needs)


def test_a_failure_in_a_process_is_told_as_it_is(planner):
    from dataclasses import replace

    found = plan(planner, ("full", "adapter"), ("udpos",))
    broken = replace(found.training[0].workspace.backbone, path=planner.workspace.store.root / "gone")
    specs = [replace(spec, workspace=replace(spec.workspace, backbone=broken)) for spec in found.training]
    # The runs' names are known before the backbone is gone.
    to_do = [
        engine.Work(one.run, False, "broken", engine.partial(engine.train, other))
        for one, other in zip(found.training, specs, strict=True)
    ]
    with pytest.raises(ArtefactError):
        engine.in_parallel(to_do, lambda item, place, total: None, 2)
