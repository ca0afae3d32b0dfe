"""Task files that installed packages bring, found through the entry points `adaptrans.tasks`. Torch-free.

A package declares a folder of YAML files, as a package or module of its own:

    [project.entry-points."adaptrans.tasks"]
    my-tasks = "my_package.tasks"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from adaptrans.errors import ConfigError

GROUP = "adaptrans.tasks"


@cache
def folders() -> dict[Path, str]:
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
