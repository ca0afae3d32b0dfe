"""A study of results of others: a file that names a table of scores and the analyses of it. Torch-free."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import Field, ValidationError

from adaptrans.analysis.study.base import AnalysisEntry
from adaptrans.analysis.study.covariates import Distances
from adaptrans.analysis.study.reading import Results
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.tasks.schema import Strict
from adaptrans.utils.yaml import KeyPath, explained, load_yaml


class Study(Strict):
    """Analyses of a table of scores that was made elsewhere."""

    name: str
    description: str = ""
    results: Results = Field(description="where the table lies")
    distances: Distances | None = Field(default=None, description="distances between languages")
    analysis: tuple[AnalysisEntry, ...] = Field(min_length=1, description="the analyses")


@cache
def bundled_studies() -> dict[str, Path]:
    """The studies of others' results that ship, by name.

    Example:
        >>> "studies/litmus" in bundled_studies()
        True
    """
    folder = Path(str(files("adaptrans_configs")))
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    return {name: path for name, path in sorted(found.items()) if is_study(path)}


def is_study(path: Path) -> bool:
    """Whether a file is a study of others' results, and no experiment."""
    return "results" in load_yaml(path)[0]


def load_study(path: Path) -> Study:
    """Read and check a study.

    Raises:
        ConfigError: If it is not YAML, or has an unknown key or an impossible value; names file and line.
    """
    data, lines = load_yaml(path)
    try:
        return Study.model_validate(data)
    except ValidationError as problem:
        raise explained(problem, str(path), lines, _known_keys) from None


def _known_keys(at: KeyPath) -> list[str]:
    sections: dict[str, type[Strict]] = {"results": Results, "distances": Distances}
    return list(sections.get(str(at[0]) if len(at) > 1 else "", Study).model_fields)


def study_file(name: str, experiments: dict[str, Path]) -> Path:
    """The file of this path, or of the bundled study or experiment of this name.

    Args:
        name: A path or a name.
        experiments: The bundled experiments.

    Raises:
        ConfigError: If there is no such file.
        UnknownNameError: If there is no such name; the nearest is suggested.
    """
    path, known = Path(name), {**experiments, **bundled_studies()}
    if path.is_file():
        return path
    if name in known:
        return known[name]
    remedy = "adaptrans config list shows bundled ones"
    if path.suffix or path.is_absolute() or name.startswith("."):
        raise ConfigError(f"there is no file {name}", remedy=remedy)
    raise UnknownNameError("study or experiment", name, known, remedy=remedy)
