"""Groups of options become options of a command."""

import inspect
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from adaptrans_cli.options import DataPlace, Printing, TaskTraining, grouped, settings


def test_a_group_arrives_filled_in() -> None:
    got = []

    @grouped
    def command(
        task: Annotated[str, typer.Argument()],
        training: TaskTraining,
        printing: Printing,
        twice: bool = False,
    ) -> None:
        got.append((task, training, printing, twice))

    app = typer.Typer()
    app.command()(command)
    arguments = ["nli", "--epochs", "2", "--set", "patience=3", "--limit-train", "7", "--json", "--seed", "4"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    [(task, training, printing, twice)] = got
    assert (task, twice, printing) == ("nli", False, Printing(as_json=True))
    assert training.seed == 4
    assert training.given() == {"epochs": 2.0, "patience": 3, "limit_train": 7}


def test_own_options_come_first() -> None:
    @grouped
    def command(place: DataPlace, printing: Printing, setup: str = "full") -> None: ...

    names = list(inspect.signature(command).parameters)
    assert names[0] == "setup"
    assert names[-2:] == ["dry_run", "as_json"]


def test_an_option_cannot_be_there_twice() -> None:
    def command(printing: Printing, dry_run: bool = False) -> None: ...

    with pytest.raises(TypeError, match="command has options twice: dry_run"):
        grouped(command)


def test_settings_are_read_as_files_are() -> None:
    """Norwegian is a language and no falsehood; options of their own win."""
    assert settings(["code=no", "keep-best=false", "codes=[no, de]"]) == {
        "code": "no",
        "keep_best": False,
        "codes": ["no", "de"],
    }
    assert settings(["epochs=3"], epochs=2.0, seed=None) == {"epochs": 2.0}
