"""What a user who types something wrong is told: one line, with the remedy, exit code 2."""

import pytest

SETUPS = {
    "mnli >": "expected",
    "fuse(nli)": "a fusion needs two adapters or more",
    "continue(nli) > target": "stands alone",
    "nli > target @ swop": "swop",
    "ful": "full",
    "nlii > target": 'did you mean "nli"',
}


def test_a_seed_larger_than_any_generator_takes_is_one_line(cli):
    told = cli.refused("target", "xnli", "--seed", "9" * 20, *cli.where)
    assert told == f"error: --seed {'9' * 20} is too large; choose one up to 9223372036854775807"


def test_wrong_names_and_places(cli):
    tasks = ["--tasks", str(cli.folder / "tasks")]
    assert 'did you mean "xnli"' in cli.refused("target", "xnil", *cli.where)
    assert 'unknown language of tatoeba "sv"' in cli.refused(
        "evaluate", "tatoeba", "--languages", "sv", *cli.where
    )
    gone = [*cli.where[:2], "--data", "nowhere", *cli.where[4:]]
    assert "the data folder nowhere does not exist; give" in cli.refused("target", "xnli", *gone)
    assert "no data for mnli.train" in cli.refused("intermediate", "mnli", *cli.where)
    assert "add --backbone" in cli.refused("target", "xnli", *cli.where[2:])
    assert "./none" in cli.refused("target", "xnli", "--backbone", "./none", *cli.where[2:])
    line = cli.refused("evaluate", "xnli", "--setup", "nli > target", *cli.where, *tasks)
    assert "run: adaptrans target xnli --setup 'nli > target'" in line
    several = ["--setup", "full", "--setup", "adapter", "--run", "abc"]
    assert "--run names one run; leave it out" in cli.refused("evaluate", "xnli", *several, *cli.where)
    assert "holds no scored evaluation" in cli.refused("compare", "--store", "empty")
    assert "there is no experiment file" in cli.refused("run", "none.yaml", *cli.where)


@pytest.mark.parametrize("setup", SETUPS)
def test_setups_that_cannot_run(cli, setup):
    tasks = ["--tasks", str(cli.folder / "tasks")]
    assert SETUPS[setup] in cli.refused("target", "xnli", "--setup", setup, *cli.where, *tasks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "seq_bm"], 'did you mean "seq_bn"'),
        (["--set", "epoch=3"], 'did you mean "epochs"'),
        (["--set", "epochs"], '--set "epochs" is not of the form key=value; as --set patience=3'),
        (["--epochs", "-1"], "epochs = -1"),
        (["--precision", "fp8"], "precision = 'fp8'"),
        (["--device", "tpu"], 'unknown device "tpu"'),
    ],
)
def test_options_that_cannot_be(cli, options, words):
    tasks = ["--tasks", str(cli.folder / "tasks")]
    line = cli.refused("target", "xnli", "--setup", "adapter", *options, *cli.where, *tasks)
    assert words in line


def test_debug_shows_the_traceback(cli):
    error = cli.run("--debug", "target", "xnil", *cli.where, code=1)
    assert "Traceback" in error
    assert "UnknownNameError" in error


def test_a_bad_row_stops_with_file_and_line_or_is_skipped_and_listed(cli):
    import shutil

    data = shutil.copytree(cli.data, cli.folder / "data")
    path = data / "udpos/train-en.tsv"
    path.write_text(path.read_text().replace("\tNOUN", "\tNUON", 1))
    line = next(number for number, row in enumerate(path.read_text().splitlines(), 1) if "NUON" in row)
    where = [*cli.where[:2], "--data", str(data), *cli.where[4:]]
    options = ["--setup", "adapter", "--max-steps", "1", "--precision", "fp32"]
    told = cli.refused("target", "udpos", *options, *where)
    assert f"train-en.tsv:{line}: unknown tag" in told
    told = cli.refused("tasks", "check", "udpos", "--data", str(data))
    assert f"train-en.tsv:{line}: unknown tag" in told
    process = cli.start("target", "udpos", *options, "--skip-bad-rows", *where)
    _, error = process.communicate()
    assert process.returncode == 0
    assert "1 bad row skipped" in error
    assert f"train-en.tsv:{line}" in error


def test_an_old_name_is_one_line_of_warning_and_still_an_error_where_its_value_is(cli):
    said = cli.run("target", "xnli", "--quantise", "3bit", "--set", "clip=0.5", *cli.where, code=2)
    lines = said.splitlines()
    assert lines[:2] == [
        "warning: --quantise is called --quantize now",
        "warning: clip is called max_grad_norm now",
    ]
    assert lines[2].startswith("error: training: quantize = '3bit'")
    assert len(lines) == 3


def test_options_of_an_evaluation_can_be_set_as_those_of_training(cli):
    assert 'did you mean "samples"' in cli.refused("evaluate", "xnli", "--set", "sample=200", *cli.where)
    assert "pooling = 'max'" in cli.refused("evaluate", "xnli", "--set", "pooling=max", *cli.where)
    assert "split = True" in cli.refused("evaluate", "xnli", "--set", "split=true", *cli.where)
