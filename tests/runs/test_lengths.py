"""Inputs longer than the encoder has positions for are refused, wherever the length comes from."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from adaptrans.errors import ConfigError
from adaptrans.evaluation.bitext_mining.files import Options, mine_files, setup_model
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.train import ShotSpec
from adaptrans.runs.training_args import EvaluationConfig, training_config
from adaptrans.tasks import catalogue
from adaptrans.tasks.validation import check_tasks

TOO_LONG = (
    r"max_length 513 is beyond the 512 positions of .*; give 512 or less, with --max-length or as max_length"
)


def with_length(planner, length):
    training = training_config({"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": length})
    return replace(
        planner,
        config_for=lambda name, whole: training,
        evaluation_for=lambda task: EvaluationConfig(max_length=length),
    )


def target(planner, task="xnli"):
    return planner.target(parse("adapter"), planner.workspace.task(task))[0]


def asked(kind, planner, length, tmp_path):
    """Plan something with inputs of this length; nothing is computed."""
    here = with_length(planner, length)
    match kind:
        case "target":
            return target(here)
        case "intermediate":
            return here.target(parse("nli > target"), here.workspace.task("xnli"))
        case "retrieval":
            return here.evaluate(parse("full"), here.workspace.task("tatoeba"))
        case "shots":
            spec = target(with_length(planner, 64))
            return ShotSpec(spec, spec.run, "de", "dev", 4, training_config({"max_length": length}))
        case "language":
            return LanguageSpec(here.workspace, "sw", tmp_path, training_config({"max_length": length}))


KINDS = ("target", "intermediate", "retrieval", "shots", "language")


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_beyond_the_positions_is_refused_when_it_is_planned(planner, tmp_path, kind):
    asked(kind, planner, 512, tmp_path)
    with pytest.raises(ConfigError, match=TOO_LONG) as caught:
        asked(kind, planner, 513, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_length_of_a_task_file_is_refused_likewise(planner):
    own = catalogue.resolve({"extends": "xnli", "max_length": 513}, name="xnli")
    here = replace(with_length(planner, None), workspace=replace(planner.workspace, tasks={"xnli": own}))
    with pytest.raises(ConfigError, match=f"xnli .adapter.: {TOO_LONG}"):
        target(here)
    # A shorter one given by hand wins.
    assert target(replace(with_length(planner, 64), workspace=here.workspace)).max_length == 64


def test_an_encoder_with_more_positions_reads_more(planner):
    roomy = replace(planner.workspace, backbone=replace(planner.workspace.backbone, longest=1024))
    assert target(replace(with_length(planner, 1024), workspace=roomy)).max_length == 1024


def test_mining_refuses_it_before_a_line_is_read(small_workspace, tmp_path):
    model = setup_model(small_workspace, parse("full"), {})
    nowhere = tmp_path / "nowhere.txt"
    with pytest.raises(ConfigError, match=f"mining: {TOO_LONG}"):
        mine_files(
            nowhere,
            nowhere,
            tmp_path / "o",
            where=small_workspace,
            model=model,
            options=Options(max_length=513),
        )


def test_a_check_without_a_backbone_notes_it_and_with_one_refuses_it(small_data, tiny_backbone, tmp_path):
    from adaptrans_cli.main import app

    own = catalogue.resolve({"extends": "xnli", "max_length": 513}, name="xnli")
    notes = [note for found in check_tasks([own], small_data) for note in found.notes]
    assert any("max_length 513 is beyond the 512 positions of XLM-R and mini" in note for note in notes)
    roomy = [note for found in check_tasks([own], small_data, longest=1024) for note in found.notes]
    assert not any("max_length" in note for note in roomy)
    (tmp_path / "long.yaml").write_text(json.dumps({"extends": "xnli", "name": "long", "max_length": 513}))
    where = ["long", "--tasks", str(tmp_path), "--data", str(small_data)]
    for command in ("check", "preview"):
        found = CliRunner().invoke(app, ["tasks", command, *where])
        assert found.exit_code == 0, found.output
        assert "max_length 513 is beyond the 512 positions of XLM-R and mini" in found.output
        with pytest.raises(ConfigError, match=f"long: {TOO_LONG}"):
            CliRunner().invoke(
                app, ["tasks", command, *where, "--backbone", str(tiny_backbone)], catch_exceptions=False
            )


def test_a_recommended_layer_is_the_default_and_is_in_the_key(planner):
    task = planner.workspace.task("tatoeba")

    def spec(layer, asked=None):
        backbone = replace(planner.workspace.backbone, retrieval_layer=layer)
        here = replace(
            planner,
            workspace=replace(planner.workspace, backbone=backbone),
            evaluation_for=lambda task: EvaluationConfig(layer=asked),
        )
        return here.evaluate(parse("full"), task)[0]

    assert [spec(layer).layer for layer in (None, 4, 0)] == [2, 4, 0]
    assert len({spec(layer).run.key for layer in (None, 4, 0)}) == 3
    # What is asked for wins, and what stands in the backbone is then of no account.
    assert spec(4, asked=1).layer == 1
    assert spec(4, asked=1).run.key == spec(None, asked=1).run.key
