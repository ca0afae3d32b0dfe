"""What is known of encoders, at the command line."""

import json

from adaptrans.modeling.known_backbones import known


def test_the_list_has_every_encoder(cli):
    shown = cli.run("backbones", "list")
    assert all(f"  {name} " in shown for name in known())
    assert "177 M" in shown
    rows = {row["name"]: row for row in cli.json("backbones", "list")["backbones"]}
    assert list(rows) == list(known())
    mbert = rows["mbert"]
    assert (mbert["layers"], mbert["width"], mbert["vocabulary"], mbert["max_tokens"]) == (
        12,
        768,
        119547,
        512,
    )
    assert (mbert["languages"], mbert["license"], mbert["head"]) == (104, "Apache-2.0", True)
    assert "unknown" in shown
    assert rows["infoxlm-base"]["license"] is None


def test_one_is_shown_with_the_memory_that_the_forecast_says(cli):
    shown = cli.run("backbones", "show", "mini")
    assert "bundled with the package" in shown
    assert "works" in shown
    row = cli.json("backbones", "show", "mini")
    peaks = row["memory"]
    assert peaks["answer"] < peaks["adapter"] < peaks["full"]
    cases = cli.json("memory", "--backbone", "mini")["cases"]
    assert peaks["adapter"] == next(item["peak"] for item in cases if item["case"].startswith("adapter"))
    assert peaks["full"] == next(item["peak"] for item in cases if item["case"] == "full")


def test_the_full_name_of_the_hub_is_known_too(cli):
    row = cli.json("backbones", "show", "intfloat/multilingual-e5-base")
    assert row["name"] == "e5-base"
    assert row["prefixes"] == ["query: ", "passage: "]
    assert json.dumps(row["works"])


def test_a_wrong_name_is_one_line(cli):
    told = cli.refused("backbones", "show", "mbret")
    assert told == (
        'error: unknown backbone "mbret"; did you mean "mbert"? (adaptrans backbones list shows all)'
    )
