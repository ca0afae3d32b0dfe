"""`adaptrans hub`, `adopt`, `export`: artifacts of others, for others, and for other libraries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from adaptrans.utils.progress import size
from adaptrans_cli import completion, options

if TYPE_CHECKING:
    from adaptrans.hub.pull import Pulled
    from adaptrans.hub.push import Shared
    from adaptrans.modeling.backbone import Backbone
    from adaptrans.runs.store import Run

T = TypeVar("T", "Pulled", "Shared")
GIB = 1 << 30

app = typer.Typer(
    help="Share trained artifacts in a folder, a store such as S3, or the Hugging Face Hub, and use others'.",
    no_args_is_help=True,
)

At = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="FOLDER/NAME, s3://BUCKET/FOLDER/NAME or hf://USER/NAME; @v1."),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        envvar="ADAPTRANS_BACKBONE",
        help="The base it has to fit: folder or hub id; mini is bundled.",
    ),
]
MaxSize = Annotated[float, typer.Option("--max-size", min=0, help="Refuse artifacts of more GiB than this.")]


@app.command()
def push(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Key, name or folder of a run of the store; see its runs/ folder."
        ),
    ],
    address: At,
    license_: Annotated[
        str, typer.Option("--license", help="License of the artifact, as apache-2.0 or cc-by-4.0.")
    ] = "unknown",
    tag: Annotated[
        str | None, typer.Option("--tag", help="Further name of this version, such as best.")
    ] = None,
    new_version: Annotated[
        bool, typer.Option("--new-version", help="Add a version to a name that has one with other content.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="hf: make a new repository private.")] = False,
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="hf: open a pull request instead of making a version.")
    ] = False,
    message: Annotated[str, typer.Option("--message", help="hf: message of the commit.")] = "",
    store: options.StoreFolder = options.DEFAULT_STORE,
    backbone: Base = None,
    tasks: options.TaskFolders = None,
    as_json: options.Json = False,
) -> None:
    """Share a run, and first what it was built on; nothing that is there is overwritten."""
    from adaptrans.hub import push as sharing
    from adaptrans.hub.base import PushOptions
    from adaptrans.runs.store import Store

    root = Store(store)
    how = PushOptions(new_version, tag, private, pull_request, message=message, tell=options.say)
    own: dict[str, Any] = {"license": license_, "backbone": _backbone(backbone), "tasks": tasks or ()}
    shared = sharing.push(root.named(run), root, address, how=how, **own)
    if as_json:
        options.print_json(_pushed(shared))
        return
    for item in _with_parents(shared):
        what = "pushed" if item.pushed.new else "already there:"
        link = f" {item.pushed.link}" if item.pushed.link else ""
        print(f"{what} {item.pushed.entry}, {size(item.package.size)}{link}")


def _with_parents(found: T) -> Iterator[T]:
    """What was pushed or pulled, after what it was built on."""
    for parent in found.parents:
        yield from _with_parents(parent)
    yield found


def _pushed(shared: Shared) -> dict[str, object]:
    entry = shared.pushed.entry
    return {
        "name": entry.name,
        "version": entry.version,
        "tags": list(entry.tags),
        "manifest": shared.package.digest(),
        "size": shared.package.size,
        "new": shared.pushed.new,
        "link": shared.pushed.link,
        "parents": [_pushed(parent) for parent in shared.parents],
    }


@app.command()
def pull(
    address: At,
    store: options.StoreFolder = options.DEFAULT_STORE,
    backbone: Base = None,
    name: Annotated[
        str | None, typer.Option("--name", help="An adapter of the adapters library: what setups call it.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="A language adapter of that library: its language.")
    ] = None,
    allow_bin: Annotated[
        bool, typer.Option("--allow-bin", help="Also take such an adapter's pickle; only tensors are read.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option("--method", help="direft or noreft, where such an adapter's file does not tell."),
    ] = None,
    max_size: MaxSize = 20,
    as_json: options.Json = False,
) -> None:
    """Fetch an artifact, and what it was built on, as finished runs of the store; all checked before.

    A repository of the Hugging Face Hub with an adapter of the adapters library is taken too.
    """
    from adaptrans.hub.base import NoPackage
    from adaptrans.hub.pull import pull as fetch
    from adaptrans.runs.store import Store

    base, largest = _backbone(backbone), int(max_size * GIB)
    try:
        found = fetch(address, Store(store), backbone=base, largest=largest, tell=options.say)
    except NoPackage:
        if base is None:
            raise
        from adaptrans.hub.import_adapterhub import pull_foreign

        own: dict[str, Any] = {"name": name, "language": language, "pickles": allow_bin, "method": method}
        run = pull_foreign(address, Store(store), base, largest=largest, **own)
        notes = run.result()["notes"][1:]
        if as_json:
            options.print_json({"run": run.name, "key": run.key, "folder": str(run.path), "notes": notes})
            return
        for note in notes:
            options.say(f"note: {note}")
        print(f"took {address} as {run.path}")
        print(f"use it: adaptrans target TASK --setup '{_called(run, language)} > target'")
        return
    if as_json:
        options.print_json(_pulled(found))
        return
    from adaptrans.tasks.names import TaskRef

    for item in _with_parents(found):
        print(f"{'pulled' if item.new else 'already there:'} {item.entry} as {item.run.path}")
    package = found.package
    if package.run.phase == "target":
        print(f"use it: adaptrans evaluate {package.target} --run {package.run.key}")
    elif package.run.phase == "intermediate":
        name = TaskRef.parse(package.task).name
        print(f"use it: adaptrans target TASK --setup '{name}#{package.run.key} > target'")


def _pulled(found: Pulled) -> dict[str, object]:
    return {
        "name": found.entry.name,
        "version": found.entry.version,
        "run": found.run.name,
        "key": found.run.key,
        "folder": str(found.run.path),
        "new": found.new,
        "parents": [_pulled(parent) for parent in found.parents],
    }


@app.command("list")
def list_(
    place: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="A hub: FOLDER, s3://BUCKET/FOLDER or hf://USER.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Id of the base, or start of its fingerprint.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task that it was trained on.")] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Language that it was trained or scored in.")
    ] = None,
    method: Annotated[str | None, typer.Option("--method", help="Method, such as seq_bn or full.")] = None,
    score: Annotated[float | None, typer.Option("--score", help="Least mean score.")] = None,
    language_adapters: Annotated[
        bool, typer.Option("--language-adapters", help="The public ones of MAD-X for XLM-R instead.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the artifacts of a hub, or the public language adapters."""
    from adaptrans.errors import ConfigError
    from adaptrans.hub import pull as pulling

    if language_adapters:
        _language_adapters(base, language, as_json)
        return
    if place is None:
        raise ConfigError("no hub given", remedy="name its address, or add --language-adapters")
    found = pulling.rows(place, base=base, task=task, language=language, method=method, score=score)
    if as_json:
        options.print_json(found)
        return
    from adaptrans_cli.tables import shared_rows

    shared_rows(place, found)


def _language_adapters(base: str | None, language: str | None, as_json: bool) -> None:
    """The public language adapters, those of one base or language."""
    from adaptrans import languages
    from adaptrans.hub.import_adapterhub import LICENSE, METHOD, public_for, public_language_adapters

    found = public_language_adapters() if base is None else public_for(base)
    code = None if language is None else languages.get(language).code
    rows = [
        {"language": row.language, "name": row.name, "backbone": row.backbone, "id": row.id}
        for row in found
        if code in (None, row.language)
    ]
    if as_json:
        options.print_json(rows)
        return
    from rich.box import SIMPLE

    from adaptrans_cli.tables import console, grid

    out = console()
    out.print(grid(("language", "name", "backbone", "id"), [[*row.values()] for row in rows], box=SIMPLE))
    out.print(
        f"{len(rows)} language adapters of MAD-X: {METHOD}, {LICENSE}, weights in .bin files", markup=False
    )
    out.print("take one: adaptrans hub pull hf://ID --language CODE --allow-bin --backbone BASE")


@app.command()
def show(address: At, as_json: options.Json = False) -> None:
    """Show what an artifact says of itself; only its manifest is fetched."""
    from adaptrans.hub import pull as pulling

    package, entry = pulling.show(address)
    if as_json:
        more = {"version": entry.version, "tags": entry.tags, "manifest": package.digest()}
        options.print_json(package.model_dump(mode="json") | more)
        return
    from adaptrans_cli.tables import shared_package

    shared_package(package, f"{entry} {' '.join(entry.tags)}".rstrip())


@app.command()
def verify(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="An artifact in a hub, or the folder of a pulled one.")
    ],
    backbone: Base = None,
    max_size: MaxSize = 20,
    as_json: options.Json = False,
) -> None:
    """Check an artifact without loading it, and explain every refusal; exit code 1 if there is one."""
    from adaptrans.hub.pull import verify as check
    from adaptrans.hub.verification.checks import REASONS

    found = check(address, backbone=_backbone(backbone), largest=int(max_size * GIB))
    if as_json:
        options.print_json({"address": address, "sound": not found, "refusals": found})
    elif not found:
        print(f"{address} is sound")
    else:
        print(f"{address} is refused:")
        for item in found:
            print(f"  {item}\n      {REASONS[item.reason]}")
    if found:
        raise typer.Exit(1)


@app.command()
def login() -> None:
    """Ask for a token of the Hugging Face Hub; huggingface_hub keeps it in its usual place."""
    from adaptrans.hub.huggingface import login as ask

    print(f"logged in as {ask()}")


def _backbone(name: str | None) -> Backbone | None:
    if name is None:
        return None
    from adaptrans.modeling.backbone import identify

    return identify(name)


def _called(run: Run, language: str | None) -> str:
    """How setups name an adapter that was taken into the store."""
    return "{lang}" if language else f"{run.config()['task']}#{run.key}"


def adopt(
    folder: Annotated[Path, typer.Argument(help="Folder of save_adapter, or of a LoRA of PEFT.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What setups call it; by default its own name.")
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            help="For a language adapter: its language, such as sw.",
            autocompletion=completion.language,
        ),
    ] = None,
    above_language: Annotated[
        bool, typer.Option("--above-language", help="It was trained above a language adapter.")
    ] = False,
    allow_bin: Annotated[
        bool, typer.Option("--allow-bin", help="Read pytorch_adapter.bin, a pickle, as bare tensors.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option("--method", help="direft or noreft, where the file does not tell which; else noreft."),
    ] = None,
    backbone: options.Backbone = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Take an adapter made with the adapters library, or a LoRA of PEFT, for setups to use."""
    from adaptrans import api

    run = api.adopt(
        folder,
        where=options.ParamSource(backbone, store, "cpu").workspace(),
        name=name,
        language=language,
        above_language=above_language,
        allow_bin=allow_bin,
        method=method,
    )
    called = _called(run, language)
    made, notes = run.result()["method"], run.result()["notes"]
    if as_json:
        values = {"run": run.name, "folder": str(run.path), "name": called, "method": made}
        options.print_json({**values, "notes": notes})
        return
    for note in notes[1:]:
        options.say(f"note: {note}")
    print(f"{run.path}: {made}; setups call it {called}")


def export(
    run: Annotated[str, typer.Argument(help="Key of a trained run, or folder of a run or an artifact.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    format_: Annotated[
        str,
        typer.Option("--format", help="transformers, adapters, or auto: the first where possible."),
    ] = "auto",
    head: Annotated[str | None, typer.Option("--head", help="The head of a run of several tasks.")] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            "--languages",
            help="Language adapters that go along; comma-separated.",
            autocompletion=completion.languages,
        ),
    ] = None,
    with_backbone: Annotated[
        bool, typer.Option("--with-backbone", help="For adapters: write the encoder too.")
    ] = False,
    backbone: options.Backbone = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Write a trained run so that transformers or adapters loads it without adaptrans."""
    from adaptrans.exporting.transformers import export as write

    made = write(
        run,
        out=out,
        format=format_,
        store=store,
        backbone=backbone,
        head=head,
        languages=options.codes(languages),
        with_backbone=with_backbone,
    )
    if as_json:
        shown = ("folder", "format", "reason", "lines")
        options.print_json({name: getattr(made, name) for name in shown})
        return
    if made.reason and format_ == "auto":
        options.say(f"for adapters: {made.reason}")
    print(f"{made.folder}, for {made.format}; its README.md says how to load it:")
    print("\n".join(made.lines))
