"""The functions of the Python API and the commands have the same options, names and defaults."""

import inspect
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pytest
from typer.main import get_command

import adaptrans
from adaptrans import api
from adaptrans.evaluation.bitext_mining.files import Options as MiningOptions
from adaptrans.experiments import commands
from adaptrans.experiments.execution.base import Execution
from adaptrans.runs.masked_lm_head import head_spec
from adaptrans.runs.training_args import EvaluationConfig, TrainingConfig
from adaptrans.selection.select import select as rank
from adaptrans_cli import analyze, backbones, evaluate, hub, results, run, select, train
from adaptrans_cli.main import app

NOT_OPTIONS = {"where", "announce", "tell", "advance", "callback", "self", "shown"}
"""What a function takes from a program: where it works, and whom it tells."""

PRINTING = {"dry_run", "as_json"}
"""What a command prints and as what; a function returns it."""

ANY_OTHER = {"set_", "overrides"}
"""Options of a command that give any other by its name."""


@dataclass(frozen=True)
class Pair:
    """A command and the functions that do the same.

    Args:
        command: The command.
        functions: Functions, planners behind `**options`, and classes whose fields are options.
        renamed: Name on the command line for a name in Python.
        apart: Names in Python that are no option of the command, each with the reason.
        shell: Options of the command that are no name in Python, each with the reason.
    """

    command: object
    functions: tuple
    renamed: dict = None
    apart: dict = None
    shell: dict = None


FILE = "a value of the experiment's file, which in Python stands in the experiment"
PAIRS = {
    "language": Pair(train.language, (api.language, commands.plan_language, TrainingConfig)),
    "intermediate": Pair(train.intermediate, (api.intermediate, commands.plan_intermediate, TrainingConfig)),
    "target": Pair(train.target, (api.target, commands.plan_target, TrainingConfig)),
    "evaluate": Pair(
        evaluate.evaluate,
        (api.evaluate, commands.plan_evaluate, EvaluationConfig),
        {"limit": "limit_eval"},
        {"setup": "the command takes several, side by side"},
        {"formulation": "several, side by side; in Python part of the task's name"},
    ),
    "predict": Pair(
        evaluate.predict,
        (api.predict, commands.plan_evaluate, EvaluationConfig),
        {"languages": "lang", "rows": "input_"},
        shell={
            **dict.fromkeys(("text", "pair", "question", "context", "choice"), "one row by its fields"),
            "out": "a function returns the rows",
        },
    ),
    "mine": Pair(evaluate.mine, (api.mine, MiningOptions), apart={"precision": "auto stands for not given"}),
    "compare": Pair(
        results.compare,
        (api.compare, api.compare_by, api.benchmark_means, api.export_results),
        {"out": "export"},
        {"tables": "what compare returned"},
        {"published": "api.published, whose reasons are printed"},
    ),
    "report": Pair(
        results.report,
        (api.report, api.finished),
        apart={"tables": "what compare or run returned"},
        shell={"overrides": FILE},
    ),
    "analyze": Pair(
        analyze.analyze, (api.analyze, api.report_study), {"out": "report"}, {"page": "what analyze returned"}
    ),
    "select": Pair(
        select.select, (api.select, rank), apart={"measures": "the command's default is the same, all"}
    ),
    "run": Pair(
        run.run,
        (api.run, commands.plan_run, Execution),
        apart={
            "training": "--set, --precision, --limit-train and values of the file",
            "evaluation": "--precision, --limit-eval and values of the file",
            "execution": "its fields are options",
        },
        shell={
            **dict.fromkeys(("preset", "seeds", "shots", "select"), FILE),
            **dict.fromkeys(("precision", "limit_train", "limit_eval"), "keys of training and evaluation"),
            "report": "api.report",
        },
    ),
    "adopt": Pair(hub.adopt, (api.adopt,)),
    "export": Pair(hub.export, (adaptrans.export,), {"format": "format_"}),
    "add-head": Pair(
        backbones.add_head,
        (api.add_head, head_spec, TrainingConfig),
        {"license": "license_"},
        {"options": "the fields of TrainingConfig", "codes": "languages"},
        {"text": "the data folder of the workspace"},
    ),
}

COMMANDS_ALONE = {
    "quickstart": "a tour in a terminal",
    "inspect": "prints files of a run",
    "methods": "prints a table of the package",
    "memory": "prints a forecast, which is adaptrans.modeling.efficiency.memory_estimation",
    "score": "prints scores of files, which is adaptrans.evaluation.scoring",
    "doctor": "prints what an installation has",
    "pretrain": "moved",
}
GROUPS = {"tasks", "config", "hub", "backbones"}


def told(parameters):
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name not in NOT_OPTIONS
    }


def python_options(pair):
    """Names and defaults of functions, and the names of fields of classes of options."""
    named, of_classes = {}, {}
    for function in pair.functions:
        if is_dataclass(function):
            of_classes |= {field.name: field.default for field in fields(function)}
        elif inspect.isclass(function):
            of_classes |= {name: field.default for name, field in function.model_fields.items()}
        else:
            named |= {
                name: default
                for name, default in told(inspect.signature(function).parameters).items()
                if name not in named
            }
    return named, of_classes


def same(one, other):
    """Whether two defaults mean the same: nothing, an empty list, a path as text."""
    empty = (None, inspect.Parameter.empty, ())
    if one in empty and other in empty:
        return True
    return str(one) == str(other) if isinstance(one, Path) or isinstance(other, Path) else one == other


PLACE = told(inspect.signature(commands.workspace).parameters)


@pytest.mark.parametrize("name", PAIRS)
def test_every_option_of_python_is_one_of_the_command(name):
    pair = PAIRS[name]
    of_command = told(inspect.signature(pair.command).parameters)
    named, of_classes = python_options(pair)
    for option, default in named.items():
        if option in (pair.apart or {}):
            continue
        called = (pair.renamed or {}).get(option, option)
        assert called in of_command, f"{name}: Python has {option}, the command has no {called}"
        assert same(of_command[called], default), f"{name}: {option} is {default}, {of_command[called]} there"
    for option, default in of_classes.items():
        called = (pair.renamed or {}).get(option, option)
        if called not in of_command:
            assert "set_" in of_command, f"{name}: the command can give no {option}"
        elif option not in (pair.apart or {}):
            assert of_command[called] is None or same(of_command[called], default), f"{name}: {option}"


@pytest.mark.parametrize("name", PAIRS)
def test_every_option_of_the_command_is_one_of_python(name):
    pair = PAIRS[name]
    named, of_classes = python_options(pair)
    back = {called: option for option, called in (pair.renamed or {}).items()}
    for option, default in told(inspect.signature(pair.command).parameters).items():
        if option in PRINTING | ANY_OTHER | {*(pair.shell or {})}:
            continue
        called = back.get(option, option)
        assert called in named or called in of_classes or called in PLACE, f"{name}: Python has no {called}"
        if called in PLACE and called not in named:
            assert same(default, PLACE[called]), f"{name}: {option} is {default}, {PLACE[called]} in Python"


def test_what_is_named_apart_is_there():
    """A reason for a difference goes when the difference does."""
    for name, pair in PAIRS.items():
        named, of_classes = python_options(pair)
        of_command = told(inspect.signature(pair.command).parameters)
        assert {*(pair.apart or {})} <= {*named, *of_classes, "options", "codes"}, name
        assert {*(pair.shell or {}), *(pair.renamed or {}).values()} <= {*of_command}, name


def test_every_command_has_its_function_or_a_reason():
    paired = {*PAIRS} - {"add-head"}
    assert set(get_command(app).commands) == paired | {*COMMANDS_ALONE} | GROUPS
    for name in sorted({*adaptrans.__all__} - {"AdaptransError", "workspace"}):
        assert name.replace("_", "-") in PAIRS, f"adaptrans.{name} has no command"


def test_every_place_of_a_workspace_can_be_given():
    given = {option for pair in PAIRS.values() for option in inspect.signature(pair.command).parameters}
    assert {*PLACE} <= given


def test_the_former_name_of_an_argument_goes_on_working(small_workspace, tmp_path):
    with (
        pytest.warns(FutureWarning, match="pickles is called allow_bin now"),
        pytest.raises(adaptrans.AdaptransError),
    ):
        adaptrans.adopt(tmp_path, where=small_workspace, pickles=True)
    with pytest.raises(TypeError, match="pickels"):
        adaptrans.adopt(tmp_path, where=small_workspace, pickels=True)
