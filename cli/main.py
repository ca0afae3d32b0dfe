"""The command `adaptrans`.

Command files import only typer and the standard library, so that `--help` is
quick; everything else is imported when a command runs.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from adaptrans_cli import (
    adopt,
    compare,
    config,
    doctor,
    evaluate,
    export,
    hub,
    inspect,
    intermediate,
    language,
    methods,
    mine,
    predict,
    pretrain,
    quickstart,
    report,
    run,
    score,
    target,
    tasks,
)

app = typer.Typer(
    name="adaptrans",
    help="Intermediate task, target task in English on top of it, evaluation in every language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(tasks.app, name="tasks")
app.add_typer(config.app, name="config")
app.add_typer(hub.app, name="hub")
for command in (
    quickstart.quickstart,
    pretrain.pretrain,
    language.language,
    intermediate.intermediate,
    target.target,
    evaluate.evaluate,
    inspect.inspect,
    compare.compare,
    run.run,
    report.report,
    predict.predict,
    methods.methods,
    export.export,
    adopt.adopt,
    score.score,
    mine.mine,
    doctor.doctor,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("adaptrans"))
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of expected errors.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the hub for anything.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["ADAPTRANS_DEBUG"] = "1"
    if offline:
        # huggingface_hub reads this once, when it is imported.
        os.environ["HF_HUB_OFFLINE"] = "1"


def main() -> None:
    """Run the command line: an expected failure is one line on standard error and exit code 2."""
    from adaptrans.errors import AdaptransError

    try:
        app()
    except AdaptransError as error:
        if os.environ.get("ADAPTRANS_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, MemoryError) as error:
        _refuse(error, "check the path, its permissions and the space left")
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        _refuse(error, "lower tokens_per_batch with --set tokens_per_batch=2048, or take --device cpu")


def _refuse(error: Exception, remedy: str) -> None:
    """Print a failure of the machine in one line; the same command goes on once it is mended."""
    if os.environ.get("ADAPTRANS_DEBUG"):
        raise error
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {text[:300]}; {remedy}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
