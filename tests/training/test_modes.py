"""Whoever may read the files beside them may read the weights: every file follows the umask."""

import os
import stat

import pytest
import torch
from mini_pretraining.checkpoint import write_whole

from adaptrans.evaluation.bitext_mining.files import Options, mine_files, setup_model
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.exporting.transformers import export
from adaptrans.modeling.safetensors_io import read_tensors
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.training_args import training_config
from adaptrans.training import checkpoint
from adaptrans.utils.io import give_usual_mode


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def usual(request):
    """Sets a umask, and gives the mode that files then have."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def others(folder, mode):
    """Files of another mode, by name."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert any(path.suffix == ".safetensors" for path in found)
    return {path.relative_to(folder).as_posix(): oct(own) for path, own in found.items() if own != mode}


def test_a_file_that_only_its_owner_could_read_gets_the_usual_mode(tmp_path, usual):
    path = tmp_path / "x"
    path.touch(0o600)
    give_usual_mode(path)
    assert stat.S_IMODE(path.stat().st_mode) == usual
    assert list(tmp_path.iterdir()) == [path], "something was left behind"


def test_checkpoints_and_best_weights_follow_the_umask(tmp_path, usual):
    values = {"w": torch.ones(2, 2).t()}
    checkpoint.save(tmp_path / "checkpoints", checkpoint.TrainerState(), {"weights": values})
    checkpoint.save_weights(tmp_path / "best.safetensors", values)
    # Written over one that others could not read.
    (tmp_path / "best.safetensors").chmod(0o600)
    checkpoint.save_weights(tmp_path / "best.safetensors", values)
    write_whole(tmp_path / "pretraining", {"a.json": "{}"}, {"a.safetensors": values})
    assert not others(tmp_path, usual)
    assert torch.equal(read_tensors(tmp_path / "best.safetensors")["w"], values["w"])


def test_store_cache_and_exports_follow_the_umask(planner, tmp_path, usual):
    where = planner.workspace
    for setup, task in (("full", "xnli"), ("adapter", "xnli")):
        spec = planner.target(parse(setup), where.task(task))[0]
        spec.execute()
        evaluate(planner.evaluate(parse(setup), where.task(task))[0])
        form = "transformers" if setup == "full" else "adapters"
        export(
            spec.run.path, out=tmp_path / f"export-{setup}", store=where.store.root,
            backbone=where.backbone.path, format=form, with_backbone=setup == "adapter",
        )  # fmt: skip
    (tmp_path / "sw.txt").write_text("watu wote wamezaliwa huru\n" * 20)
    options = training_config({"max_steps": 1, "batch_size": 2, "max_length": 32, "precision": "fp32"})
    LanguageSpec(where, "sw", tmp_path / "sw.txt", options).execute()
    mine_files(
        tmp_path / "sw.txt", tmp_path / "sw.txt", tmp_path / "pairs.tsv", where=where,
        model=setup_model(where, parse("full"), {}), options=Options(precision="fp32"),
    )  # fmt: skip
    assert not others(tmp_path, usual)
    assert any(path.name == "model_head.safetensors" for path in tmp_path.rglob("*"))
