"""`adaptrans tasks new` and `tasks preview`: begin a task of one's own, and look at what a model gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import common

if TYPE_CHECKING:
    from adaptrans.tasks.preview import Input, Lengths, Shown
    from adaptrans.tasks.schema import Task

MEASURED = 10_000
"""Examples whose length is measured at most."""

CHARACTERS = 600
"""Characters of a field that are printed at most; --json has all."""

TOKENS = 100
"""Tokens of an input that are printed at most; --json has all."""

BAR = 40


def new(
    kind: Annotated[
        str | None,
        typer.Argument(help="Kind of the task; without one the kinds are listed.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write, as tasks/my_task.yaml; else it is printed.")
    ] = None,
    example_data: Annotated[
        Path | None,
        typer.Option("--example-data", help="Also write a few fitting rows below this data folder."),
    ] = None,
) -> None:
    """Write a commented task file of a kind to begin one's own with."""
    from adaptrans.tasks.templates import TEMPLATES, example_rows, name_of, task_file, write_new

    if kind is None:
        for name in TEMPLATES.names():
            print(f"{name:18} {TEMPLATES[name].asks}")
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
        common.say(f"wrote {path}")
    if out is not None:
        where = example_data or "DATA"
        common.say(f"now: adaptrans tasks check {name} --tasks {out.parent} --data {where}")


def preview(
    name: Annotated[str, typer.Argument(help="Name of the task.")],
    lang: Annotated[
        str | None, typer.Option("--lang", help="Language; by default English, or the first at hand.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split; by default the first that has the language.")
    ] = None,
    number: Annotated[int, typer.Option("--number", min=1, help="How many examples, from the first.")] = 3,
    max_length: common.MaxLength = None,
    backbone: common.Backbone = None,
    data: common.Data = None,
    tasks: common.TaskFolders = None,
    skip_bad_rows: common.SkipBadRows = False,
    as_json: common.Json = False,
) -> None:
    """Show examples as text and as the model sees them, and how long they are."""
    from adaptrans.models.backbone import check_length, identify, load_tokenizer
    from adaptrans.progress import progress
    from adaptrans.runs.workspace import data_places
    from adaptrans.tasks import catalogue
    from adaptrans.tasks.check import length_notes
    from adaptrans.tasks.open_labels import with_labels
    from adaptrans.tasks.preview import lengths, shown
    from adaptrans.tasks.sources import read_examples

    folder, folders = data_places(data, tasks or ())
    task = catalogue.get(name, folders)
    encoder = identify(backbone or "mini")
    length = max_length or task.max_length
    if backbone is not None:
        check_length(encoder, length, task.name)
    split, lang = _place(task, split, lang, folder)
    examples = read_examples(task, split, lang, folder, skip_bad_rows=skip_bad_rows)
    task = with_labels(task, folder)
    tokenizer = load_tokenizer(encoder)
    first = shown(task, examples[:number], tokenizer, length)
    step = -(-len(examples) // MEASURED)
    measured = examples[::step]
    with progress(f"measuring {name} {lang}", len(measured)) as meter:
        found = lengths(task, measured, tokenizer, length, meter.to)
    for note in length_notes(task.model_copy(update={"max_length": length}), encoder.longest):
        common.say(f"note: {task}: {note}")
    if as_json:
        common.print_json(_as_json(task, split, lang, backbone, len(examples), first, found))
        return
    print(f"{task} {split} [{lang}]: {len(examples):,} examples, tokens of {backbone or 'mini'}")
    for item in first:
        _print_example(item)
    _print_lengths(found)


def _place(task: Task, split: str | None, lang: str | None, data: Path | None) -> tuple[str, str]:
    """The split and language to show: what was asked for, else the first at hand."""
    from adaptrans.tasks.sources import available_languages

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


def _as_json(
    task: Task,
    split: str,
    lang: str,
    backbone: str | None,
    examples: int,
    first: list[Shown],
    found: Lengths,
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "task": str(task),
        "split": split,
        "language": lang,
        "backbone": backbone or "mini",
        "examples": examples,
        "shown": [asdict(item) for item in first],
        "lengths": {**asdict(found), "share_longer": found.share_longer},
    }


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
    words = [
        f"{token}/{label}" if label else token
        for token, label in zip(
            model_input.tokens, model_input.labels or [""] * len(model_input.tokens), strict=True
        )
    ]
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
