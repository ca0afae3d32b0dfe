import json

import yaml
from typer.testing import CliRunner

from adaptrans.modeling.backbone import identify, outlined
from adaptrans.modeling.efficiency.memory_case import Case, shape_of
from adaptrans.modeling.efficiency.memory_estimation import forecast
from adaptrans_cli.main import app

PARTS = ("weights", "gradients", "optimizer", "activations", "overhead")


def invoked(*arguments: str):
    return CliRunner().invoke(app, ["memory", *arguments])


def test_what_each_option_gives(tiny_backbone):
    found = invoked(
        *("--backbone", str(tiny_backbone), "--head", "tagging", "--vocabulary", "300"),
        *("--batch-size", "4", "--length", "16", "--json"),
    )
    rows = {row["case"]: row for row in json.loads(found.stdout)["cases"]}
    asked = rows["adapter, seq_bn, fp32"]
    assert all(row["peak"] == sum(row[part] for part in PARTS) for row in rows.values())
    vocabulary = identify(tiny_backbone).vocabulary
    assert rows["with --no-trim"]["weights"] - asked["weights"] == (vocabulary - 300) * 32 * 4
    assert rows["full"]["optimizer"] == 8 * rows["full"]["trained"]
    assert rows["lower half left out"]["activations"] < asked["activations"]


def test_a_base_in_few_bits_is_shown_beside_the_float_one(tiny_backbone):
    place = ("--backbone", str(tiny_backbone), "--batch-size", "2", "--length", "16", "--vocabulary", "300")
    found = invoked(*place, "--quantize", "4bit", "--json")
    rows = {row["case"]: row for row in json.loads(found.stdout)["cases"]}
    asked = rows["adapter, seq_bn, fp32, base in 4bit"]
    assert asked["weights"] < rows["base not quantized"]["weights"]
    assert asked["trained"] == rows["base not quantized"]["trained"]
    assert rows["full"]["weights"] > rows["base not quantized"]["weights"]


def test_a_forecast_needs_no_weights():
    shape = shape_of(outlined("xlm-roberta-large"))
    found = forecast(Case(shape, items=1, length=16, training=False))
    # 560 million parameters (Conneau et al. 2020), adapters beside them.
    assert 2.2e9 < found.weights < 2.3e9


def test_what_cannot_be_is_refused_in_one_line():
    from adaptrans.errors import ConfigError, UnknownNameError

    for arguments, said in (
        (["--backbone", "xlm-roberta-base", "--head", "taging"], 'did you mean "tagging"'),
        (["--backbone", "xlm-roberta-base", "--length", "600"], "at most 512"),
        (["--backbone", "xlm-roberta-base", "--memory-budget", "lots"], "no amount of memory"),
        (["--backbone", "xlm-roberta-base", "--quantize", "4bits"], 'did you mean "4bit"'),
        (["--backbone", "xlm-roberta-base", "--quantize", "4bit", "--setup", "full"], "train an adapter"),
        ([], "no backbone is given"),
    ):
        error = invoked(*arguments).exception
        assert isinstance(error, ConfigError | UnknownNameError), error
        assert said in str(error), error


def test_the_runs_of_an_experiment(tiny_backbone, tmp_path):
    file = tmp_path / "e.yaml"
    content = {"setups": ["full", "adapter"], "targets": ["xnli"]}
    training = {"defaults": {"batch_size": 2, "max_length": 16, "precision": "fp32"}}
    file.write_text(yaml.safe_dump({"name": "e", **content, "training": training}))
    place = ["--backbone", str(tiny_backbone), "--store", str(tmp_path / "s")]
    found = invoked(str(file), *place, "--memory-budget", "1GB", "--json")
    rows = json.loads(found.stdout)["cases"]
    assert [row["case"] for row in rows] == ["xnli: full", "xnli: adapter, seq_bn"]
    assert [(row["inputs"], row["length"], row["fit"]) for row in rows] == [(2, 16, 2)] * 2
