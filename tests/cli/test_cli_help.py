import re

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from adaptrans_cli.main import app

COMMANDS = {
    "intermediate", "target", "evaluate", "compare", "run", "predict", "doctor", "tasks", "pretrain", "score",
    "mine", "analyze", "select",
    "inspect", "methods", "language", "quickstart", "report", "export", "adopt", "hub", "config", "memory",
    "backbones",
}  # fmt: skip


def every_command(command, path=()):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, (*path, name))


def test_the_commands_are_those_of_the_documentation():
    assert set(get_command(app).commands) == COMMANDS


@pytest.mark.parametrize("path", every_command(get_command(app)), ids=" ".join)
def test_every_help_page_explains_every_option(path):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    command = get_command(app)
    for name in path:
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name} has no help"


@pytest.mark.parametrize("path", every_command(get_command(app)), ids=" ".join)
def test_help_keeps_what_stands_in_brackets(path):
    command = get_command(app)
    for name in path:
        command = command.commands[name]
    shown = "".join(CliRunner().invoke(app, [*path, "--help"], terminal_width=200).output.split())
    for parameter in command.params:
        text = getattr(parameter, "help", "") or ""
        for part in re.findall(r"\w+\\\[[^\]]+\]", text):
            assert part.replace("\\", "").replace(" ", "") in shown.replace("│", "")
        assert not re.search(r"[a-z_]+(?<!\\)\[[a-z]", text), f"{parameter.name}: escape the bracket for rich"
