"""Benchmarks as data: one YAML file each with its tasks, languages, groups and means. Torch-free.

Example:
    >>> get("xtreme").tasks["tydiqa"].score, get("xtreme").groups["retrieval"]
    ('squad', ('bucc2018', 'tatoeba'))
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.tasks.schema import Names, Strict, under_kind
from adaptrans.utils.yaml import KeyPath, explained, load_yaml

HERE = Path(__file__).parent


class BenchmarkTask(Strict):
    """One task of a benchmark."""

    task: str = Field(default="", description="name of the task; empty: that of its folder")
    kind: str = Field(description="how its prediction files are read, a type of task")
    score: str = Field(description="score of each language; its mean over languages is the task score")
    languages: Names = Field(min_length=1, description="languages of the mean")
    ours: str = Field(default="", description="what the reference leaves open and is defined here")

    @model_validator(mode="before")
    @classmethod
    def _of_type(cls, given: Any) -> Any:
        return under_kind(given)


class Benchmark(Strict):
    """Tasks that are scored together.

    A task score is the plain mean over the task's languages, of (exact match + F1) / 2 for question
    answering, else of the score's first part. A group is the plain mean of its tasks, the overall
    score the plain mean of all tasks. A mean of which anything is missing is not given.
    """

    name: str
    version: int = Field(ge=1, description="raised by every change that can move a score")
    title: str
    source: str = Field(description="where the rules come from")
    tasks: dict[str, BenchmarkTask] = Field(min_length=1, description="by name of the task's folder")
    groups: dict[str, Names]
    ours: str = Field(default="", description="what of the overall score is defined here")
    citation: str
    homepage: str

    @model_validator(mode="after")
    def _consistent(self) -> Benchmark:
        for group, members in self.groups.items():
            for task in members:
                if task not in self.tasks:
                    problem = UnknownNameError("task", task, self.tasks)
                    raise ValueError(f"group {group}: {problem}")
        for name, definition in self.tasks.items():
            codes = definition.languages
            doubled = sorted({code for code in codes if codes.count(code) > 1})
            if doubled:
                raise ValueError(f"task {name}: language {doubled[0]} is listed twice")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the tasks, as `adaptrans evaluate` and experiments take them.

        Example:
            >>> get("xtreme-r").targets[2]
            'udpos_r'
        """
        return tuple(task.task or name for name, task in self.tasks.items())

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def names() -> list[str]:
    """Names of all benchmarks, sorted."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


@cache
def get(name: str) -> Benchmark:
    """The benchmark of a name, or of one's own file.

    Args:
        name: A name, or the path of a YAML file of the same form as ours.

    Raises:
        UnknownNameError: If there is none; the nearest name is suggested.
        ConfigError: If a file is not a valid benchmark, with file and line.
    """
    if name.endswith((".yaml", ".yml")):
        return load(Path(name))
    if name not in names():
        raise UnknownNameError("benchmark", name, names())
    return load(HERE / f"{name}.yaml")


def load(path: Path) -> Benchmark:
    """The benchmark of a file.

    Raises:
        ConfigError: If it is not a valid benchmark, with file and line.
    """
    mapping, lines = load_yaml(path)
    try:
        found = Benchmark.model_validate(mapping)
    except ValidationError as error:
        raise explained(error, str(path), lines, _known_keys) from None
    if found.name != path.stem:
        remedy = "give both the same name"
        raise ConfigError(f'{path}: the file holds the benchmark "{found.name}"', remedy=remedy)
    return found


def _known_keys(at: KeyPath) -> list[str]:
    return [*BenchmarkTask.model_fields, "type"] if at[0] == "tasks" else list(Benchmark.model_fields)
