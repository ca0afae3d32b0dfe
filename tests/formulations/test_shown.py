"""What `tasks preview` and `tasks check` show of a formulation, and what `predict` asks for."""

import re

import pytest
from typer.testing import CliRunner

from adaptrans_cli.main import app


@pytest.fixture(scope="module")
def told(small_data):
    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [*arguments, "--data", str(small_data)])
        assert result.exit_code == code, result.output
        return re.sub(r"\s+", " ", result.output)

    return run


def test_a_preview_shows_text_mask_and_words(told):
    output = told("tasks", "preview", "xnli", "--formulation", "cloze:own", "--lang", "sw", "--number", "1")
    assert "xnli@1 as cloze:own" in output
    assert "language: sw" in output
    assert "[sw] entailment: Ndio (▁N dio), contradiction: Hapana (▁Hap ana)" in output
    assert "▁J ibu : <mask> <mask> ▁ . </s>" in output


def test_a_check_says_which_words_are_several_tokens(told):
    output = told("tasks", "check", "xnli", "--formulation", "cloze:en:own", "--backbone", "mini")
    assert "note: xnli[cloze:en:own]: sw: more than one subword token: Ndio (▁N dio)" in output
    assert "en: more than one subword token: Yes (▁Ye s), Maybe (▁May be)" in output


def test_the_language_of_ones_own_text_is_asked_for(told, tmp_path):
    own = ("predict", "xnli[cloze:own/untrained]", "--text", "Naye akasema.", "--pair", "Alimwita.")
    place = ("--backbone", "mini", "--store", str(tmp_path))
    result = told(*own, *place, "--lang", "sw")
    assert '"prediction": "' in result
    failed = CliRunner().invoke(app, [*own, *place, "--data", "samples"])
    assert "asks for the language" in str(failed.exception)
