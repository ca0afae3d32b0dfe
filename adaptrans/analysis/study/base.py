"""What an analysis is, and the registry of those that there are. Torch-free."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from adaptrans.analysis.study.findings import Part
from adaptrans.analysis.study.score_table import ScoreTable
from adaptrans.errors import AdaptransError, ConfigError, UnknownNameError
from adaptrans.tasks.schema import Names, Strict
from adaptrans.utils.registry import Registry


class Analysis(Strict):
    """One analysis of a table of scores; a subclass says in its docstring what it computes."""

    kind: str = Field(description="which analysis")
    title: str = Field(default="", description="its title on the page")
    where: dict[str, Any] = Field(default={}, description="rows: columns with a value, or one of several")
    by: Names = Field(default=(), description="columns; the analysis is done for each of their values")
    outcome: str = Field(default="score", description="the column that is explained")

    @property
    def heading(self) -> str:
        """The title, or what it does in words."""
        return self.title or self.words

    @property
    def words(self) -> str:
        """What it does, in few words."""
        return self.kind.replace("_", " ")

    def run(self, table: ScoreTable) -> Part:
        """Everything that it says about a table."""
        chosen = table.chosen(self.where)
        parts = [self.one(group, part) for group, part in chosen.parts(self.by)]
        notes = dict.fromkeys(note for part in parts for note in part.notes)
        return Part(
            self.heading,
            self.kind,
            tuple(found for part in parts for found in part.findings),
            tuple(series for part in parts for series in part.series),
            next((part.axis for part in parts if part.axis), ""),
            tuple(notes),
        )

    @abstractmethod
    def one(self, group: str, table: ScoreTable) -> Part:
        """What it says about one part of the table."""


ANALYSES = Registry[type[Analysis]]("analysis")
_HERE = "adaptrans.analysis.study"
for _name, _target in {
    "regression": "regression:Regression",
    "mixed_effects": "mixed_effects:MixedEffects",
    "slope": "slope:Slope",
    "learning_curve": "learning_curve:LearningCurve",
    "correlation": "correlation:Correlation",
    "difference": "difference:DifferenceToBaseline",
    "forgetting": "forgetting:Forgetting",
    "order_means": "order_means:OrderMeans",
    "gain": "gain:Gain",
}.items():
    ANALYSES.add(_name, f"{_HERE}.{_target}")


def analysis_of(data: Any) -> Analysis:
    """An analysis from its keys in a file.

    Raises:
        ConfigError: If it is not a mapping with a known `kind`, or has an unknown key or impossible value.

    Example:
        >>> analysis_of({"kind": "slope", "on": "log10(size)"}).words
        'slope on log10(size)'
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
        raise ConfigError(
            "an analysis is a mapping with a kind", remedy=f"choose from {', '.join(ANALYSES.names())}"
        )
    model = ANALYSES[data["kind"]]
    try:
        return model.model_validate(dict(data))
    except ValidationError as problem:
        error = min(problem.errors(), key=lambda item: item["type"] != "extra_forbidden")
        key = ".".join(map(str, error["loc"]))
        if error["type"] == "extra_forbidden":
            raise UnknownNameError(f"key of {data['kind']}", key, model.model_fields) from None
        said = "the key is missing" if error["type"] == "missing" else error["msg"]
        raise ConfigError(f"{data['kind']}: {key}: {said.removeprefix('Value error, ')}") from None


def _analysis(data: Any) -> Analysis:
    try:
        return data if isinstance(data, Analysis) else analysis_of(data)
    except AdaptransError as error:
        raise ValueError(str(error)) from None


AnalysisEntry = Annotated[Any, BeforeValidator(_analysis)]
"""An analysis in a file: a mapping with `kind` and the keys of that kind."""
