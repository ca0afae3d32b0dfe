import json

from typer.testing import CliRunner

from adaptrans_cli.hub import app


def test_public_language_adapters_are_listed_from_data():
    found = json.loads(CliRunner().invoke(app, ["list", "--language-adapters", "--json"]).stdout)
    assert len(found) == 29 + 16
    assert {"language": "sw", "name": "Swahili", "backbone": "xlm-roberta-base"}.items() <= next(
        row for row in found if row["language"] == "sw"
    ).items()
    large = ["list", "--language-adapters", "--base", "FacebookAI/xlm-roberta-large", "--language", "swa"]
    (row,) = json.loads(CliRunner().invoke(app, [*large, "--json"]).stdout)
    assert row["id"] == "AdapterHub/xlm-roberta-large-sw-wiki_pfeiffer"
    assert "1 language adapters of MAD-X" in CliRunner().invoke(app, large).stdout
