"""`config`, presets and overrides on the command line, `compare --export` and `--by`, as processes."""

import json

import yaml


def test_config_lists_shows_copies_and_checks(cli):
    listed = cli.json("config", "list")
    assert {item["name"] for item in listed["presets"]} >= {"jiant-stilts", "xtreme", "madx", "fast"}
    assert all(item["source"] for item in listed["presets"])
    assert "quickstart" in {item["name"] for item in listed["experiments"]}
    shown = cli.json("config", "show", "experiment.yaml", "preset=xtreme", "training.defaults.epochs=2")
    options = {item["what"]: item["options"] for item in shown}["target: xnli, full"]
    assert options["epochs"] == {"value": 2.0, "from": "command line"}
    assert options["batch_size"]["from"] == "file: training.defaults"
    assert options["learning_rate"] == {"value": 2e-5, "from": "preset xtreme, full"}
    out = cli.run("config", "show", "--preset", "composable-sft")
    assert "not done here:" in out
    assert "5e-05" in out
    assert cli.run("config", "copy", "quickstart", "mine.yaml") == "mine.yaml\n"
    assert "setups" in cli.run("config", "validate", "mine.yaml")
    assert "mine.yaml exists" in cli.refused("config", "copy", "quickstart", "mine.yaml")
    (cli.folder / "bad.yaml").write_text("name: x\nsetup: [full]\n")
    assert 'bad.yaml:2: unknown key "setup"' in cli.refused("config", "validate", "bad.yaml")
    assert 'did you mean "quickstart"' in cli.refused("config", "validate", "quikstart")
    assert "nothing to show" in cli.refused("config", "show")
    schema = json.loads(cli.run("config", "schema"))
    assert "setups" in schema["required"]


def test_a_dry_run_is_a_tree_with_what_exists(cli):
    few = ["setups=[full, nli > target]", "targets=[xnli]"]
    out = cli.run("run", "experiment.yaml", *few, "--dry-run", "--seeds", "1,2", *cli.where)
    lines = out.splitlines()
    assert lines[0] == "small: 10 runs, 10 to compute"
    above = next(i for i, line in enumerate(lines) if "intermediate: train adapter on nli, seed 1" in line)
    assert "target: train nli > target on xnli, seed 1" in lines[above + 1]
    assert "evaluate: nli > target on xnli, 3 languages, seed 1" in lines[above + 2]
    cli.run("run", "experiment.yaml", "setups=[full]", "targets=[xnli]", *cli.where)
    out = cli.run("run", "experiment.yaml", *few, "--dry-run", *cli.where)
    assert out.splitlines()[0] == "small: 5 runs, 3 to compute"
    assert out.count("done ") == 2
    assert "by 1 past run of full on xnli on cpu" in out
    assert "forecast for 3 of 3 runs: " in out
    planned = cli.json("run", "experiment.yaml", *few, "--dry-run", *cli.where)
    assert [row["forecast"] is None for row in planned["runs"]] == [row["done"] for row in planned["runs"]]
    assert planned["total"]["runs"] == 3
    assert planned["total"]["memory"] > 10**7
    assert planned["total"]["seconds"] > 0 < planned["total"]["disk"]


def test_the_papers_grid_is_planned_by_name_on_a_machine_without_it(cli):
    where = ["--data", str(cli.data), "--store", str(cli.folder / "store")]
    few = ["targets=[xnli, udpos, tatoeba]", "--seeds", "1,2"]
    planned = cli.json("run", "paper/stilts-base", *few, "--dry-run", *where)
    assert planned["absent"][0] == "FacebookAI/xlm-roberta-base of the Hugging Face Hub: backbone"
    assert len(planned["runs"]) == planned["total"]["runs"] == planned["total"]["unknown"]
    assert {(row["run"], row["done"]) for row in planned["runs"]} == {(None, False)}
    out = cli.run("run", "paper/stilts-base", "setups=[full]", "targets=[udpos]", "--dry-run", *where)
    assert "to do target: train full on udpos [no key yet]" in out
    assert "no past run to judge by" in out
    told = cli.refused("run", "paper/stilts-base", *few, *where)
    assert "'FacebookAI/xlm-roberta-base' is neither a folder nor in the hub cache" in told


def test_options_given_by_hand_win_over_a_preset(cli):
    tasks = ["--tasks", str(cli.folder / "tasks")]
    words = [
        "target",
        "xnli",
        "--setup",
        "adapter",
        "--preset",
        "madx",
        "--max-steps",
        "1",
        *cli.where,
        *tasks,
    ]
    run = cli.json(*words, "--batch-size", "4")
    config = json.loads((cli.folder / "store/runs/target" / run["run"] / "config.json").read_text())
    assert config["method"] == "seq_bn[reduction_factor=16]"
    assert (config["config"]["batch_size"], config["config"]["epochs"]) == (4, 8.0)
    planned = cli.json(*words, "--method", "lora", "--dry-run")
    assert "lora" in planned[0]["run"]


def test_results_are_exported_and_grouped(cli):
    path = cli.folder / "experiment.yaml"
    experiment = yaml.safe_load(path.read_text()) | {"setups": ["full", "adapter"], "targets": ["xnli"]}
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    found = cli.json("run", "experiment.yaml", "--seeds", "1,2", *cli.where)
    (table,) = found["tables"]
    assert [[seed["seed"] for seed in row["seeds"]] for row in table["rows"]] == [[1, 2]] * 2
    difference = table["rows"][1]["difference"]
    assert difference["corrected"] == difference["p_value"]  # the table has one test
    text = cli.run("run", "experiment.yaml", "--seeds", "1,2", *cli.where)
    assert "median over 2 seeds" in text
    assert "after Holm's correction" in text
    store = cli.where[4:]
    assert cli.run("compare", "--export", "long.csv", *store) == "scores: long.csv\n"
    rows = (cli.folder / "long.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * 3
    assert "Niger-Congo" in cli.run("compare", "--by", "family", *store)
    assert len(cli.json("compare", "--by", "resource", *store)) == 2
    assert "unknown grouping" in cli.refused("compare", "--by", "script", *store)


def test_what_is_not_zero_shot_says_so(cli):
    few = ["setups=[full]", "targets=[xnli]", "training.defaults.max_steps=2"]
    words = ["run", "experiment.yaml", *few, "--select", "source_dev,target_dev", "--shots", "5"]
    out = cli.run(*words, "--report", "page.html", *cli.where)
    assert "full +target-dev" in out
    said = "not zero-shot: weights selected on the target languages' dev sets"
    assert said in " ".join(out.split())
    assert "note: xnli has no 5-shot row: no target language has train or dev data" in out
    page = (cli.folder / "page.html").read_text()
    assert said.replace("'", "&#39;") in page
    assert "full +target-dev" in page
    assert "not zero-shot" in cli.run("compare", *cli.where[4:])
