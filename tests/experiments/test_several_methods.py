"""Several adapter methods, and several backbones, in one experiment."""

from dataclasses import replace

from support.smalldata import NLI, QA, XNLI

from adaptrans import api
from adaptrans.experiments.commands import plan_run
from adaptrans.experiments.config import Experiment
from adaptrans.experiments.plan import jobs_of

GRID = Experiment(
    name="methods",
    setups=("full", "adapter", "nli > target", "fuse(nli, qa)"),
    targets=("xnli", "tatoeba"),
    methods=("seq_bn", "lora"),
    baseline="adapter",
    tasks={"nli": NLI, "qa": QA, "xnli": XNLI},
    training={"defaults": {"max_steps": 2, "precision": "fp32", "max_length": 64}},
    evaluation={"precision": "fp32", "samples": 200},
)


def test_adapter_setups_have_a_row_for_each_method(small_workspace):
    found = plan_run(GRID, where=small_workspace)
    assert [(cell.row, cell.target) for cell in found.cells] == [
        ("full", "xnli"),
        ("full", "tatoeba"),
        ("adapter", "xnli"),
        ("adapter", "tatoeba"),
        ("nli > target", "xnli"),
        ("nli > target", "tatoeba"),
        ("fuse(nli, qa)", "xnli"),
        # Neither a whole model nor the bare backbone depends on the method.
        ("adapter (lora)", "xnli"),
        ("nli > target (lora)", "xnli"),
        ("nli > target (lora)", "tatoeba"),
    ]
    assert any(line.startswith("no rows with lora for fuse(nli, qa): ") for line in found.left_out)
    assert found.cells[7].evaluation.run.key != found.cells[2].evaluation.run.key
    said = [item.what for item in jobs_of(found)]
    assert len(said) == len(set(said))
    assert "target: train nli > target on xnli, lora" in said
    assert "target: train full on xnli" in said


def test_several_backbones_are_told_apart_before_they_run(small_workspace, backbone_maker, tmp_path):
    second = str(backbone_maker(tmp_path / "second", depth=2, width=16, seed=3))
    names = (str(small_workspace.backbone.path), second, "FacebookAI/xlm-roberta-large")
    grid = GRID.model_copy(update={"backbones": names, "seeds": (1, 2), "targets": ("xnli",)})
    items = jobs_of(plan_run(grid, where=replace(small_workspace, absent={})))
    said = [item.what for item in items]
    assert len(said) == len(set(said))
    assert len({item.run.path for item in items}) == len(items)
    assert {line.rpartition("[")[2] for line in said} == {f"{name}]" for name in names}


def test_the_tables_have_them_side_by_side(small_workspace):
    few = GRID.model_copy(update={"setups": ("adapter",), "targets": ("xnli",)})
    (table,) = api.run(few, where=small_workspace).tables
    assert [row.setup for row in table.rows] == ["adapter", "adapter (lora)"]
    assert table.rows[1].difference is not None
