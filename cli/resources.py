"""`adaptrans doctor`, `methods`, `memory`: what is installed, what can be trained, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options
from adaptrans_cli.options import TaskPlace, grouped

if TYPE_CHECKING:
    from adaptrans.doctor import Finding
    from adaptrans.modeling.efficiency.memory_case import Case
    from adaptrans.modeling.efficiency.memory_estimation import Size


def doctor(
    backbone: options.Backbone = None,
    data: options.Data = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    tasks: options.TaskFolders = None,
    as_json: options.Json = False,
) -> None:
    """Show versions, devices, hub, caches, data and backbone, and how to get what is missing.

    Exit code 1 if something is missing without which runs fail.
    """
    from adaptrans.doctor import examine

    findings = examine(store, data, backbone, tasks or ())
    if as_json:
        options.print_json([asdict(finding) for finding in findings])
    else:
        _print_findings(findings)
    if any(finding.level == "missing" for finding in findings):
        raise typer.Exit(1)


COLORS = {"ok": "green", "note": "yellow", "missing": "red"}


def _print_findings(findings: Sequence[Finding]) -> None:
    try:
        from rich.text import Text

        from adaptrans_cli.tables import console, grid
    except ImportError:  # rich may be what is missing
        for item in findings:
            print("  ".join(filter(None, (item.level, item.subject, item.found, item.remedy))))
        return
    rows = [
        [Text(item.level, COLORS[item.level]), item.subject, item.found, item.remedy] for item in findings
    ]
    console().print(grid(("", "subject", "found", "what to do"), rows))


SHOWN = ("a > target", "fuse(a, b)", "fuse(a, b) > target", "average(a, b) > target", "a + b - c > target")


def methods(
    backbone: options.Backbone = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="Also one with options, as seq_bn\\[reduction_factor=8]; repeatable."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show every adapter method: which setups take it, and with --backbone its parameters and bytes."""
    from adaptrans.modeling import adapter_methods as known

    further = [str(known.parse(text)) for text in method or ()]
    found: dict[str, Size] = {}
    if backbone is not None:
        from adaptrans.modeling.backbone import identify
        from adaptrans.modeling.efficiency.memory_estimation import sizes

        found = {size.name: size for size in sizes(identify(backbone), further)}
    rows = [_row(name, found) for name in (*known.names(), *further)]
    others = [_cost(name, found) for name in ("full", "fusion") if name in found]
    if as_json:
        options.print_json({"backbone": backbone, "methods": rows, "others": others})
        return
    _print_methods(rows, others, bool(found))


def _row(name: str, found: dict[str, Size]) -> dict[str, Any]:
    return {**_cost(name, found), "refused": {setup: _refusal(setup, name) for setup in SHOWN}}


def _refusal(setup: str, method: str) -> str | None:
    """Why a setup does not run with a method, None if it does."""
    from adaptrans.errors import SetupError
    from adaptrans.modeling.setup.parser import parse
    from adaptrans.modeling.setup.validation import check

    try:
        check(parse(setup), method)
    except SetupError as refusal:
        return str(refusal)
    return None


def _cost(name: str, found: dict[str, Size]) -> dict[str, Any]:
    if name not in found:
        return {"method": name}
    size = found[name]
    return {"method": name, "trained": size.trained, "bytes": size.stored, "problem": size.problem}


def _print_methods(rows: list[dict[str, Any]], others: list[dict[str, Any]], sized: bool) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    from adaptrans_cli.tables import console, grid

    amounts = ("trained parameters", "on disk") if sized else ()
    marks = [["-" if row["refused"][setup] else "yes" for setup in SHOWN] for row in rows]
    cells = [[row["method"], *mark, *_amounts(row, sized)] for row, mark in zip(rows, marks, strict=True)]
    cells += [[], *([row["method"], *[""] * len(SHOWN), *_amounts(row, sized)] for row in others)]
    out = console()
    out.print(grid(("method", *SHOWN, *amounts), cells, numbers=amounts, centered=SHOWN, box=SIMPLE))
    out.print(
        Text("'adapter' and 'continue(a)' take every method; options as in 'seq_bn[reduction_factor=8]'")
    )
    out.print(Text("- is refused; --json says why, with the nearest setup that runs"))


def _amounts(row: dict[str, Any], sized: bool) -> list[str]:
    if not sized:
        return []
    if row["trained"] is None:
        return ["does not fit", "-"]
    return [f"{row['trained']:,}", f"{row['bytes'] / 1e6:,.2f} MB"]


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
    _print_memory(found)


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


def _print_memory(found: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    from adaptrans_cli.tables import console, grid

    columns = ("inputs", *PARTS, *(("fit",) if "fit" in found[0] else ()))
    rows = []
    for row in found:
        sizes = [f"{row[part] / 1e9:.2f}" for part in PARTS]
        fit = [str(row["fit"])] if "fit" in row else []
        rows.append([row["case"], f"{row['inputs']} x {row['length']}", *sizes, *fit])
    out = console()
    out.print(grid(("", *columns), rows, numbers=columns, box=SIMPLE))
    out.print(Text("GB of 10^9 bytes, beside what Python and its libraries take"))
