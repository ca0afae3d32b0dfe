"""What stands in one table: evaluations as rows, rows that share scored languages, long tables. Torch-free.

Nothing that was scored is left out of sight: setups that cannot stand in one table, because they share no
scored language or not the same data, stand in tables of their own, which say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.analysis.comparison import SHARED, Entry, Row, TargetTable, backbone_of, compared, formulated
from adaptrans.errors import ArtifactError, ConfigError, UnknownNameError
from adaptrans.evaluation.results import load_results
from adaptrans.formulations.written import HEAD
from adaptrans.modeling.setup.nodes import Setup
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.evaluation import BARE
from adaptrans.runs.store import Run, RunRef, Store
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.io import atomic_write, digest


def tables_of(entries: Sequence[Entry], baseline: str, cache: Path) -> list[TargetTable]:
    """The tables of one target and regime; empty if nothing of it has a score.

    Args:
        entries: One per setup.
        baseline: The setup that differences are taken to; it stands in the first table.
        cache: Folder in which tables are kept.
    """
    groups, notes = together(entries, baseline)
    made = [(group, compared(group, baseline, cache)) for group in groups]
    known = {code for _, table in made if table is not None for code in table.scored}
    found = []
    for group, table in made:
        if table is not None:
            said = dict.fromkeys([*table.notes, *notes])
            which = scored_in(group) if len(groups) > 1 else ""
            missing = tuple(code for code in table.missing if code not in known)
            found.append(replace(table, notes=tuple(said), which=which, missing=missing))
    return found


def together(entries: Sequence[Entry], baseline: str) -> tuple[list[list[Entry]], list[str]]:
    """Setups that share a scored language on the same data, and why they are not all in one table.

    Each setup joins the first group that it shares a language with, the baseline's before others.

    Args:
        entries: One per setup, all of the same target.
        baseline: The setup that differences are taken to.
    """
    notes: list[str] = []
    rows: list[Entry] = []
    for entry in entries:
        own = _seeds_together(entry)
        if len(own) > 1:
            notes.append(f"seeds of {entry.setup} share no scored language: they stand in rows of their own")
        rows += own
    order = sorted(rows, key=lambda entry: entry.setup != baseline)
    notes += [
        f"{entry.setup} has no score: its data have no reference labels"
        for entry in order
        if not data_of(entry)
    ]
    groups = _grouped([entry for entry in order if data_of(entry)])
    places = {id(entry): place for place, entry in enumerate(rows)}
    groups = [sorted(group, key=lambda entry: places[id(entry)]) for group in groups]
    if len(groups) > 1:
        parts = " and ".join(
            f"{', '.join(entry.setup for entry in group)} ({scored_in(group)})" for group in groups
        )
        target = entries[0].run.result()["target"]
        notes.append(
            f"{target}: {parts} share no language that was scored on the same data; they stand in tables "
            "of their own, and no difference is taken between these"
        )
    return groups, notes


def _grouped(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries that share a scored language, each with the first group that it shares one with."""
    groups: list[list[Entry]] = []
    for entry in entries:
        group = next((group for group in groups if _shared([*group, entry])), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    return groups


def scored_in(entries: Sequence[Entry]) -> str:
    """The languages that some setups share, in words."""
    codes = sorted(code for code, _ in _shared(entries))
    more = f" and {len(codes) - 6} more" if len(codes) > 6 else ""
    return f"in {', '.join(codes[:6])}{more}"


def data_of(entry: Entry) -> frozenset[tuple[str, str]]:
    """The languages that every seed was scored in, each with its data."""
    return frozenset((code, entry.results[0][code].data) for code in entry.scored)


def _shared(entries: Sequence[Entry]) -> frozenset[tuple[str, str]]:
    return frozenset.intersection(*map(data_of, entries))


def _seeds_together(entry: Entry) -> list[Entry]:
    """A setup, or its seeds apart where they share no language; controls go with all seeds alone."""
    alone = [replace(entry, runs=(run,), controls=()) for run in entry.runs]
    if data_of(entry) or len(alone) == 1 or not any(map(data_of, alone)):
        return [entry]
    found = []
    for group in _grouped(alone):
        seeds = ", ".join(str(one.run.config().get("seed")) for one in group)
        word = "seed" if len(group) == 1 else "seeds"
        runs = tuple(one.run for one in group)
        # What has no training has no seed.
        found.append(replace(entry, setup=f"{entry.setup} {word} {seeds}", runs=runs, controls=()))
    return found


NAMES = {
    "max_length": "maximum length",
    "definition": "task definition",
    "backbone": "weights of the backbone",
}
"""Options whose name in a run says little."""


def told_apart(tables: Sequence[TargetTable], runs: Mapping[str, Run]) -> list[TargetTable]:
    """Tables of one target, backbone and regime, each with the options in which it differs from the others.

    Args:
        tables: The tables.
        runs: The store's runs by key.
    """
    places = [(table.target, table.backbone, table.regime) for table in tables]
    found = []
    for table, place in zip(tables, places, strict=True):
        same = [other for other, at in zip(tables, places, strict=True) if at == place]
        configs = [config_of(other.rows[0], runs) for other in same]
        own = config_of(table.rows[0], runs)
        differ = [name for name in SHARED if len({repr(config.get(name)) for config in configs}) > 1]
        which = [said for name in differ if (said := _said(name, own.get(name)))]
        found.append(replace(table, which=", ".join(filter(None, [table.which, *which]))))
    return found


def config_of(row: Row, runs: Mapping[str, Run]) -> Mapping[str, Any]:
    """Inputs of the run behind a row; empty where the store has it no more."""
    run = runs.get(RunRef.parse(row.run).key)
    return {} if run is None else run.config()


def _said(name: str, value: Any) -> str:
    """An option in few words.

    Example:
        >>> _said("limit", 100), _said("limit", None), _said("backbone", "0123456789abcdef")
        ('limit 100', 'no limit', 'weights of the backbone 01234567')
    """
    words = NAMES.get(name, name)
    if value is None:
        return f"no {words}"
    return f"{words} {str(value)[:8] if name in ('definition', 'backbone') else value}"


OF_A_SEED = ("seed", "parents", "trained")
"""Inputs that differ between the seeds of a row; runs among them are compared by what made them."""


def store_entries(runs: Sequence[Run], others: Sequence[Run] = ()) -> dict[str, list[Entry]]:
    """Finished evaluations of a store by target and options, one entry per trained setup.

    Runs that differ in their seed alone are one entry. Retrieval has no training: what answers below
    `target` (`backbone`, `mnli`, ...) stands in a row of its own name. Where two different rows would have
    the same name, their keys tell them apart.

    Args:
        runs: The evaluations.
        others: The runs they build on, by which seeds of the same training are told from other training.
    """
    known = {run.key: run for run in others}
    groups: dict[str, list[Run]] = {}
    for run in runs:
        config = run.config()
        groups.setdefault(digest([config.get(name) for name in SHARED]), []).append(run)
    found = {}
    for members in groups.values():
        config = members[0].config()
        found[f"{config['task']} {config['split']} {members[0].key}"] = _entries(members, known)
    return dict(sorted(found.items()))


def evaluated(root: Store, target: str | None, baseline: str | None) -> list[tuple[list[Entry], str]]:
    """The rows of every table of a store, with the row that is its baseline; empty without one.

    Args:
        root: The store.
        target: Only this target.
        baseline: The setup that differences are taken to; by default `full`.

    Raises:
        ArtifactError: If the store holds no evaluation of the target.
        UnknownNameError: If a baseline is given that no table has.
    """
    groups = list(store_entries(root.runs("evaluate"), root.runs()).values())
    if target is not None:
        groups = [found for found in groups if TaskRef.parse(found[0].run.config()["task"]).name == target]
    if not groups:
        what = f"of {target} " if target else ""
        raise ArtifactError(
            f"{root.root} holds no scored evaluation {what}yet", remedy="run adaptrans evaluate first"
        )
    rows = [baseline_of(found, baseline or "full") for found in groups]
    if baseline is not None and not any(rows):
        labels = {entry.setup for found in groups for entry in found}
        raise UnknownNameError("baseline", baseline, labels, remedy="no evaluated setup has this name")
    return [(found, row or "") for found, row in zip(groups, rows, strict=True)]


def _entries(members: Sequence[Run], known: Mapping[str, Run]) -> list[Entry]:
    """The rows of one table, seeds of the same training together."""
    rows: dict[str, dict[Any, Run]] = {}
    for run in members:
        own = rows.setdefault(signature(run, known), {})
        # The newest of two runs of one seed that differ in nothing that counts here.
        own[run.config().get("seed")] = run
    configs = [(next(iter(own.values())).config(), len(own)) for own in rows.values()]
    labels = [row_label(*pair) for pair in configs]
    plain = [row_label({**config, **_undone(config)}, seeds) for config, seeds in configs]
    found = []
    for label, own, head in zip(labels, rows.values(), plain, strict=True):
        runs = tuple(own[seed] for seed in sorted(own, key=lambda seed: (seed is not None, seed)))
        alone = labels.count(label) == 1
        against = head if head != label else ""
        found.append(Entry(label if alone else f"{label} #{runs[0].key[:6]}", runs, against=against))
    return found


def _undone(config: Mapping[str, Any]) -> dict[str, None]:
    """What a row differs in from the one that its difference is taken to: its perturbation, else its
    formulation."""
    return {"perturbation" if config.get("perturbation") else "formulation": None}


def signature(run: Run, known: Mapping[str, Run]) -> str:
    """Hash of all that went into a run but its seed, and the same of what it builds on."""
    config = run.config()
    own = {name: value for name, value in config.items() if name not in OF_A_SEED}
    before = {"trained": config.get("trained"), **config.get("parents", {})}
    if isinstance(config.get("shots"), dict):
        before |= own.pop("shots")
    below = {
        name: signature(known[key], known) if key in known else key for name, key in before.items() if key
    }
    return digest([own, below])


def row_label(config: Mapping[str, Any], seeds: int = 1) -> str:
    """Name of a row: the setup, with what was seen of the target languages, and method and seed if unusual.

    Args:
        config: Inputs of an evaluation.
        seeds: How many seeds the row has; the seed of one alone is named unless it is the usual one.
    """
    method = "" if config["method"] in ("full", "none") else f" ({config['method']})"
    regime = f" {config['regime']}" if config.get("regime") else ""
    seed = "" if seeds > 1 or config["seed"] in (None, 1) else f" seed {config['seed']}"
    put = (config.get("formulation") or {}).get("name", "")
    changed = f" ~{config['perturbation']['name']}" if config.get("perturbation") else ""
    return f"{formulated(config['setup'] + method, put)}{regime}{seed}{changed}"


def baseline_of(entries: Sequence[Entry], baseline: str) -> str | None:
    """The row that a baseline stands for: by its full name, or by its setup if only one row has it.

    For retrieval a setup stands for what of it answers, so `full` is the bare backbone.
    """
    labels = [entry.setup for entry in entries]
    if baseline in labels:
        return baseline
    setup = parse(baseline)
    names = {False: str(setup), True: searching(setup)}
    matches = [
        entry.setup
        for entry in entries
        if entry.run.config()["setup"] == names["layer" in entry.run.config()]
        and not any(entry.run.config().get(name) for name in ("formulation", "perturbation"))
    ]
    return matches[0] if len(matches) == 1 else None


def searching(setup: Setup) -> str:
    """What of a setup answers where vectors are compared: what is below `target`, or the bare backbone."""
    below = setup.below_target()
    return str(Setup(below)) if below else BARE


def long_rows(runs: Iterable[Run]) -> Iterator[dict[str, Any]]:
    """One row per evaluation, language and value; values are in points, intervals of the primary score alone.

    Args:
        runs: Finished evaluations.
    """
    for run in runs:
        config, facts = run.config(), run.result()
        task = TaskRef.parse(str(config["task"]))
        vectors = {**config, **(facts.get("vectors") or {})}
        for code, result in load_results(run).items():
            family, resource_class = _described(code)
            for place, (score, value) in enumerate(result.values.items()):
                yield {
                    "backbone": backbone_of(run),
                    "setup": config["setup"],
                    "method": config["method"],
                    "regime": config.get("regime", ""),
                    "formulation": (config.get("formulation") or {}).get("name", HEAD),
                    "perturbation": (config.get("perturbation") or {}).get("name", ""),
                    "target": task.name,
                    "version": task.version,
                    "split": config["split"],
                    "language": code,
                    "family": family,
                    "resource_class": resource_class,
                    "seed": config["seed"],
                    "score": score,
                    "value": value,
                    "low": None if place else result.low,
                    "high": None if place else result.high,
                    "n": result.n,
                    "chance": result.chance,
                    "training_language": code in facts["source_languages"],
                    # Empty where no vectors were compared, or where an older version did not say.
                    **{name: vectors.get(name) for name in ("layer", "pooling", "direction", "prefix")},
                    "data": result.data,
                    "run": run.name,
                }


def _described(code: str) -> tuple[str, int | None]:
    """Family and resource class of a language; empty where it is a pair or not in the table."""
    try:
        found = languages.get(code)
    except UnknownNameError:
        return "", None
    return found.family, found.resource_class


def export(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write a long table, as CSV or Parquet by the name of the file.

    Raises:
        ConfigError: If the name ends otherwise.
    """
    import pandas

    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path} is neither .csv nor .parquet", remedy="name it results.csv")
    # Whole numbers stay whole beside a missing one.
    frame = pandas.DataFrame(rows, dtype=object)
    with atomic_write(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False, lineterminator="\r\n")
        else:
            frame.to_parquet(temporary, index=False)
    return path
