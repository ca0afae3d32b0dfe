"""Whether the configurations in a package name only the classes that they may. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adaptrans.hub.package import Base, Package
from adaptrans.hub.verification.errors import Refusal
from adaptrans.modeling.adapter_methods import ADAPTER_METHODS
from adaptrans.modeling.config_keys import ATTENTION_KEYS
from adaptrans.modeling.encoder import ENCODERS
from adaptrans.modeling.manifest import NAME as ARTIFACT

ENCODER_CONFIG = "backbone/config.json"
MODULE_KEYS = {
    "config", "hidden_size", "model_class", "model_name", "model_type", "name", "version", "adapter_names",
    "num_labels", "label2id", "config_id",
}  # fmt: skip
HEAD_TYPES = ("classification", "tagging", "question_answering", "multiple_choice", "masked_lm")


def class_refusals(path: str, value: Mapping[str, Any], package: Package) -> Iterator[Refusal]:
    """Whether a configuration names only classes that it may."""
    if path == ARTIFACT:
        return
    if package.base.architecture not in ENCODERS:
        yield Refusal("class", path, f"belongs to the architecture {package.base.architecture[:80]!r}")
        return
    if path == ENCODER_CONFIG:
        yield from _encoder_class(path, value, package.base)
        return
    stray = sorted(set(value) - MODULE_KEYS)
    if stray:
        yield Refusal("class", path, f"has the key {stray[0]!r}, which no adapter's configuration has")
    spec = ENCODERS[package.base.architecture]
    if not re.fullmatch(f"{spec.classes}[A-Za-z]*", str(value.get("model_class") or spec.classes)):
        yield Refusal("class", path, f"is for the class {str(value['model_class'])[:80]!r}")
    if value.get("model_type", spec.architecture) != spec.architecture:
        yield Refusal("class", path, f"is for the model type {str(value['model_type'])[:80]!r}")
    if value.get("hidden_size", package.base.width) != package.base.width:
        yield Refusal(
            "width", path, f"is for a width of {value['hidden_size']}, the base has {package.base.width}"
        )
    check = CONFIGS[path.partition("/")[0]]
    problem = check(value.get("config"))
    if problem:
        yield Refusal("class", path, problem)


def adapter_config_problem(config: Any) -> str | None:
    """What is wrong with the configuration of an adapter, None if nothing is."""
    if not isinstance(config, dict):
        return "has no configuration of an adapter, but the name of one elsewhere"
    known = {form for name in ADAPTER_METHODS for form in ADAPTER_METHODS[name].architectures}
    if config.get("architecture") not in known:
        return f"names the architecture {str(config['architecture'])[:80]!r}"
    inner = config.get("configs", [])
    if not isinstance(inner, list) or len(inner) > 8:
        return "has no list of configurations"
    problem = next((found for item in inner if (found := adapter_config_problem(item))), None)
    return problem or code_problem(config)


def _fusion_config(config: Any) -> str | None:
    if not isinstance(config, dict):
        return "has no configuration of a fusion"
    return code_problem(config)


def _head_config(config: Any) -> str | None:
    if not isinstance(config, dict) or config.get("head_type") not in HEAD_TYPES:
        said = config.get("head_type") if isinstance(config, dict) else config
        return f"names the head type {str(said)[:80]!r}"
    return code_problem(config)


CONFIGS: dict[str, Callable[[Any], str | None]] = {
    "adapters": adapter_config_problem,
    "fusions": _fusion_config,
    "heads": _head_config,
}


def code_problem(value: Any) -> str | None:
    """What is wrong with a configuration that has, at any depth, a key that makes some library run code.

    Example:
        >>> code_problem({"inner": [{"_attn_implementation": "eager"}]})
        "has the key '_attn_implementation', which can make a library run code"
    """
    if isinstance(value, Mapping):
        found = next((key for key in value if runs_code(key)), None)
        if found is not None:
            return f"has the key {found!r}, which can make a library run code"
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return None
    return next((problem for item in value if (problem := code_problem(item))), None)


def runs_code(key: str) -> bool:
    """Whether a key of a configuration makes some library import, or fetch and run, code."""
    return key in (
        *ATTENTION_KEYS,
        "auto_map",
        "custom_pipelines",
        "trust_remote_code",
        "module",
        "class",
        "_target_",
        "__class__",
    )


def _encoder_class(path: str, value: Mapping[str, Any], base: Base) -> Iterator[Refusal]:
    problem = code_problem(value)
    if problem:
        yield Refusal("class", path, problem)
    own_class = ENCODERS[base.architecture].bare_class
    if value.get("model_type") != base.architecture or value.get("architectures") not in (None, [own_class]):
        yield Refusal("class", path, f"is the configuration of another class than {own_class}")
    for key, own in base.config.items():
        if own is not None and value.get(key) != own:
            yield Refusal("base", path, f"has {key} {value.get(key)}, the base {own}")


MODULES = {
    "adapters": ("adapter_config.json", "adapter.safetensors"),
    "fusions": ("adapter_fusion_config.json", "model_adapter_fusion.safetensors"),
    "heads": ("head_config.json", "model_head.safetensors"),
}
ENCODER = (ENCODER_CONFIG, "backbone/model.safetensors")
