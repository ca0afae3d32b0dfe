"""`adaptrans tasks`: list, show, check and preview tasks, and begin one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import completion, options

if TYPE_CHECKING:
    from adaptrans.task_types.base import Input
    from adaptrans.tasks.schema import Task
    from adaptrans.tasks.validation import Lengths, Shown, SplitCheck


MEASURED = 10_000
"""Examples whose length is measured at most."""

CHARACTERS = 600
"""Characters of a field that are printed at most; --json has all."""

TOKENS = 100
"""Tokens of an input that are printed at most; --json has all."""

BAR = 40

Formulated = Annotated[
    str | None,
    typer.Option("--formulation", help="How examples are put: head, cloze:en, cloze:own, entailment:en, ..."),
]

SUMMARY = {"name", "version", "title", "kind", "roles", "languages", "scores", "license"}
"""What a list says of a task as JSON."""

app = typer.Typer(name="tasks", help="Tasks: list, show, check, preview, begin one.", no_args_is_help=True)


@app.command()
def new(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Type of the task; without one the types are listed.",
            autocompletion=completion.task_type,
            show_default=False,
            metavar="[TYPE]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write, as tasks/my_task.yaml; else it is printed.")
    ] = None,
    example_data: Annotated[
        Path | None,
        typer.Option("--example-data", help="Also write a few fitting rows below this data folder."),
    ] = None,
    tasks: options.TaskFolders = None,
) -> None:
    """Write a commented task file of a type to begin one's own with."""
    from adaptrans.tasks.catalogue import load_types
    from adaptrans.tasks.templates import example_rows, name_of, task_file, templates, write_new

    for folder in tasks or ():
        load_types(folder)

    if kind is None:
        for name, template in templates().items():
            print(f"{name:18} {template.asks}")
        return
    name = name_of(out) if out is not None else "my_task"
    text = task_file(kind, name, str(out.parent) if out is not None else "FOLDER")
    files = {} if out is None else {out: text}
    if example_data is not None:
        files |= {example_data / path: rows for path, rows in example_rows(kind, name).items()}
    write_new(files)
    if out is None:
        print(text, end="")
    for path in files:
        options.say(f"wrote {path}")
    if out is not None:
        where = example_data or "DATA"
        options.say(f"now: adaptrans tasks check {name} --tasks {out.parent} --data {where}")


@app.command()
def preview(
    name: Annotated[str, typer.Argument(help="Name of the task.", autocompletion=completion.task)],
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            help="Language; by default English, or the first at hand.",
            autocompletion=completion.language,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split; by default the first that has the language.")
    ] = None,
    number: Annotated[int, typer.Option("--number", min=1, help="How many examples, from the first.")] = 3,
    max_length: options.MaxLength = None,
    formulation: Formulated = None,
    perturb: Annotated[
        str | None, typer.Option("--perturb", help="As a changed test set has them: typos:10, ...")
    ] = None,
    backbone: options.Backbone = None,
    data: options.Data = None,
    tasks: options.TaskFolders = None,
    skip_bad_rows: options.SkipBadRows = False,
    as_json: options.Json = False,
) -> None:
    """Show examples as text and as the model sees them, and how long they are."""
    from adaptrans.modeling.backbone import check_length, identify, load_tokenizer
    from adaptrans.perturbations.base import perturbation_of
    from adaptrans.runs.workspace import data_places
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.loading import read_examples, with_labels
    from adaptrans.tasks.validation import length_notes, lengths, shown
    from adaptrans.utils.progress import progress

    folder, folders = data_places(data, tasks or ())
    task = catalogue.get(name, folders)
    if formulation is not None:
        task = task.put(formulation, folders)
    encoder = identify(backbone or "mini")
    length = max_length or task.max_length
    if backbone is not None:
        check_length(encoder, length, task.name)
    split, lang = _place(task, split, lang, folder)
    examples = read_examples(task, split, lang, folder, skip_bad_rows=skip_bad_rows)
    if perturb is not None:
        examples = list(perturbation_of(perturb, task.kind).changed(examples))
    task = with_labels(task, folder)
    tokenizer = load_tokenizer(encoder)
    first = shown(task, examples[:number], tokenizer, length)
    step = -(-len(examples) // MEASURED)
    measured = examples[::step]
    with progress(f"measuring {name} {lang}", len(measured)) as meter:
        found = lengths(task, measured, tokenizer, length, meter.to)
    for note in length_notes(task.model_copy(update={"max_length": length}), encoder.longest):
        options.say(f"note: {task}: {note}")
    if as_json:
        values = {"task": str(task), "split": split, "language": lang, "backbone": backbone or "mini"}
        measures = {**asdict(found), "share_longer": found.share_longer}
        options.print_json({**values, "examples": len(examples), "shown": first, "lengths": measures})
        return
    put = "" if task.formulation is None else f" as {task.formulation}"
    print(f"{task}{put} {split} [{lang}]: {len(examples):,} examples, tokens of {backbone or 'mini'}")
    for item in first:
        _print_example(item)
    _print_lengths(found)


def _place(task: Task, split: str | None, lang: str | None, data: Path | None) -> tuple[str, str]:
    """The split and language to show: what was asked for, else the first at hand."""
    from adaptrans.tasks.loading import available_languages

    for name in [split] if split else task.splits:
        task.split(name)
        languages = available_languages(task, name, data)
        if lang in languages:
            return name, str(lang)
        if lang is None and languages:
            return name, "en" if "en" in languages else languages[0]
    # Nothing is at hand: reading what was asked for says what to fetch.
    chosen = split or ("test" if "test" in task.splits else next(iter(task.splits)))
    return chosen, lang or task.languages_of(chosen)[0]


def _print_example(item: Shown) -> None:
    print(f"\n{item.id}")
    for field, value in item.fields.items():
        text = _flat(value)
        print(f"  {field}: {text if len(text) <= CHARACTERS else f'{text[:CHARACTERS]} ...'}")
    for model_input in item.inputs:
        print(f"  -> {model_input.note or 'tokens'}: {len(model_input.tokens)} tokens")
        print(f"     {_marked(model_input)}")


def _flat(value: Any) -> str:
    """A field on one line."""
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], dict):
            return " | ".join(f"{item['text']!r} at {item['start']}" for item in value)
        return " | ".join(str(item) for item in value)
    return " ".join(str(value).split()) if isinstance(value, str) else str(value)


def _marked(model_input: Input) -> str:
    """Tokens on one line, with their labels, and the answer in brackets."""
    labels = model_input.labels or [""] * len(model_input.tokens)
    pairs = zip(model_input.tokens, labels, strict=True)
    words = [f"{token}/{label}" if label else token for token, label in pairs]
    begin = 0
    if model_input.span is not None:
        start, end = model_input.span
        words[start] = f"[[{words[start]}"
        words[end] = f"{words[end]}]]"
        begin = max(0, min(end + TOKENS // 4, len(words)) - TOKENS)
    cut = words[begin : begin + TOKENS]
    before, after = "... " if begin else "", " ..." if begin + TOKENS < len(words) else ""
    return f"{before}{' '.join(cut)}{after}"


def _print_lengths(found: Lengths) -> None:
    print(f"\nlengths in tokens ({found.examples:,} examples)")
    most = max(count for _, _, count in found.bins)
    for first, last, count in found.bins:
        bar = "#" * max(round(BAR * count / most), 1 if count else 0)
        print(f"{first:6} to {last:<6} {count:8,} {bar}")
    print(f"median {found.median}, 95 % up to {found.percentile_95}, longest {found.longest}")
    share = f"{found.longer:,} ({100 * found.share_longer:.1f} %)"
    print(f"{share} are longer than max_length {found.max_length} and {found.then}")


def _places(data: Path | None, tasks: Sequence[Path] | None) -> tuple[Path | None, tuple[Path, ...]]:
    """The data folder, if one is given, and the folders of task files.

    Raises:
        ConfigError: If the data folder is none.
    """
    from adaptrans.errors import ConfigError
    from adaptrans.runs.workspace import data_places

    folder, folders = data_places(data, tasks or ())
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", remedy="add --data DIR or set ADAPTRANS_DATA")
    return folder, folders


@app.command("list")
def list_tasks(
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="Only tasks of this type; `tasks new` lists the types.",
            autocompletion=completion.task_type,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language", help="Only tasks in this language, such as sw.", autocompletion=completion.language
        ),
    ] = None,
    data: options.Data = None,
    tasks: options.TaskFolders = None,
    as_json: options.Json = False,
) -> None:
    """List all tasks, and with --data in how many languages each split is at hand."""
    from adaptrans import languages
    from adaptrans.task_types.base import TASK_TYPES
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.loading import available_languages

    data, folders = _places(data, tasks)
    code = languages.get(language).code if language is not None else None
    wanted = TASK_TYPES[kind] if kind is not None else None
    values, rows = [], []
    for name in catalogue.names(folders):
        task = catalogue.get(name, folders)
        # A pair such as de-en is in both of its languages.
        own = [each for each in task.languages if code is None or code in each.split("-")]
        if not own or (wanted is not None and task.type is not wanted):
            continue
        found = {
            split: sum(each in own or code is None for each in available_languages(task, split, data))
            for split in task.splits
        }
        facts = task.model_dump(mode="json", include=SUMMARY)
        values.append({**facts, "splits": list(task.splits), "available": found if data else None})
        cells = [
            str(task),
            task.kind,
            ", ".join(task.roles),
            str(len(task.languages)),
            ", ".join(task.scores),
        ]
        parts = [split if code else f"{split} {count}" for split, count in found.items() if count]
        at_hand = ", ".join(parts) or "-"
        rows.append([*cells, *([at_hand] if data else [])])
    if as_json:
        options.print_json(values)
        return
    at_hand = f"at hand in {code}" if code else "at hand (languages)"
    _print_table(["task", "type", "roles", "languages", "scores", *([at_hand] if data else [])], rows)
    if not rows:
        options.say("note: no task is of that type and in that language")


@app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(help="Name of the task.", autocompletion=completion.task)],
    data: options.Data = None,
    tasks: options.TaskFolders = None,
    as_json: options.Json = False,
) -> None:
    """Show everything a task file says, and with --data what is at hand."""
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.loading import available_languages

    data, folders = _places(data, tasks)
    task = catalogue.get(name, folders)
    available = {split: available_languages(task, split, data) for split in task.splits} if data else None
    if as_json:
        shown = task.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        options.print_json({**shown, "available": available})
        return
    facts = [
        ("title", task.title),
        ("type", task.kind),
        ("roles", ", ".join(task.roles)),
        ("languages", f"{len(task.languages)}: {' '.join(task.languages)}"),
        ("labels", _labels(task)),
        ("scores", ", ".join(task.scores)),
        ("parallel", "yes" if task.parallel else "no"),
        ("max_length", str(task.max_length)),
        ("license", task.license),
        ("homepage", task.homepage),
        ("citation", task.citation),
        ("note", task.note or "-"),
    ]
    _print_table([str(task), ""], [list(fact) for fact in facts])
    _print_table(
        ["split", "from", "published", "at hand", "note"],
        [_split_row(task, split, available[split] if available else None) for split in task.splits],
    )


@app.command("check")
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of tasks.", autocompletion=completion.task)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every task.")] = False,
    data: options.Data = None,
    tasks: options.TaskFolders = None,
    backbone: options.Backbone = None,
    formulation: Formulated = None,
    skip_bad_rows: options.SkipBadRows = False,
    as_json: options.Json = False,
) -> None:
    """Read every split at hand, row by row, and compare it with FILES.tsv and the published sizes."""
    from adaptrans import mini
    from adaptrans.errors import ConfigError
    from adaptrans.modeling.backbone import check_length, outlined
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.validation import check_tasks, steps
    from adaptrans.utils.progress import progress

    if bool(names) == every:
        raise ConfigError("give the names of tasks, or --all", remedy="adaptrans tasks list shows the names")
    data, folders = _places(data, tasks)
    chosen = [catalogue.get(name, folders) for name in names or catalogue.names(folders)]
    if formulation is not None:
        chosen = [task.put(formulation, folders) for task in chosen]
    if data is None:
        raise ConfigError("no data folder given", remedy="add --data DIR or set ADAPTRANS_DATA")
    if backbone is not None:
        encoder = outlined(backbone)
        for task in chosen:
            check_length(encoder, task.max_length, task.name)
    longest = mini.LONGEST if backbone is None else encoder.longest
    with progress("checking", steps(chosen)) as meter:
        results = check_tasks(
            chosen,
            data,
            skip_bad_rows=skip_bad_rows,
            longest=longest,
            advance=lambda note: meter.advance(1, note),
        )
    remarks = _remarks(chosen, backbone or "mini") if formulation is not None else {}
    if as_json:
        options.print_json({"splits": results, "formulation": remarks} if remarks else results)
        return
    _print_checks(results)
    for shown, lines in remarks.items():
        for line in lines:
            typer.echo(f"note: {shown}: {line}")


def _remarks(chosen: Sequence[Task], backbone: str) -> dict[str, list[str]]:
    """What looks odd in the prompts of formulated tasks, or does not suit the tokenizer of a backbone."""
    from adaptrans.modeling.backbone import identify, load_tokenizer

    tokenizer = load_tokenizer(identify(backbone))
    formulated = [task for task in chosen if task.formulation is not None]
    return {task.shown: task.formulation.remarks(task.languages, tokenizer) for task in formulated}


def _print_checks(results: list[SplitCheck]) -> None:
    """One table row per split, then the notes, then what is absent and how to get it."""
    groups: dict[tuple[str, str], list[SplitCheck]] = {}
    for result in results:
        groups.setdefault((result.task, result.split), []).append(result)
    cells = []
    for (task, split), members in groups.items():
        read = [member for member in members if member.examples is not None]
        absent = [member.language for member in members if member.examples is None]
        cells.append(
            [
                task,
                split,
                f"{len(read)} of {len(members)}",
                f"{sum(member.examples or 0 for member in read):,}",
                str(sum(member.verified for member in read)),
                " ".join(absent) or "-",
            ]
        )
    _print_table(["task", "split", "languages", "examples", "files verified", "absent"], cells)
    noted: dict[tuple[str, str], dict[str, list[str]]] = {}
    for result in results:
        for note in result.notes:
            splits = noted.setdefault((result.task, note), {})
            splits.setdefault(result.split, []).append(result.language)
    for (task, note), splits in noted.items():
        where = ", ".join(f"{split} [{' '.join(languages)}]" for split, languages in splits.items())
        typer.echo(f"note: {task} {where}: {note}")
    for members in groups.values():
        lacking = [member for member in members if member.examples is None]
        if lacking:
            more = f"; the same for {len(lacking) - 1} more languages" if len(lacking) > 1 else ""
            typer.echo(f"absent: {lacking[0].remedy}{more}")


def _labels(task: Task) -> str:
    rule = task.labels_from
    if rule is None:
        return " ".join(task.labels) or "-"
    return f"those that stand {rule.at_least} times or more in {rule.split}"


def _split_row(task: Task, name: str, available: list[str] | None) -> list[str]:
    split = task.split(name)
    if split.compose:
        origin = " + ".join(split.compose)
    elif split.holdout:
        origin = f"{split.holdout.share:g} of {split.holdout.of}"
    else:
        hubs = [f"hub {hub.repo}{'' if hub.tried else ', not tried'}" for hub in task.hub_sources(name)]
        origin = "\n".join([*(" + ".join(source.path) for source in split.files), *hubs])
    counts = split.counts
    each = counts if isinstance(counts, dict) else {} if counts is None else {"": counts}
    published = ", ".join(f"{language} {count:,}".strip() for language, count in each.items()) or "-"
    return [name, origin, published, "?" if available is None else " ".join(available) or "-", split.note]


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE

    from adaptrans_cli.tables import console, grid

    console().print(grid(columns, rows, box=SIMPLE))
