"""The command `adaptrans`.

Command files import only typer and the standard library, so that `--help` is
quick; everything else is imported when a command runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptrans_cli import (
    analyze,
    backbones,
    config,
    evaluate,
    hub,
    process,
    resources,
    results,
    run,
    select,
    tasks,
    train,
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
app.add_typer(backbones.app, name="backbones")
for command in (
    run.quickstart,
    train.language,
    train.intermediate,
    train.target,
    evaluate.evaluate,
    results.inspect,
    results.compare,
    analyze.analyze,
    select.select,
    run.run,
    results.report,
    evaluate.predict,
    resources.methods,
    resources.memory,
    hub.export,
    hub.adopt,
    results.score,
    evaluate.mine,
    resources.doctor,
):
    app.command()(command)


@app.command(hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def pretrain() -> None:
    """Moved: pretraining of small encoders lies beside the package, in `tools/`."""
    from adaptrans.errors import ConfigError

    raise ConfigError(
        "pretraining is no part of the installed package any more",
        remedy="in a checkout: PYTHONPATH=tools python -m mini_pretraining CONFIG, see tools/README.md",
    )


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


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


_show_other_warning = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a warning about a changed name as one line; other libraries' warnings as Python does."""
    from adaptrans.utils.renames import shown

    line = shown(message, category)
    if line is None:
        _show_other_warning(message, category, *where, **more)
    else:
        print(line, file=sys.stderr)


def main() -> None:
    """Run the command line: an expected failure is one line on standard error and exit code 2."""
    from adaptrans.errors import AdaptransError, one_line
    from adaptrans.utils import distributed, renames

    warnings.showwarning = _show_warning
    # Where a processor has AVX-512 BF16, bitsandbytes 0.50 warns on import that it lacks a kernel of the hub,
    # also of commands that quantize nothing.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

    try:
        # Of several processes that train together one is enough to talk; failures are told by each.
        with contextlib.nullcontext() if distributed.is_main() else _silence():
            app(args=renames.current_arguments(sys.argv[1:]))
    except Exception as error:
        line = one_line(error)
        if line is None or os.environ.get("ADAPTRANS_DEBUG"):
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, AdaptransError) else 2)


def start() -> None:
    """The installed command `adaptrans`, which has the process to itself."""
    process.run(main)


if __name__ == "__main__":
    start()
