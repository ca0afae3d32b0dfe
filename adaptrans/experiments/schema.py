"""The JSON schema of an experiment file, by which editors complete and check it. Torch-free."""

from __future__ import annotations

from typing import Any

from adaptrans.experiments.config import METHODS, Experiment
from adaptrans.runs import presets
from adaptrans.runs.config import TrainingConfig


def experiment_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of an experiment file, training options and preset names included.

    Example:
        >>> found = experiment_schema()
        >>> "setups" in found["required"], found["properties"]["preset"]["enum"][0]
        (True, 'composable-sft')
    """
    found = Experiment.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "adaptrans experiment"
    found["properties"]["preset"] |= {"enum": [*presets.names(), None]}
    for name in (
        "setups",
        "targets",
        "intermediates",
        "backbones",
        "methods",
        "languages",
        "seeds",
        "shots",
        "select",
    ):
        _lone_too(found["properties"][name])
    options = TrainingConfig.model_json_schema()
    found["$defs"] |= options.pop("$defs", {})
    found["$defs"]["TrainingOptions"] = options
    section = found["$defs"]["TrainingSection"]["properties"]
    for name in ("defaults", "full", "adapter", "shots"):
        section[name] = {
            "$ref": "#/$defs/TrainingOptions",
            "description": section[name].get("description", ""),
        }
    own = {"$ref": "#/$defs/TrainingOptions"}
    found["$defs"]["TaskOptions"] = {
        **options,
        "properties": {**options["properties"], **dict.fromkeys(METHODS, own)},
    }
    section["tasks"]["additionalProperties"] = {"$ref": "#/$defs/TaskOptions"}
    return found


def _lone_too(values: dict[str, Any]) -> None:
    """A lone value may stand for a list of one."""
    listed = {name: values.pop(name) for name in ("type", "items", "minItems") if name in values}
    values["anyOf"] = [listed, listed["items"]]
