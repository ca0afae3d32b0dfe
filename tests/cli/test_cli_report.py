"""`run --control --report`, `report`, and the plan of `quickstart`, as processes."""

import json

import yaml


def test_an_experiment_with_control_ends_with_a_page(cli):
    path = cli.folder / "experiment.yaml"
    experiment = yaml.safe_load(path.read_text())
    experiment |= {"setups": ["full", "adapter"], "targets": ["xnli", "tatoeba"]}
    experiment["only"] = {"adapter": ["xnli"]}
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    words = [
        "run",
        "experiment.yaml",
        "--control",
        "random",
        "--jobs",
        "2",
        "--report",
        "page.html",
        *cli.where,
    ]
    out = cli.run(*words)
    assert "shuffled: difference to the shuffled-weights baseline, the same run on shuffled weights" in out
    assert "is not above chance" in out
    assert out.rstrip().endswith("page: page.html")
    page = (cli.folder / "page.html").read_text()
    assert 'id="control"' in page
    assert "adaptrans run experiment.yaml --control random" in page
    again = cli.json(*words)
    assert (again["computed"], again["report"]) == (0, "page.html")
    rows = again["tables"][0]["rows"]
    assert all(row["above_control"] is not None for row in rows)
    assert (
        cli.run("report", "experiment.yaml", "--out", "other/two.html", *cli.where)
        == "page: other/two.html\n"
    )
    assert 'id="control"' in (cli.folder / "other/two.html").read_text()
    out = cli.run("report", str(cli.folder / "store"), "--out", "three.html", "--figures", "figures")
    assert out == "page: three.html\nfigures: figures\n"
    assert "All finished evaluations." in (cli.folder / "three.html").read_text()
    names = {path.name for path in (cli.folder / "figures").iterdir()}
    assert {"means.csv", "means.tex", "cost.png"} <= names
    # One for the backbone, one for its control.
    assert sum(name.startswith("languages-tatoeba_1") and name.endswith(".svg") for name in names) == 2
    assert "memory" in (cli.folder / "figures/cost.csv").read_text()
    none = cli.run("compare", "--store", str(cli.folder / "store"), "--benchmark", "xtreme")
    assert "no group of xtreme is whole for any setup" in none


def test_what_cannot_be_reported_is_refused_in_one_line(cli):
    assert "has nothing of experiment small yet" in cli.refused("report", "experiment.yaml", *cli.where)
    assert "holds no scored evaluation" in cli.refused("report", "--store", "nowhere")
    # A baseline given wins over the experiment's, so one that is no setup is noticed.
    other = cli.refused("report", "experiment.yaml", "--baseline", "nonsense", *cli.where)
    assert "setup 'nonsense'" in other
    assert 'unknown control "zero"' in cli.refused("run", "experiment.yaml", "--control", "zero", *cli.where)


def test_the_plan_of_quickstart_covers_the_suite_offline(cli):
    rows = json.loads(cli.run("quickstart", "--dry-run", "--json", "--store", str(cli.folder / "quick")))
    what = " ".join(row["what"] for row in rows)
    for name in ("nli", "paraphrase", "pos", "ner", "qa", "copa", "retrieval"):
        assert f"on sample_{name}" in what
    for setup in (
        "full(sample_nli)",
        "sample_nli > target",
        "sample_qa > target",
        "fuse(sample_nli, sample_qa)",
    ):
        assert f"train {setup}" in what
    controlled = json.loads(
        cli.run(
            "quickstart", "--dry-run", "--json", "--control", "random", "--store", str(cli.folder / "quick")
        )
    )
    assert len(controlled) == 2 * len(rows)
