"""What the shell completes."""

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from adaptrans import languages
from adaptrans.modeling.known_backbones import known
from adaptrans.tasks import catalogue
from adaptrans_cli import completion
from adaptrans_cli.main import app


def completed(words, last=""):
    """What bash is given for the word that is being written."""
    line = f"adaptrans {words} {last}"
    place = str(len(words.split()) + 1)
    variables = {"_ADAPTRANS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": place}
    result = CliRunner().invoke(app, [], env=variables, prog_name="adaptrans")
    assert not result.exception, result.output
    return [line for line in result.output.split("\n") if line]


@pytest.mark.parametrize(
    ("words", "last", "expected"),
    [
        ("evaluate", "xq", ["xquad", "xquad_r"]),
        ("target", "xcop", ["xcopa", "xcopa_translated"]),
        ("intermediate", "winog", ["winogrande"]),
        ("predict", "xcod", ["xcodah"]),
        ("compare", "bele", ["belebele"]),
        ("tasks show", "afri", ["afrixnli"]),
        ("tasks check xnli", "pawsx", ["pawsx"]),
        ("tasks preview", "taxi", ["taxi1500"]),
        ("tasks list --type", "mult", ["multiple_choice"]),
        ("tasks list --language", "sw", ["sw", "swg"]),
        ("tasks new", "tag", ["tagging"]),
        ("evaluate xnli --setup", "cont", ["continue"]),
        ("evaluate xnli --setup", "mnl", ["mnli"]),
        ("evaluate xnli --languages", "t", ["th", "tr"]),
        ("evaluate xnli --languages", "de,s", ["de,sw"]),
        ("evaluate xnli --method", "lor", ["lora", "loreft"]),
        ("intermediate mnli --method", "fu", ["full"]),
        ("evaluate xnli --backbone", "xlm-r", [name for name in known() if name.startswith("xlm-r")]),
        ("select xnli --from", "mnli,hel", ["mnli,hellaswag"]),
        ("language", "yo", ["yo"]),
        ("adopt folder --language", "yo", ["yo"]),
    ],
)
def test_names_are_completed(words, last, expected):
    assert completed(words, last) == expected
    assert expected


def test_everything_is_offered_for_an_empty_word():
    assert completed("evaluate") == catalogue.names()
    assert set(completed("tasks list --language")) == set(languages.table())
    assert completed("evaluate xnli --languages") == list(catalogue.get("xnli").languages)


def test_the_last_name_of_a_setup_is_completed_and_the_rest_kept():
    context = typer.Context(get_command(app))
    for text, expected in (
        ("fuse(mnli, squad_", ["fuse(mnli, squad_it"]),
        ("mnli > tar", ["mnli > target"]),
        ("mnli[de] + copa_b", ["mnli[de] + copa_balanced"]),
        ("xnli-", []),
    ):
        assert completion.setup(context, text) == expected
    assert "mnli > xnli" in completion.setup(context, "mnli > ")


def test_own_tasks_are_completed_and_faults_stay_silent(tmp_path):
    (tmp_path / "mine_1.yaml").write_text(
        "extends: xnli\nname: mine_1\nlanguages: [sw, ur]\n", encoding="utf-8"
    )
    assert completed(f"evaluate --tasks {tmp_path}", "min") == ["mine_1"]
    assert completed(f"evaluate --tasks {tmp_path / 'none'}", "xn") == []
