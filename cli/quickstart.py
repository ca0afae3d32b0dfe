"""`adaptrans quickstart`: the main job on what is bundled, offline, in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adaptrans.hub.store import DEFAULT_STORE
from adaptrans_cli import common

DEFAULT_OUT = Path("adaptrans-quickstart")


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder of the page.")] = DEFAULT_OUT,
    control: common.Control = None,
    store: common.StoreFolder = DEFAULT_STORE,
    seed: common.OwnSeed = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Runs at a time; by default two, if there are cores.")
    ] = None,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
) -> None:
    """Compare six setups on the bundled encoder and sample suite, offline; ends with tables and a page."""
    from adaptrans import api
    from adaptrans.experiments import engine
    from adaptrans.experiments.config import load_experiment
    from adaptrans_cli.run import carry_out

    found = load_experiment(shipped("quickstart"))
    where = common.workspace("mini", Path("samples"), store, None, "auto")
    options = {"seed": seed, "control": control}
    if dry_run:
        common.show_plan(engine.work(api.plan_run(found, where=where, **options)), as_json)
        return
    at_once = jobs or min(2, engine.cores())
    carry_out(found, where, engine.Execution(jobs=at_once), as_json, out / "report.html", **options)


def shipped(name: str) -> Path:
    """The file of an experiment that ships."""
    from importlib.resources import files

    return Path(str(files("adaptrans_configs") / f"{name}.yaml"))
