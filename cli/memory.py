"""`adaptrans memory`: what training takes, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options
from adaptrans_cli.options import TaskPlace, grouped

if TYPE_CHECKING:
    from adaptrans.modeling.efficiency.memory_case import Case

PARTS = ("weights", "gradients", "optimizer", "activations", "peak")


@grouped
def memory(
    place: TaskPlace,
    experiment: Annotated[
        str | None, typer.Argument(help="Experiment file, or the name of a bundled one; or else --setup.")
    ] = None,
    setup: options.SetupText = "adapter",
    method: options.Method = options.DEFAULT_METHOD,
    head: Annotated[
        str, typer.Option("--head", help="Form of head, such as tagging or span_qa.")
    ] = "classification",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Inputs computed at once.")] = 32,
    length: Annotated[int, typer.Option("--length", min=1, help="Subword tokens of each.")] = 128,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or bf16.")] = "fp32",
    quantize: options.Quantize = None,
    vocabulary: Annotated[
        int | None,
        typer.Option("--vocabulary", min=1, help="Tokens of a trimmed vocabulary; 40000 where not given."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--memory-budget", help="Also say how many inputs fit, as 8GB.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Forecast weights, gradients, optimizer, activations and peak, per option; no weights are loaded."""
    from adaptrans.modeling.backbone import outlined
    from adaptrans.modeling.efficiency.memory_case import Case, bytes_of, shape_of
    from adaptrans.modeling.efficiency.memory_estimation import forecast, most_items
    from adaptrans.utils.progress import progress

    most = bytes_of(budget) if budget is not None else None
    if experiment is not None:
        cases = list(_of_experiment(experiment, place))
    else:
        shape = shape_of(outlined(place.backbone or _no_backbone()))
        rows = vocabulary or _rows()
        asked = Case(
            shape,
            setup,
            method,
            head,
            items=batch_size,
            length=length,
            precision=precision,
            quantize=quantize or "none",
        )
        cases = list(_variants(_checked(asked), rows))
    found: list[dict[str, Any]] = []
    with progress("forecast", len(cases)) as meter:
        for number, (name, case) in enumerate(cases, start=1):
            row: dict[str, Any] = {"case": name, "inputs": case.items, "length": case.length}
            row |= forecast(case).as_json()
            if most is not None:
                row["fit"] = most_items(case, most)
            found.append(row)
            meter.to(number)
    if as_json:
        options.print_json({"backbone": place.backbone, "memory_budget": most, "cases": found})
        return
    _print(found)


def _no_backbone() -> str:
    from adaptrans.errors import ConfigError

    raise ConfigError("no backbone is given", remedy="say --backbone xlm-roberta-base, or ADAPTRANS_BACKBONE")


def _rows() -> int:
    from adaptrans.modeling.efficiency.memory_case import TRIMMED_ROWS

    return TRIMMED_ROWS


def _checked(case: Case) -> Case:
    """Refuse what no run would take."""
    from adaptrans.errors import ConfigError, UnknownNameError
    from adaptrans.modeling.encoder import spec_of
    from adaptrans.modeling.heads import HEADS
    from adaptrans.modeling.setup.parser import parse
    from adaptrans.modeling.setup.validation import QUANTIZED, check, check_quantized

    if case.head not in HEADS:
        raise UnknownNameError("head", case.head, HEADS.names())
    if case.precision not in ("fp32", "bf16"):
        raise UnknownNameError("precision", case.precision, ("fp32", "bf16"))
    config = case.shape.as_config()
    longest = spec_of(config).longest_input(config)
    if case.length > longest:
        raise ConfigError(
            f"--length {case.length} is more than the encoder takes", remedy=f"at most {longest}"
        )
    check(parse(case.setup), case.method)
    if case.quantize not in ("none", *QUANTIZED):
        raise UnknownNameError("--quantize", case.quantize, ("none", *QUANTIZED))
    check_quantized(case.quantize, "full" if parse(case.setup).is_full else case.method, case.setup)
    return case


def _variants(asked: Case, rows: int) -> Iterator[tuple[str, Case]]:
    """The case as asked, and what each option makes of it."""
    from dataclasses import replace

    from adaptrans.modeling import adapter_methods
    from adaptrans.modeling.heads import HEADS
    from adaptrans.modeling.setup.parser import parse

    whole = parse(asked.setup).is_full
    keeps_rows = HEADS[asked.head].fills_masks
    trimmed = asked if keeps_rows else replace(asked, vocabulary=rows)
    own = asked if whole else trimmed
    base = "" if asked.quantize == "none" else f", base in {asked.quantize}"
    yield f"{asked.setup}, {'full' if whole else asked.method}, {asked.precision}{base}", own
    if base:
        yield "base not quantized", replace(own, quantize="none")
    if not keeps_rows:
        name = "with --trim-vocabulary" if whole else "with --no-trim"
        yield name, trimmed if whole else asked
    if asked.precision == "fp32":
        yield "in bf16", replace(own, precision="bf16")
    yield "gradient checkpointing", replace(own, checkpointing=True)
    if asked.items > 1:
        yield "a quarter of the inputs at once", replace(own, items=max(1, asked.items // 4))
    if not whole:
        method = adapter_methods.parse(asked.method)
        if "leave_out" in method.entry.option_names and not method.options:
            half = f"{asked.method}[leave_out='first:{asked.shape.depth // 2}']"
            yield "lower half left out", replace(own, method=half)
        yield "full", replace(asked, setup="full", quantize="none")


def _of_experiment(name: str, place: TaskPlace) -> Iterator[tuple[str, Case]]:
    """The training runs of an experiment that differ in what they take."""
    from adaptrans.experiments.commands import plan_run
    from adaptrans.experiments.config import experiment_file, load_experiment

    found = load_experiment(experiment_file(name), []).on(place.backbone)
    where = place.workspace(found.first_backbone, shown=True)
    seen: set[Case] = set()
    for spec in plan_run(found, where=where).training:
        case = spec.memory_case()
        if case is not None and case not in seen:
            seen.add(case)
            profile = spec.profile({})
            method = f", {profile.method}" if profile.method != "full" else ""
            yield f"{profile.task}: {profile.setup}{method}", case


def _print(found: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from adaptrans_cli.tables import console

    table = Table(box=SIMPLE)
    table.add_column("")
    for name in ("inputs", *PARTS, *(("fit",) if "fit" in found[0] else ())):
        table.add_column(name, justify="right")
    for row in found:
        sizes = [f"{row[part] / 1e9:.2f}" for part in PARTS]
        fit = [str(row["fit"])] if "fit" in row else []
        table.add_row(Text(row["case"]), f"{row['inputs']} x {row['length']}", *sizes, *fit)
    out = console()
    out.print(table)
    out.print(Text("GB of 10^9 bytes, beside what Python and its libraries take"))
