"""`adaptrans config`: experiment files and presets, listed, shown, copied and checked."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options

if TYPE_CHECKING:
    from adaptrans.experiments.config import Explained

app = typer.Typer(
    help="Experiment files and presets: list, show, copy, validate, schema.", no_args_is_help=True
)

File = Annotated[str, typer.Argument(help="Experiment file, or the name of a bundled one.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Values that win over the file: training.full.epochs=2.")
]


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """List presets and bundled experiments."""
    from adaptrans.experiments.config import bundled, load_experiment
    from adaptrans.experiments.study import bundled_studies, load_study
    from adaptrans.runs import presets
    from adaptrans_cli.tables import listing

    found = [presets.get(name) for name in presets.names()]
    experiments = {name: load_experiment(path) for name, path in bundled().items()}
    studies = {name: load_study(path) for name, path in bundled_studies().items()}
    if as_json:
        presets_ = [{"name": item.name, "title": item.title, "source": item.source} for item in found]
        files = [
            {"name": name, "description": item.description, "file": str(bundled()[name])}
            for name, item in experiments.items()
        ]
        others = [
            {"name": name, "description": item.description, "file": str(bundled_studies()[name])}
            for name, item in studies.items()
        ]
        options.print_json({"presets": presets_, "experiments": files, "studies": others})
        return
    listing("Presets", ["name", "what", "source"], [(item.name, item.title, item.source) for item in found])
    rows = [(name, " ".join(item.description.split())) for name, item in experiments.items()]
    listing("Bundled experiments", ["name", "what"], rows)
    rows = [(name, " ".join(item.description.split())) for name, item in studies.items()]
    listing("Bundled studies of results of others", ["name", "what"], rows)


@app.command()
def show(
    file: Annotated[str | None, typer.Argument(help="Experiment file, or the name of a bundled one.")] = None,
    overrides: Overrides = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Show a preset instead of a file.")] = None,
    backbone: options.Backbone = None,
    tasks: options.TaskFolders = None,
    everything: Annotated[bool, typer.Option("--all", help="Defaults too.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show every option as it will hold, and where it came from: file, preset, default."""
    from adaptrans.errors import AdaptransError, ConfigError
    from adaptrans.experiments.config import (
        BASE_DEPTH,
        experiment_file,
        explain_experiment,
        explain_preset,
        load_experiment,
    )
    from adaptrans.modeling.backbone import outlined
    from adaptrans.runs import presets

    if (file is None) == (preset is None):
        raise ConfigError("nothing to show", remedy="name one file, or one preset with --preset NAME")
    depth = BASE_DEPTH if backbone is None else outlined(backbone).depth
    if preset is not None:
        _print(explain_preset(preset, depth), everything, as_json, _about(presets.get(preset)))
        return
    assert file is not None
    experiment = load_experiment(experiment_file(file), overrides or ())
    if backbone is None and experiment.first_backbone is not None:
        # Presets have options by size; a backbone that nothing is known of is shown as base.
        with contextlib.suppress(AdaptransError):
            depth = outlined(experiment.first_backbone).depth
    _print(explain_experiment(experiment, tasks or (), depth), everything, as_json, [])


def _about(preset: Any) -> list[str]:
    """What the reader of a preset has to know."""
    parts = (("source", preset.source), ("ours", preset.ours), ("not done here", preset.lacks))
    lines = [f"{name}: {text}" for name, text in parts if text]
    return [preset.title, *lines, f"its setups: {', '.join(preset.setups)}"]


def _print(found: list[Explained], everything: bool, as_json: bool, about: list[str]) -> None:
    if as_json:
        values = [{name: {"value": v, "from": origin} for name, v, origin in item.rows} for item in found]
        what = [item.what for item in found]
        options.print_json([{"what": w, "options": v} for w, v in zip(what, values, strict=True)])
        return
    from adaptrans_cli.tables import listing

    for line in about:
        print(line)
    alike: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for item in found:
        rows = item.rows if everything else item.given()
        alike.setdefault(tuple((name, str(value), origin) for name, value, origin in rows), []).append(
            item.what
        )
    for shown, names in alike.items():
        if shown:
            listing("; ".join(names), ["option", "value", "from"], shown)
    if not everything:
        print("all other options have their defaults; --all shows them too")


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="Name of a bundled experiment.")],
    to: Annotated[Path | None, typer.Argument(help="The new file; by default NAME.yaml here.")] = None,
) -> None:
    """Copy a bundled experiment, to be changed."""
    import shutil

    from adaptrans.errors import ConfigError, UnknownNameError
    from adaptrans.experiments.config import bundled
    from adaptrans.experiments.study import bundled_studies

    known = {**bundled(), **bundled_studies()}
    if name not in known:
        raise UnknownNameError("experiment", name, known, remedy="adaptrans config list shows them")
    out = to or Path(f"{Path(name).name}.yaml")
    if out.is_dir():
        out = out / f"{Path(name).name}.yaml"
    if out.exists():
        raise ConfigError(f"{out} exists", remedy="name another file, or delete it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(known[name], out)
    print(out)


@app.command()
def validate(file: File, overrides: Overrides = None, tasks: options.TaskFolders = None) -> None:
    """Check an experiment file: keys, values, setups, task names."""
    from adaptrans.experiments.config import experiment_file, explain_experiment, load_experiment
    from adaptrans.modeling.setup.parser import parse
    from adaptrans.modeling.setup.validation import check

    path = experiment_file(file)
    found = load_experiment(path, overrides or ())
    for setup in found.setups:
        check(parse(setup), found.adapter_method)
    runs = explain_experiment(found, tasks or ())
    print(
        f"{path}: {len(found.setups)} setups, {len(found.targets)} targets, {len(runs) - 1} groups of options"
    )


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="Write it here instead of printing it.")] = None,
) -> None:
    """Print the JSON schema of an experiment file, for editors."""
    import json

    from adaptrans.experiments.config import experiment_schema

    text = json.dumps(experiment_schema(), indent=2, ensure_ascii=False)
    if out is None:
        print(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", encoding="utf-8")
    print(out)
