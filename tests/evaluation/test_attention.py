"""What fusions attend to: recorded while an evaluation answers, and read again."""

import json
from dataclasses import replace

import pytest

from adaptrans.errors import ArtifactError
from adaptrans.evaluation.fusion_attention import AttentionRecord, load_attention, mean_over_languages
from adaptrans.evaluation.results import load_results
from adaptrans.experiments.execution import base
from adaptrans.experiments.plan import plan
from adaptrans.runs.training_args import training_config


@pytest.fixture
def evaluated(planner):
    """The evaluation of a fusion after one step of training, in de and sw."""
    options = {"max_steps": 1, "precision": "fp32", "max_length": 64, "limit_dev": 4}
    short = replace(planner, config_for=lambda name, whole: training_config(options), languages=("de", "sw"))
    found = plan(short, ("fuse(nli, qa) > target", "adapter"), ("xnli",))
    base.execute(found)
    return [cell.evaluation.run for cell in found.cells]


def test_an_evaluation_records_shares_per_language_and_layer(evaluated):
    fused, plain = evaluated
    records = load_attention(fused)
    assert list(records) == ["de", "sw"] == list(load_results(fused))
    for record in records.values():
        assert record.adapters == {"xnli": ("nli", "qa")}
        assert [(row["layer"], row["part"]) for row in record.layers] == [(i, "output") for i in range(4)]
        assert all(sum(row["shares"]) == pytest.approx(1) for row in record.layers)
        assert sum(record.means("xnli")) == pytest.approx(1)
        assert record.tokens > 0
    assert records["de"].layers != records["sw"].layers
    assert list(load_attention(fused, ["sw"])) == ["sw"]
    first = mean_over_languages(records, "xnli")[0]["shares"]
    expected = [
        (a + b) / 2
        for a, b in zip(records["de"].layers[0]["shares"], records["sw"].layers[0]["shares"], strict=True)
    ]
    assert first == pytest.approx(expected)
    with pytest.raises(ArtifactError, match=r"has no attention of a fusion; evaluate a setup with fuse"):
        load_attention(plain)
    with pytest.raises(ArtifactError, match="no attention of a fusion in ru"):
        load_attention(fused, ["ru"])


def test_inspect_prints_and_draws_them(evaluated, tmp_path, capsys):
    from adaptrans_cli.results import inspect

    fused, plain = evaluated
    store = fused.path.parents[2]
    inspect(fused.key[:8], store, None, None, True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["setup"] == "fuse(nli, qa) > target"
    assert printed["languages"]["de"]["layers"] == list(load_attention(fused)["de"].layers)
    for name in ("shares.svg", "shares.png"):
        inspect(fused.path.name, store, "de", tmp_path / "plots" / name, False)
        assert (tmp_path / "plots" / name).stat().st_size > 1000
    text = capsys.readouterr().out
    share = load_attention(fused)["de"].means("xnli")[0]
    assert f"{share:.3f}" in text
    assert "sw" not in text.split()
    # The key of the trained run stands for its evaluation.
    inspect(fused.config()["trained"], store, None, None, True)
    assert json.loads(capsys.readouterr().out)["run"] == fused.name
    with pytest.raises(ArtifactError, match="has no attention of a fusion"):
        inspect(plain.key, store, None, None, False)


def test_two_fusions_are_told_apart():
    rows = [
        {"fusion": name, "layer": layer, "part": "output", "shares": [share, 1 - share]}
        for name, share in (("x", 0.25), ("x_2", 0.75))
        for layer in (0, 1)
    ]
    record = AttentionRecord({"x": ("a", "b"), "x_2": ("c", "d")}, tuple(rows), 5)
    assert (record.means("x"), record.means("x_2")) == ([0.25, 0.75], [0.75, 0.25])
    assert [row["fusion"] for row in mean_over_languages({"de": record}, "x_2")] == ["x_2", "x_2"]


def test_what_cannot_be_drawn_is_refused(tmp_path):
    from adaptrans.errors import ConfigError
    from adaptrans.report.charts import draw

    with pytest.raises(ConfigError, match=r"cannot draw into .*shares.txt; end its name in .png"):
        draw({}, "x", tmp_path / "shares.txt")
