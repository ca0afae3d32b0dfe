import json

from typer.testing import CliRunner

from adaptrans_cli.main import app


def test_a_trained_run_is_exported_by_its_key(cli):
    where = [*cli.where, "--tasks", str(cli.folder / "tasks")]
    cli.run("intermediate", "nli", *where, "--max-steps", "1", "--method", "full", "--device", "cpu")
    (run,) = (cli.folder / "store" / "runs" / "intermediate").iterdir()
    place = ["--store", str(cli.folder / "store"), "--backbone", cli.where[1], "--out", str(cli.folder / "x")]
    answer = CliRunner().invoke(app, ["export", run.name.rpartition("-")[2][:6], *place, "--json"])
    assert answer.exit_code == 0, answer.output
    made = json.loads(answer.stdout)
    assert (made["format"], made["reason"]) == ("transformers", "")
    assert made["lines"][0] == "from transformers import AutoModelForSequenceClassification, AutoTokenizer"
    text = CliRunner().invoke(app, ["export", str(run), *place, "--format", "adapters"]).stdout
    assert "its README.md says how to load it" in text
    assert 'backbone = f"{folder}/backbone"\n' in text
    assert "export it with --format adapters" not in text
    assert "exists and is no export" in cli.refused("export", str(run), *place[:4], "--out", str(cli.folder))
