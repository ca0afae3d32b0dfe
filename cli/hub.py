"""`adaptrans hub`: share trained artifacts, and use those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans.utils.format import size
from adaptrans_cli import options

if TYPE_CHECKING:
    from adaptrans.hub.pull import Pulled
    from adaptrans.hub.push import Shared
    from adaptrans.modeling.backbone import Backbone
    from adaptrans.runs.store import Store

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
    how = PushOptions(
        new_version=new_version,
        tag=tag,
        private=private,
        pull_request=pull_request,
        message=message,
        tell=options.say,
    )
    shared = sharing.push(
        root.named(run),
        root,
        address,
        license=license_,
        how=how,
        backbone=_backbone(backbone),
        tasks=tasks or (),
    )
    if as_json:
        options.print_json(_pushed(shared))
        return
    _print_pushed(shared)


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


def _print_pushed(shared: Shared) -> None:
    for parent in shared.parents:
        _print_pushed(parent)
    what = "pushed" if shared.pushed.new else "already there:"
    link = f" {shared.pushed.link}" if shared.pushed.link else ""
    print(f"{what} {shared.pushed.entry}, {size(shared.package.size)}{link}")


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
        own = {"name": name, "language": language, "pickles": allow_bin, "method": method}
        _pull_foreign(address, Store(store), base, own, largest, as_json)
        return
    if as_json:
        options.print_json(_pulled(found))
        return
    from adaptrans.tasks.names import TaskRef

    _print_pulled(found)
    package = found.package
    if package.run.phase == "target":
        print(f"use it: adaptrans evaluate {package.target} --run {package.run.key}")
    elif package.run.phase == "intermediate":
        name = TaskRef.parse(package.task).name
        print(f"use it: adaptrans target TASK --setup '{name}#{package.run.key} > target'")


def _pull_foreign(
    address: str,
    store: Store,
    base: Backbone,
    own: dict[str, Any],
    largest: int,
    as_json: bool,
) -> None:
    """Take an adapter of the adapters library, and say how a setup names it."""
    from adaptrans.hub.import_adapterhub import pull_foreign

    run = pull_foreign(address, store, base, largest=largest, **own)
    notes = run.result()["notes"][1:]
    if as_json:
        options.print_json({"run": run.name, "key": run.key, "folder": str(run.path), "notes": notes})
        return
    for note in notes:
        options.say(f"note: {note}")
    called = run.config()["task"]
    print(f"took {address} as {run.path}")
    use = "--setup '{lang} > target'" if own["language"] else f"--setup '{called}#{run.key} > target'"
    print(f"use it: adaptrans target TASK {use}")


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


def _print_pulled(found: Pulled) -> None:
    for parent in found.parents:
        _print_pulled(parent)
    what = "pulled" if found.new else "already there:"
    print(f"{what} {found.entry} as {found.run.path}")


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
    from adaptrans.hub import resolve

    if language_adapters:
        _language_adapters(base, language, as_json)
        return
    if place is None:
        raise ConfigError("no hub given", remedy="name its address, or add --language-adapters")
    found = resolve.rows(place, base=base, task=task, language=language, method=method, score=score)
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
    from rich.table import Table

    from adaptrans_cli.tables import console

    table = Table(box=SIMPLE)
    for name in ("language", "name", "backbone", "id"):
        table.add_column(name)
    for item in rows:
        table.add_row(*item.values())
    out = console()
    out.print(table)
    out.print(
        f"{len(rows)} language adapters of MAD-X: {METHOD}, {LICENSE}, weights in .bin files", markup=False
    )
    out.print("take one: adaptrans hub pull hf://ID --language CODE --allow-bin --backbone BASE")


@app.command()
def show(address: At, as_json: options.Json = False) -> None:
    """Show what an artifact says of itself; only its manifest is fetched."""
    from adaptrans.hub import resolve

    package, entry = resolve.show(address)
    if as_json:
        options.print_json(
            {
                **package.model_dump(mode="json"),
                "version": entry.version,
                "tags": list(entry.tags),
                "manifest": package.digest(),
            }
        )
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
    from dataclasses import asdict

    from adaptrans.hub.resolve import verify as check
    from adaptrans.hub.verification.errors import REASONS

    found = check(address, backbone=_backbone(backbone), largest=int(max_size * GIB))
    if as_json:
        options.print_json(
            {"address": address, "sound": not found, "refusals": [asdict(item) for item in found]}
        )
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
