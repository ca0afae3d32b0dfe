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
