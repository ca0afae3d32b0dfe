"""The tasks that ship, one YAML file each, and how tasks and types from outside are found. Torch-free.

A name is looked up in the given folders first, in their order, then here and in
the installed packages that bring tasks, where no two may be the same. A package
declares a folder of YAML files, as a package or module of its own:

    [project.entry-points."adaptrans.tasks"]
    my-tasks = "my_package.tasks"

The Python files of a given folder that import something of `adaptrans.task_types` are run when its tasks are
looked up, and every subclass of `TaskType` in them with a name is registered. Other Python files, such as
scripts that fetch the data, are left alone.
"""

from __future__ import annotations

import ast
import sys
import traceback
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from adaptrans import samples
from adaptrans.errors import AdaptransError, ConfigError, UnknownNameError
from adaptrans.task_types.base import TASK_TYPES, TaskType
from adaptrans.tasks import schema
from adaptrans.tasks.schema import Task
from adaptrans.utils.io import sha256
from adaptrans.utils.renames import TASK_KEYS, current
from adaptrans.utils.yaml import KeyPath, explained, load_yaml

HERE = Path(__file__).parent
GROUP = "adaptrans.tasks"

_MODELS: dict[str, type[schema.Strict]] = {
    "files": schema.FileSource,
    "hub": schema.HubSource,
    "sources": schema.Sources,
    "splits": schema.Split,
    "holdout": schema.Holdout,
    "labels_from": schema.LabelsFrom,
}


def names(folders: Iterable[Path] = ()) -> list[str]:
    """Names of all tasks, those in the folders included, sorted."""
    return sorted(_index(tuple(folders)))


def get(name: str, folders: Iterable[Path] = ()) -> Task:
    """The task of a name.

    Raises:
        UnknownNameError: If there is none; the nearest name is suggested.
        ConfigError: If its file is not a valid task, with file and line.
    """
    return _get(name, tuple(Path(folder) for folder in folders), (), {})


def resolve(
    mapping: Mapping[str, Any],
    name: str | None = None,
    folders: Iterable[Path] = (),
    known: Mapping[str, Task] | None = None,
) -> Task:
    """The task of an inline mapping, as an experiment file holds it.

    With `extends: NAME` the mapping changes that task: a split or a key given
    replaces the inherited one, a split set to null removes it. The new task may
    bear the name of a catalogue task; inside it, that name means the old one.

    Args:
        mapping: Keys of a task file, or `extends` and the keys to change.
        name: The new task's name; default: its `name`, or the name it extends.
        folders: Folders of task files, searched before the catalogue.
        known: Other inline tasks that `extends` and `from` may name.

    Raises:
        ConfigError: If the mapping is not a valid task.
    """
    shown = name or mapping.get("name") or mapping.get("extends") or "?"
    paths = tuple(Path(folder) for folder in folders)
    return _build(dict(mapping), name, paths, (), dict(known or {}), f'task "{shown}"')


def unknown(name: str, folders: Iterable[Path] = (), known: Iterable[str] = ()) -> AdaptransError:
    """The error for a task that is not there: the file that holds it under another name, or the nearest name.

    Args:
        name: What was asked for.
        folders: Folders of task files.
        known: Names of inline tasks.
    """
    paths = tuple(Path(folder) for folder in folders)
    for folder in (*paths, *packaged()):
        for path in _task_files(folder):
            if _name_inside(path) == name:
                return ConfigError(
                    f'{path}: the file holds the task "{name}"',
                    remedy=f'give both the same name: call the file {name}.yaml, or the task "{path.stem}"',
                )
    remedy, near = "adaptrans tasks list shows all", None
    if any(path.stem == name for path in _task_files(samples.TASKS)):
        remedy, near = "it comes with the sample data: add --data samples", ""
    return UnknownNameError("task", name, [*_index(paths), *known], remedy=remedy, near=near)


def _name_inside(path: Path) -> str | None:
    """The name in a task file, if it can be read at all."""
    try:
        return str(load_yaml(path)[0].get("name"))
    except (ConfigError, OSError):
        return None


def _index(folders: tuple[Path, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            remedy = "give --tasks a folder of YAML files"
            raise ConfigError(f"{folder}: no such folder of tasks", remedy=remedy)
        load_types(Path(folder))
    for folder in (*folders, HERE, *packaged()):
        for path in _task_files(Path(folder)):
            found.setdefault(path.stem, path)
    return found


def _task_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])


def _refuse_namesakes(path: Path) -> None:
    """A name that the catalogue and packages give to several tasks stands for none of them."""
    brought = packaged()
    if not brought or path.parent not in {HERE, *brought}:
        return
    places = [folder for folder in (HERE, *brought) if any(p.stem == path.stem for p in _task_files(folder))]
    if len(places) > 1:
        named = " and ".join(brought.get(place, "the catalogue") for place in places)
        raise ConfigError(
            f'"{path.stem}" is a task of {named}',
            remedy="remove a package, or give the folder of the one you mean with --tasks",
        )


def _get(name: str, folders: tuple[Path, ...], loading: tuple[str, ...], known: dict[str, Task]) -> Task:
    if name in known:
        return known[name]
    index = _index(folders)
    if name not in index:
        raise unknown(name, folders, known)
    if name in loading:
        raise ConfigError(f"tasks refer to each other in a circle: {' -> '.join((*loading, name))}")
    path = index[name]
    _refuse_namesakes(path)
    if not folders and not known:
        return _shipped(path)
    return _from_file(path, folders, (*loading, name), known)


@cache
def _shipped(path: Path) -> Task:
    return _from_file(path, (), (path.stem,), {})


def _from_file(
    path: Path, folders: tuple[Path, ...], loading: tuple[str, ...], known: dict[str, Task]
) -> Task:
    mapping, lines = load_yaml(path)
    task = _build(mapping, None, folders, loading, known, str(path), lines)
    if task.name != path.stem:
        raise ConfigError(f'{path}: the file holds the task "{task.name}"', remedy="give both the same name")
    return task


def _build(
    mapping: dict[str, Any],
    name: str | None,
    folders: tuple[Path, ...],
    loading: tuple[str, ...],
    known: dict[str, Task],
    place: str,
    lines: dict[KeyPath, int] | None = None,
) -> Task:
    """Validate a mapping and load the tasks it is composed of."""
    for folder in folders:
        load_types(folder)
    for key in ("origins", "formulation"):
        if key in mapping:
            raise ConfigError(f'{place}: unknown key "{key}"')
    origins: dict[str, Task] = {}
    given = set(mapping["splits"]) if isinstance(mapping.get("splits"), Mapping) else set()
    if "extends" in mapping:
        # A file in a folder may extend the catalogue's task of its own name.
        parent_name = str(mapping["extends"])
        shadowing = bool(loading) and parent_name == loading[-1]
        parent = _get(parent_name, () if shadowing else folders, () if shadowing else loading, known)
        origins.update(parent.origins)
        mapping = _extended(parent, mapping)
    if name is not None:
        mapping["name"] = name
    try:
        task = Task.model_validate(mapping)
    except ValidationError as error:
        raise explained(error, place, lines or {}, _known_keys) from None
    for split_name, split in task.splits.items():
        for part in split.parts():
            if part.task not in origins or split_name in given:
                own = bool(loading) and part.task == loading[-1]
                origin = _get(part.task, () if own else folders, () if own else loading, known)
                if origins.setdefault(part.task, origin) != origin:
                    raise ConfigError(
                        f'{place}: split {split_name}: "{part.task}" means another task in inherited splits',
                        remedy="give your task another name",
                    )
            _check_part(task, split_name, origins[part.task], part, place)
    return task.model_copy(update={"origins": origins})


def _check_part(task: Task, split: str, origin: Task, part: schema.Part, place: str) -> None:
    origin.split(part.split)
    if origin.kind != task.kind:
        raise ConfigError(f"{place}: split {split}: {part.task} is of kind {origin.kind}, not {task.kind}")
    if set(origin.labels) != set(task.labels):
        raise ConfigError(
            f"{place}: split {split}: {part.task} has the labels {', '.join(origin.labels)}, "
            f"not {', '.join(task.labels)}"
        )
    if part.language and part.language not in origin.languages_of(part.split):
        raise UnknownNameError(
            f"language of {part.task}.{part.split}", part.language, origin.languages_of(part.split)
        )


def _extended(parent: Task, mapping: dict[str, Any]) -> dict[str, Any]:
    """The parent's keys with those of the mapping put over them."""
    changes = current({key: value for key, value in mapping.items() if key != "extends"}, TASK_KEYS)
    if "type" in changes and "kind" not in changes:
        changes["kind"] = changes.pop("type")
    base = parent.model_dump(mode="python", by_alias=True, exclude_unset=True)
    for key in ("splits", "sources"):
        if isinstance(changes.get(key), Mapping):
            merged = {**base.get(key, {}), **changes[key]}
            changes[key] = {name: value for name, value in merged.items() if value is not None}
    return {**base, **changes}


def _known_keys(at: KeyPath) -> list[str]:
    """Keys that may stand where the unknown key at this path stands."""
    model: type[schema.Strict] = Task
    for key in at[:-1]:
        model = _MODELS.get(str(key), model)
    keys = [
        field.alias or name
        for name, field in model.model_fields.items()
        if name not in ("origins", "formulation")
    ]
    return [*keys, "type", "extends"] if model is Task else keys


_LOADED: dict[str, tuple[Path, str]] = {}
"""By the name of a type, the file that it comes from and the digest of that file."""

_READ: dict[Path, tuple[int, int]] = {}
"""When each file was last looked at, and its size then."""


def load_types(folder: Path) -> None:
    """Register the types of a folder; files that were read before are read again only once they changed.

    Args:
        folder: A folder of task files.

    Raises:
        ConfigError: If a file cannot be run, a class lacks something, or a name is taken; with file and line.
    """
    for path in sorted(folder.glob("*.py")):
        state = path.stat()
        seen = (state.st_mtime_ns, state.st_size)
        if _READ.get(path.resolve()) == seen:
            continue
        if _uses_types(path, path.read_bytes()):
            _register(path, sha256(path))
        _READ[path.resolve()] = seen


def _uses_types(path: Path, content: bytes) -> bool:
    """Whether a file imports something of `adaptrans.task_types`."""
    if b"adaptrans.task_types" not in content:
        return False
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ConfigError(f"{path}{line}: {getattr(error, 'msg', error)}", remedy="mend the file") from None
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return any(module.startswith("adaptrans.task_types") for module in modules)


def _register(path: Path, source: str) -> None:
    module = _run(path, source)
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, TaskType) and value.__module__ == module.__name__
    ]
    for form in own:
        name = vars(form).get("name")
        if name is None:
            continue
        there = _LOADED.get(name)
        if there is not None and there[1] == source:
            _LOADED[name] = (path.resolve(), source)
            continue
        taken = name in TASK_TYPES if there is None else there[0] != path.resolve()
        if taken:
            where = there[0] if there else "adaptrans"
            raise ConfigError(f'{path}: the type "{name}" is one of {where}', remedy="give it another name")
        try:
            made = form()
        except TypeError as error:
            raise ConfigError(f"{path}: {error}", remedy="give the class what is missing") from None
        made.source = source
        TASK_TYPES.replace(name, made)
        _LOADED[name] = (path.resolve(), source)


def _run(path: Path, source: str) -> ModuleType:
    """The module of a file, under a name that its content decides, so that its objects can be pickled."""
    name = f"adaptrans_own_types_{source[:16]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        raise ConfigError(f"{path}{line}: {type(error).__name__}: {error}", remedy="mend the file") from None
    return module


@cache
def packaged() -> dict[Path, str]:
    """The folders of task files of installed packages, each with the package that brings it.

    The package itself is not imported, only those above it in its name.

    Raises:
        ConfigError: If an entry point names a package that is not there.
    """
    found: dict[Path, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        for place in _places(point):
            found[place] = _brought_by(point)
    return found


def _places(point: EntryPoint) -> list[Path]:
    try:
        spec = find_spec(point.module)
    except ImportError:
        spec = None
    if spec is None:
        raise ConfigError(
            f'{_brought_by(point)} says its tasks are in "{point.module}", which is not there',
            remedy="reinstall or remove the package",
        )
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(str(spec.origin)).parent]


def _brought_by(point: EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist is not None else f"entry point {point.name}"
