"""`adaptrans predict`: own text through a trained setup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options as common
from adaptrans_cli.options import TaskPlace, grouped

if TYPE_CHECKING:
    from adaptrans.runs.evaluation import EvaluateSpec
    from adaptrans.task_types.base import TaskType


@grouped
def predict(
    task: Annotated[str, typer.Argument(help="Target task whose head answers, such as xnli.")],
    place: TaskPlace,
    text: Annotated[str | None, typer.Option("--text", help="Text to classify, or words to tag.")] = None,
    pair: Annotated[str | None, typer.Option("--pair", help="Second text of a pair.")] = None,
    question: Annotated[str | None, typer.Option("--question", help="Question on --context.")] = None,
    context: Annotated[str | None, typer.Option("--context", help="Passage that holds the answer.")] = None,
    choice: Annotated[list[str] | None, typer.Option("--choice", help="One choice after --text.")] = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", help="JSON lines with the fields of the task's type; - for stdin."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File of JSON lines; else standard output.")
    ] = None,
    setup: common.SetupText = "full",
    run: Annotated[str | None, typer.Option("--run", help="Key of one trained run of the store.")] = None,
    method: common.Method = common.DEFAULT_METHOD,
    seed: common.Seed = 1,
    precision: common.Precision = None,
    quantize: common.Quantize = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which run would answer how many inputs; answer none.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="As the other commands; answers are JSON lines in any case.")
    ] = False,
) -> None:
    """Answer your own text, in any language, with a trained setup; prints JSON lines."""
    import json

    from adaptrans import api
    from adaptrans.errors import ConfigError
    from adaptrans.experiments.commands import plan_evaluate
    from adaptrans.utils.io import atomic_write

    if out is not None and out.is_dir():
        raise ConfigError(f"--out {out} is a folder", remedy="name a file")
    where = place.workspace()
    own = {"text": text, "pair": pair, "question": question, "context": context, "choices": choice}
    given = {name: value for name, value in own.items() if value}
    rows = _rows(input_) if input_ is not None else [_row(where.task(task).type, given)]
    options: dict[str, Any] = {
        "setup": setup, "run": run, "method": method, "seed": seed, "precision": precision,
        "quantize": quantize,
    }  # fmt: skip
    if dry_run:
        _show_plan(plan_evaluate(task, where=where, **options), len(rows), as_json)
        return
    answers = api.predict(task, rows, where=where, **options)
    if out is None:
        for row in answers:
            print(json.dumps(row, ensure_ascii=False))
        return
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in answers:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _show_plan(spec: EvaluateSpec, inputs: int, as_json: bool) -> None:
    from adaptrans.errors import ConfigError

    if spec.trained is None:
        raise ConfigError(
            f"{spec.task.name} compares sentences and has no head", remedy="name another target"
        )
    if as_json:
        common.print_json({"run": spec.trained.name, "folder": str(spec.trained.path), "inputs": inputs})
    else:
        print(f"run {spec.trained.name} would answer; inputs: {inputs}")


def _row(kind: TaskType, given: dict[str, Any]) -> dict[str, Any]:
    """The fields given, `--text` under the name that the type has for it."""
    return {kind.text_field if name == "text" else name: value for name, value in given.items()}


def _rows(path: Path) -> list[dict[str, Any]]:
    from adaptrans.tasks.readers.files import read_jsonl

    return [row.values for row in read_jsonl(path) if row.values is not None]
