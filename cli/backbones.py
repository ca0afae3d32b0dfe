"""`adaptrans backbones`: which encoders are known by name, what they are and what works on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import completion, options
from adaptrans_cli.options import Printing, Training, grouped

if TYPE_CHECKING:
    from adaptrans.modeling.known_backbones import KnownBackbone

app = typer.Typer(
    name="backbones",
    help="Encoders that are known by a short name: list, show; a head for one without: add-head.",
    no_args_is_help=True,
)
UNKNOWN = "unknown"
SOURCES = {"bundled": "bundled", "extra": "an extra", "hub": "hub"}
TYPICAL = {
    "adapter": "train an adapter (seq_bn), 32 x 128 tokens, fp32",
    "full": "train the whole model, 32 x 128 tokens, fp32",
    "answer": "answer, 32 x 128 tokens, fp32",
}
"""Runs whose memory is forecast; classification into three labels, the vocabulary trimmed for an adapter."""


@app.command("list")
def list_(
    memory: Annotated[
        bool, typer.Option("--memory", help="Also forecast the memory of typical runs; takes a minute.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show every encoder that is known by a short name."""
    from adaptrans.modeling.known_backbones import known
    from adaptrans.utils.progress import progress

    rows = [item.as_json() for item in known().values()]
    if memory:
        with progress("forecast", len(rows)) as meter:
            for number, item in enumerate(known().values(), start=1):
                rows[number - 1]["memory"] = _memory(item)
                meter.to(number)
    if as_json:
        options.print_json({"backbones": rows})
        return
    _print_list(rows, memory)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Short name, or full name on the hub.")],
    as_json: options.Json = False,
) -> None:
    """Show one encoder: shape, license, what works on it, memory of typical runs; nothing is downloaded."""
    from adaptrans.modeling.known_backbones import get

    item = get(name)
    row = {**item.as_json(), "memory": _memory(item)}
    if as_json:
        options.print_json(row)
        return
    _print_one(row)


@app.command("add-head")
@grouped
def add_head(
    backbone: Annotated[
        str,
        typer.Argument(
            help="Folder, hub id or short name of an encoder.", autocompletion=completion.backbone
        ),
    ],
    text: Annotated[
        Path,
        typer.Option(
            "--text", help="Folder with CODE.txt, CODE/*.txt or mono/CODE.txt, or one file; .gz too."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new backbone.")],
    training: Training,
    printing: Printing,
    languages: Annotated[
        str | None,
        typer.Option(
            "--languages",
            help="Codes with commas; by default all that have text.",
            autocompletion=completion.languages,
        ),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="The text task, where it is one of your own.")] = "mlm",
    license_: Annotated[
        str | None, typer.Option("--license", help="Of the text, in words: written down beside the weights.")
    ] = None,
    limit_train: options.LimitTrain = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    tasks: options.TaskFolders = None,
    device: options.Device = "auto",
    skip_bad_rows: options.SkipBadRows = False,
) -> None:
    """Train a masked language model head on text, the encoder frozen, and write both as a backbone."""
    from adaptrans import api
    from adaptrans.experiments.commands import workspace
    from adaptrans.experiments.plan import Plan, jobs_of
    from adaptrans.runs.masked_lm_head import head_spec

    folder, codes = _text_of(text, options.codes(languages))
    where = workspace(
        backbone=backbone,
        data=folder,
        store=store,
        tasks=tasks or (),
        device=device,
        skip_bad_rows=skip_bad_rows,
    )
    given = options.settings(None, **training.given(), limit_train=limit_train)
    if printing.dry_run:
        spec = head_spec(where, task, codes, training.seed, given)
        options.show_plan(jobs_of(Plan((spec,), ())), printing.as_json)
        return
    made = api.add_head(
        out,
        where=where,
        task=task,
        languages=codes,
        license=license_,
        seed=training.seed,
        announce=options.announce,
        **given,
    )
    if printing.as_json:
        options.print_json(made)
        return
    print(f"{made['folder']}: {'written' if made['written'] else 'already there'} ({made['run']})")
    _print_held_out(made)
    for note in made["notes"]:
        print(f"note: {note}")


def _text_of(text: Path, codes: list[str]) -> tuple[Path, list[str]]:
    """The folder of a text and its languages; a single file says its language in its name.

    Raises:
        MissingDataError: If there is no such file or folder.
        ConfigError: If the name of a file is that of no language.
    """
    from adaptrans import languages
    from adaptrans.errors import ConfigError, MissingDataError

    if text.is_dir():
        return text, codes
    if not text.is_file():
        raise MissingDataError(f"--text {text} does not exist", remedy="give a folder of text, or a file")
    code = text.name.removesuffix(".gz").removesuffix(".txt")
    if code not in languages.table() or codes not in ([], [code]):
        raise ConfigError(
            f"--text {text}: the name of a single file says its language",
            remedy="call it CODE.txt or CODE.txt.gz, or give its folder",
        )
    return text.parent, [code]


HELD_OUT = ("language", "loss", "perplexity", "accuracy", "tokens", "untrained loss", "untrained accuracy")
"""What is measured on held-out text, and for the head before its first step."""


def _print_held_out(made: dict[str, Any]) -> None:
    """Print how well hidden tokens are guessed in text that the head has not seen."""
    from rich.box import SIMPLE

    from adaptrans_cli.tables import console, grid

    rows = [
        (
            code,
            f"{found['loss']:.2f}",
            f"{found['perplexity']:,.0f}",
            f"{found['accuracy']:.1f}",
            f"{found['tokens']:,}",
            f"{made['untrained'][code]['loss']:.2f}",
            f"{made['untrained'][code]['accuracy']:.1f}",
        )
        for code, found in made["held_out"].items()
    ]
    title = "Hidden tokens of held-out text"
    console().print(grid(HELD_OUT, rows, title=title, numbers=HELD_OUT[1:], box=SIMPLE))


def _memory(item: KnownBackbone) -> dict[str, int] | None:
    """Peak bytes of the typical runs; None where the architecture is not supported."""
    if item.spec is None:
        return None
    from adaptrans.modeling.efficiency.memory_case import TRIMMED_ROWS, Case, shape_from
    from adaptrans.modeling.efficiency.memory_estimation import forecast

    shape = shape_from(item.config)
    rows = TRIMMED_ROWS if item.spec.supports("vocab_trimming") else None
    cases = {
        "adapter": Case(shape, vocabulary=rows),
        "full": Case(shape, setup="full"),
        "answer": Case(shape, setup="full", vocabulary=rows, training=False),
    }
    return {name: forecast(cases[name]).peak for name in TYPICAL}


def _text(value: Any) -> str:
    """A fact as it is printed."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _print_list(rows: list[dict[str, Any]], memory: bool) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    from adaptrans_cli.tables import console, grid

    typical = TYPICAL if memory else {}
    counted = ("layers", "width", "parameters", "vocabulary", "tokens", "languages", *typical)
    cells = []
    for row in rows:
        supported = row["supported"]
        millions = UNKNOWN if row["parameters"] is None else f"{row['parameters'] / 1e6:,.0f} M"
        sizes = [_text(row.get("layers")), _text(row.get("width")), millions, _text(row.get("vocabulary"))]
        sizes.append(_text(row.get("max_tokens")))
        cells.append(
            [
                row["name"],
                SOURCES[row["source"]],
                row["architecture"] + ("" if supported else " (not supported)"),
                *(sizes if supported else ["-"] * len(sizes)),
                _text(row["languages"]),
                *(_gigabytes(row["memory"], name) for name in typical),
                _text(row["head"]),
                _text(row["license"]),
            ]
        )
    out = console()
    columns = ("name", "from", "architecture", *counted, "head", "license")
    out.print(grid(columns, cells, numbers=counted, box=SIMPLE))
    out.print(Text("head: masked language model head in the files; tokens: of the longest input"))
    for name, what in typical.items():
        out.print(Text(f"{name}: {what}; GB at the peak, a forecast"))
    out.print(
        "any folder or hub name of a supported architecture works as well; adaptrans backbones show NAME"
    )


def _gigabytes(memory: dict[str, int] | None, name: str) -> str:
    return "-" if memory is None else f"{memory[name] / 1e9:.1f}"


def _print_one(row: dict[str, Any]) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    from adaptrans_cli.tables import console, grid

    sources = {
        "bundled": "bundled with the package",
        "extra": f"an extra of the package; on the hub {row['hub']}",
        "hub": f"https://huggingface.co/{row['hub']}",
    }
    longest = {"longest input": f"{row['max_tokens']:,} tokens"} if row["supported"] else {}
    facts: dict[str, str] = {
        "what": row["about"],
        "from": sources[row["source"]],
        "architecture": row["architecture"] + ("" if row["supported"] else ", which is not supported"),
        **{name: _text(row[name]) for name in ("layers", "width", "heads", "vocabulary") if name in row},
        "parameters": _text(row["parameters"]),
        **longest,
        "languages": _text(row["languages"]),
        "license": _text(row["license"]),
        "described in": _text(row["paper"]),
        "trained with": " or ".join(repr(text) for text in row["prefixes"]) or "no text prefix",
    }
    rows = list(facts.items())
    for name, works in row["works"].items():
        rows.append((UNKNOWN if works is None else "works" if works else "does not work", name))
    for name, what in TYPICAL.items() if row["memory"] else ():
        rows.append((f"{_gigabytes(row['memory'], name)} GB", what))
    console().print(grid(("", ""), rows, title=Text(row["name"], "bold"), box=SIMPLE, show_header=False))
