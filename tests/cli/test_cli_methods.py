import json

from typer.testing import CliRunner

from adaptrans_cli.main import app


def test_methods_say_what_composes_and_what_it_costs(tiny_backbone):
    found = json.loads(CliRunner().invoke(app, ["methods", "--json"]).output)["methods"]
    by_name = {row["method"]: row["refused"] for row in found}
    assert not any(by_name["seq_bn"].values())
    assert "nearest that runs: 'average(a, b) > target'" in by_name["lora"]["fuse(a, b)"]
    shown = CliRunner().invoke(app, ["methods", "--backbone", str(tiny_backbone)]).output
    assert "seq_bn[reduction_factor=8]" in shown
    assert "does not fit" in shown
    assert "MB" in shown


def test_methods_with_options_are_counted_too(tiny_backbone):
    arguments = ["methods", "--backbone", str(tiny_backbone), "--json"]
    few = ["--method", "seq_bn[ reduction_factor = 4 ]", "--method", "compacter[reduction_factor=4]"]
    rows = json.loads(CliRunner().invoke(app, [*arguments, *few]).output)["methods"]
    by_name = {row["method"]: row for row in rows}
    own = by_name["seq_bn[reduction_factor=4]"]
    # Four layers of 32 x 8 and 8 x 32 with their biases.
    assert own["trained"] == 4 * (2 * 32 * 8 + 8 + 32)
    assert own["bytes"] == 4 * own["trained"]
    assert by_name["compacter[reduction_factor=4]"]["problem"] == ""
