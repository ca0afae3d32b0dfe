"""Adapters made with the plain `adapters` library, or LoRA of PEFT, as artifacts of this package.

Such a folder holds `adapter_config.json` and `adapter.safetensors`, or the pickle `pytorch_adapter.bin`,
which is read only where that was asked for, and then as bare tensors. The library itself loads an adapter
onto a base of another depth without a word; here layers, width and names are compared with the base before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ArtifactError, SetupError
from adaptrans.modeling import adapter_methods
from adaptrans.modeling.adapter_methods import Method
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.config_keys import named_attention
from adaptrans.modeling.encoder import EncoderSpec
from adaptrans.modeling.manifest import NAME
from adaptrans.utils.environment import package_versions
from adaptrans.utils.formats import ARTIFACT
from adaptrans.utils.io import atomic_write, read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor


CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter.safetensors", "pytorch_adapter.bin"
BASE_KEY = "adaptrans_base"
"""Key of a configuration in which this package says what the base was, and the library does not look."""
METHOD_KEY = "adaptrans_method"
"""Likewise, the method: the library's own keys do not tell `direft` from `noreft`."""

# Names in files of the library's versions before 2.0. Source: AdapterLoader.legacy_weights_mapping.
LEGACY = {
    "attention_text_task_adapters": "adapters",
    "attention_text_lang_adapters": "adapters",
    "layer_text_task_adapters": "adapters",
    "layer_text_lang_adapters": "adapters",
    "invertible_lang_adapters": "invertible_adapters",
}
SCALED_WRONG = re.compile(r"adapters\.(?:0\.|1\.0\.)")
"""Versions that scaled LoRA by 1 whatever `alpha` said. Source: AdapterLoader._fix_backward_compat."""
# Of a configuration, what says how its weights were begun or stored and not what they do.
NO_MATTER = ("dtype", "init_weights_seed")

# What the artifact of an adapter alone has not got.
NOTHING_ELSE: Mapping[str, Any] = {"seed": 0, "fusions": [], "head": None, "more_heads": [], "parents": {}}


@dataclass(frozen=True)
class Foreign:
    """What a folder of the library says of its adapter.

    Args:
        folder: The folder.
        name: Name of the adapter.
        config: Its configuration, as it stands in the file; empty for one of PEFT, which has another form.
        values: The whole file.
        weights: Its file of weights.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]
    values: Mapping[str, Any]
    weights: Path


def is_foreign(folder: Path) -> bool:
    """Whether a folder is one that the library's `save_adapter` writes, or PEFT's `save_pretrained`."""
    return (folder / CONFIG).is_file() and not (folder / NAME).is_file()


def read_foreign(folder: Path, *, pickles: bool = False) -> Foreign:
    """Read what a folder says of its adapter, no weights yet. Torch-free.

    Args:
        folder: The folder.
        pickles: Accept `pytorch_adapter.bin`.

    Raises:
        ArtifactError: If it is no such folder, or has only a pickle.
    """
    path = folder / CONFIG
    try:
        values = read_json(path)
    except FileNotFoundError:
        raise ArtifactError(f"{folder} has no {CONFIG}", remedy="give the folder of one adapter") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}", remedy="fetch it again") from error
    if isinstance(values, dict) and is_peft(values):
        weights = check_peft(values, folder)
        said = {"model_name": values.get("base_model_name_or_path"), **values}
        # Such a file does not say what the adapter is called; a point would end a name inside a tensor's.
        return Foreign(folder, folder.resolve().name.replace(".", "-"), {}, said, weights)
    config = values.get("config") if isinstance(values, dict) else None
    if not isinstance(config, dict) or not isinstance(values.get("name"), str):
        raise ArtifactError(
            f"{path} is no configuration of the adapters library, nor of PEFT",
            remedy="save it with save_adapter",
        )
    for key, _ in named_attention(values):
        raise ArtifactError(
            f"{path} has the key {key!r}, which no adapter has and which can make a library run code",
            remedy="delete the key, if you trust the rest",
        )
    weights = folder / WEIGHTS
    if not weights.is_file() and (folder / PICKLE).is_file():
        if not pickles:
            raise ArtifactError(
                f"{folder} has its weights only in {PICKLE}, a pickle",
                remedy="adopt it with 'adaptrans adopt FOLDER --allow-bin', which reads nothing but tensors",
            )
        weights = folder / PICKLE
    if not weights.is_file():
        raise ArtifactError(f"{folder} has no {WEIGHTS}", remedy="save it with use_safetensors=True")
    return Foreign(folder, values["name"], config, values, weights)


def check_base(found: Foreign, backbone: Backbone) -> str | None:
    """Refuse a base that an adapter cannot have been made for, as far as it says. Torch-free.

    Returns:
        What the reader of a score has to know: that it says it was made for another base; None if not.

    Raises:
        ArtifactError: With the first difference.
    """
    said = found.values.get(BASE_KEY)
    own: dict[str, Any] = said if isinstance(said, dict) else {}
    pairs = (
        ("architecture", found.values.get("model_type"), backbone.architecture),
        ("depth", own.get("depth"), backbone.depth),
        ("width", found.values.get("hidden_size"), backbone.width),
        ("fingerprint", own.get("fingerprint"), backbone.fingerprint),
    )
    for what, theirs, ours in pairs:
        if theirs is not None and theirs != ours:
            raise ArtifactError(
                f"{found.folder} was made for a backbone of {what} {str(theirs)[:20]}, "
                f"{backbone.name} has {str(ours)[:20]}",
                remedy="use it with the backbone it was made for",
            )
    name = found.values.get("model_name")
    if own or not isinstance(name, str) or _last(name) in (_last(backbone.name), ""):
        return None
    return f"{found.name} says it was made for {_last(name)}; the backbone is {_last(backbone.name)}"


def _last(name: str) -> str:
    return name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def is_untold(found: Foreign) -> bool:
    """Whether the configuration does not tell which of two methods made the adapter: `direft` or `noreft`."""
    reft = found.config.get("architecture") == "reft"
    return reft and not found.config.get("orthogonality") and METHOD_KEY not in found.values


def method_of(config: Mapping[str, Any], said: str | None = None) -> Method:
    """The method, with its options, that makes adapters of a configuration.

    Args:
        config: A configuration with all its keys.
        said: What the method is called, where it is known; else a configuration that is that of two methods
            is taken as the library takes it.

    Raises:
        ArtifactError: If no method of this package does, or not the one that was said.

    Example:
        >>> reft = {"architecture": "reft", "layers": "all", "orthogonality": False, "r": 4}
        >>> rest = {"prefix_positions": 3, "suffix_positions": 0, "tied_weights": False, "dropout": 0.05}
        >>> config = {**reft, **rest, "output_reft": True}
        >>> str(method_of(config)), str(method_of(config, "direft"))
        ('noreft[r=4]', 'direft[r=4]')
    """
    from adaptrans.modeling import adapters

    best: Method | None = None
    for name in sorted(adapter_methods.names(), key=lambda name: name == adapter_methods.SUBTRACTS_NOTHING):
        default = adapters.default_config(name)
        keys = sorted({*default, *config} - {*NO_MATTER})
        options = {key: config.get(key) for key in keys if config.get(key) != default.get(key)}
        fewer = best is None or len(options) < len(best.options)
        if (
            options.keys() <= adapter_methods.ADAPTER_METHODS[name].option_names
            and fewer
            and said in (None, name)
        ):
            best = Method(name, options)
    if best is None:
        raise ArtifactError(
            f"no method of this version has the configuration {dict(config)}"[:300]
            if said is None
            else f"the configuration {dict(config)}"[:300] + f" is not one of {said}",
            remedy=f"known methods: {', '.join(adapter_methods.names())}",
        )
    return best


def convert(
    found: Foreign,
    backbone: Backbone,
    out: Path,
    *,
    name: str,
    above_language: bool = False,
    extra: Mapping[str, Any] | None = None,
    method: str | None = None,
) -> Method:
    """Write an adapter as an artifact, after checking that it fits the base.

    Args:
        found: The adapter.
        backbone: The base.
        out: The artifact's folder.
        name: The task or language that it is for.
        above_language: Whether it was trained above a language adapter.
        extra: Further keys for `artifact.json`.
        method: What its method is called, where the configuration does not tell.

    Returns:
        Its method, with its options.

    Raises:
        ArtifactError: If it does not fit; then nothing has been written.
    """
    import torch

    from adaptrans.modeling import adapters
    from adaptrans.modeling.adapters import module_name, renamed
    from adaptrans.modeling.safetensors_io import check_tensors, write_tensors

    check_base(found, backbone)
    tensors = _tensors(found, backbone.spec)
    config = (
        adapters.canonical_config(_peft_configuration(found.values, tensors, backbone.depth, found.folder))
        if is_peft(found.values)
        else _config(found, tensors)
    )
    made = method_of(config, method or found.values.get(METHOD_KEY))
    _check_depth(found, tensors, made, backbone)
    module, model = module_name(name), adapters.empty_model(backbone)
    try:
        with torch.device("meta"):
            adapters.add_adapter(model, module, made, seed=0)
    except SetupError as error:
        raise ArtifactError(f"{found.folder}: {error.message}", remedy="fetch it again") from error
    own = adapters.adapter_tensors(model, module)
    # A tensor that all layers share stands in a pickle under as many names, here under its first.
    others = model.state_dict().keys() - own.keys()
    named = ((renamed(key, module), value) for key, value in tensors.items())
    stored = {key: value for key, value in named if key not in others}
    check_tensors(own, stored, f"the adapter in {found.folder}", "use it with the backbone it was made for")
    with atomic_write(out) as temporary:
        adapters.save_adapter_config(model, module, temporary / "adapters" / module)
        write_tensors(temporary / "adapters" / module / WEIGHTS, stored)
        manifest = {
            "format": ARTIFACT,
            "setup": "{lang} > target" if above_language else "adapter",
            "method": str(made),
            "target": name,
            "adapter": module,
            **NOTHING_ELSE,
            "backbone": backbone.described(),
            "versions": package_versions(),
        }
        write_json(temporary / NAME, {**manifest, **(extra or {})})
    return made


def _tensors(found: Foreign, spec: EncoderSpec) -> dict[str, Tensor]:
    """The weights, in float32, by the names that they have today."""
    import torch

    from adaptrans.modeling.adapters import adapter_name
    from adaptrans.modeling.safetensors_io import read_tensors

    if found.weights.name == PICKLE:
        try:
            # Older adapters exist as pickles alone. They are read only where the user asked for it
            # (--allow-bin), and weights_only refuses everything that is no tensor.
            values = torch.load(found.weights, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever the unpickler raises for what it does not allow
            raise ArtifactError(
                f"{found.weights} holds something else than tensors, or is damaged", remedy="fetch it again"
            ) from error
    else:
        values = read_tensors(found.weights)
    if not isinstance(values, dict) or not all(isinstance(value, torch.Tensor) for value in values.values()):
        raise ArtifactError(f"{found.weights} holds something else than tensors", remedy="fetch it again")
    if is_peft(found.values):
        values = _peft_renamed(values, found.name, found.weights, spec)
    tensors = {}
    for key, value in values.items():
        name = str(key)
        for old, new in LEGACY.items():
            name = name.replace(old, new)
        # A model of transformers' own classes has the encoder without a prefix, or under another head.
        name = spec.name_in_model(name)
        if adapter_name(name) != found.name:
            raise ArtifactError(
                f"{found.weights} holds {str(key)[:100]}, no part of the adapter '{found.name}'",
                remedy="save the adapter alone, with_head=False",
            )
        if not bool(torch.isfinite(value).all()):
            raise ArtifactError(f"{found.weights}: {str(key)[:100]} contains NaN or infinity")
        tensors[name] = value.to(torch.float32)
    return tensors


def _config(found: Foreign, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration with all its keys, without what older versions wrote and did not mean."""
    from adaptrans.modeling import adapters

    try:
        config = adapters.canonical_config(found.config)
    except Exception as error:  # whatever the library raises for an impossible value
        raise ArtifactError(
            f"the configuration in {found.folder} makes no adapter: {error}", remedy="fetch it again"
        ) from error
    if config.get("inv_adapter") and not any("invertible_adapters" in key for key in tensors):
        default = adapters.default_config("seq_bn")
        config |= {key: default[key] for key in ("inv_adapter", "inv_adapter_reduction_factor")}
    if config.get("architecture") == "lora" and SCALED_WRONG.match(str(found.values.get("version", ""))):
        config["alpha"] = config["r"]
    return config


def _check_depth(found: Foreign, tensors: Mapping[str, Tensor], method: Method, backbone: Backbone) -> None:
    """Refuse an adapter whose layers are not those of the base, which the library would take."""
    layers = {int(match[1]) for key in tensors if (match := re.search(r"\.layers?\.(\d+)\.", key))}
    left_out = method.options.get("leave_out") or []
    assert isinstance(left_out, list)
    wanted = set(range(backbone.depth)) - set(left_out)
    if layers and layers != wanted:
        raise ArtifactError(
            f"{found.folder} has weights for the layers {min(layers)} to {max(layers)} and leaves out "
            f"{left_out or 'none'}; {backbone.name} has {backbone.depth} layers",
            remedy="use it with the backbone it was made for",
        )


# LoRA of the PEFT library: the same function under the names of the `adapters` library. Both compute
# W x + (alpha / r) B A x. What differs is which layers have a LoRA and how the tensors are called:
#
#     base_model.model.roberta.encoder.layer.0.attention.self.query.lora_A.weight       (PEFT)
#     roberta.encoder.layer.0.attention.self.query.loras.NAME.lora_A                    (adapters)
#
# What the `adapters` library cannot express is refused; PEFT's own `merge_and_unload` makes a backbone of it,
# which this package takes.

PEFT_WEIGHTS = "adapter_model.safetensors"
PEFT_PICKLE = "adapter_model.bin"
PEFT_TYPE = "peft_type"
MERGE_IT = (
    "merge it into its base with PEFT's merge_and_unload() and save that: it is a backbone (--backbone)"
)

# Of a configuration, what the adapters library has no place for: the value that means "not used".
# Source: peft 0.18, `LoraConfig`.
PEFT_UNUSED: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "use_dora": (False,),
    "lora_bias": (False,),
    "use_qalora": (False,),
    "rank_pattern": ({},),
    "alpha_pattern": ({},),
    "layer_replication": (),
    "trainable_token_indices": (),
    "target_parameters": (),
    "alora_invocation_tokens": (),
    "arrow_config": (),
}
# Beginnings of weights that change those of the base, too: the LoRA alone is not what was trained.
REBASED = ("pissa", "olora", "corda", "loftq", "lora_ga")

_PEFT_LORA = re.compile(
    r"base_model\.model\.(?:[a-z]+\.)?encoder\.layer\.(\d+)\.(.+)\.lora_([AB])(?:\.default)?\.weight"
)
_PEFT_ENCODER = re.compile(r"base_model\.model\.(?:[a-z]+\.)?(?:encoder|embeddings)\.")
# Where the adapters library has a LoRA on XLM-R, and what switches it on: an entry of `attn_matrices`, or a
# key. Source: adapters 1.3.0, `adapters/models/bert/mixin_bert.py`.
LORA_MATRICES = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v"}
LORA_SWITCHES = {"intermediate.dense": "intermediate_lora", "output.dense": "output_lora"}


def is_peft(values: Mapping[str, Any]) -> bool:
    """Whether an `adapter_config.json` is one that PEFT's `save_pretrained` writes."""
    return PEFT_TYPE in values


def check_peft(values: Mapping[str, Any], folder: Path) -> Path:
    """Refuse what is no LoRA that the adapters library can express.

    Args:
        values: What its `adapter_config.json` says.
        folder: Where it lies.

    Returns:
        Its file of weights.

    Raises:
        ArtifactError: With the first thing that cannot be expressed.
    """
    kind = values[PEFT_TYPE]
    if kind != "LORA":
        raise ArtifactError(f"{folder} is a {kind} of PEFT, only LORA can be taken as it is", remedy=MERGE_IT)
    for key, plain in PEFT_UNUSED.items():
        value = values.get(key)
        if value is not None and value not in plain:
            raise _inexpressible(folder, f"{key}={value!r}"[:100])
    begun = values.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(REBASED):
        raise _inexpressible(folder, f"init_lora_weights={begun!r}, which changes the base")
    for key in ("r", "lora_alpha"):
        if isinstance(values.get(key), bool) or not isinstance(values.get(key), int | float):
            raise ArtifactError(f"{folder}: adapter_config.json has no {key}", remedy="fetch it again")
    if not (folder / PEFT_WEIGHTS).is_file():
        old = (folder / PEFT_PICKLE).is_file()
        what = f"has its weights only in {PEFT_PICKLE}, a pickle" if old else f"has no {PEFT_WEIGHTS}"
        raise ArtifactError(
            f"{folder} {what}",
            remedy="load it with PEFT and save it again, safe_serialization=True",
        )
    return folder / PEFT_WEIGHTS


def _peft_renamed(
    stored: Mapping[str, Tensor], name: str, path: Path, spec: EncoderSpec
) -> dict[str, Tensor]:
    """The tensors by the names of the adapters library; those of a head above the encoder are left out.

    Args:
        stored: The tensors of the file.
        name: What the adapter is called.
        path: The file, for messages.
        spec: The architecture of the base.

    Raises:
        ArtifactError: If something else than a LoRA was trained in the encoder, or a LoRA stands in a layer
            in which the adapters library has none.
    """
    found = {}
    for key, value in stored.items():
        match = _PEFT_LORA.fullmatch(key)
        if match is None and _PEFT_ENCODER.match(key):
            raise _inexpressible(path.parent, f"trained {key.removeprefix('base_model.model.')[:100]}")
        if match is None:
            continue
        if match[2] not in {*LORA_MATRICES, *LORA_SWITCHES}:
            raise _inexpressible(path.parent, f"a LoRA in {match[2][:100]}")
        found[f"{spec.layer_prefix}{match[1]}.{match[2]}.loras.{name}.lora_{match[3]}"] = value
    if not found:
        raise ArtifactError(f"{path} holds no LoRA of an encoder", remedy="fetch it again")
    return found


def _peft_configuration(
    values: Mapping[str, Any], tensors: Mapping[str, Tensor], depth: int, folder: Path
) -> dict:
    """The configuration of the adapters library.

    Args:
        values: What PEFT's configuration says.
        tensors: The tensors by their new names.
        depth: Layers of the base.
        folder: Where it lies, for messages.

    Raises:
        ArtifactError: If its layers are not adapted alike.
    """
    places: dict[int, set[str]] = {}
    for key in tensors:
        match = re.match(r"[a-z]+\.encoder\.layer\.(\d+)\.(.+)\.loras\.", key)
        assert match is not None, key
        places.setdefault(int(match[1]), set()).add(match[2])
    first = places[min(places)]
    if any(own != first for own in places.values()):
        raise _inexpressible(folder, "layers that are not adapted alike")
    # Which layers are meant stands in the configuration; those that lack without it are a damage.
    chosen = values.get("layers_to_transform") is not None
    rank, alpha = values["r"], values["lora_alpha"]
    matrices = [short for place, short in LORA_MATRICES.items() if place in first]
    return {
        "architecture": "lora",
        "selfattn_lora": bool(matrices),
        "attn_matrices": matrices or ["q", "v"],
        **{key: place in first for place, key in LORA_SWITCHES.items()},
        "r": rank,
        # Rank-stabilized LoRA divides by the root of the rank. Source: Kalajdzievski 2023 (2312.03732).
        "alpha": alpha * math.sqrt(rank) if values.get("use_rslora") else alpha,
        "dropout": values.get("lora_dropout") or 0.0,
        "leave_out": sorted({*range(depth)} - {*places}) if chosen else [],
    }


def peft_left_out(values: Mapping[str, Any]) -> str | None:
    """What of a PEFT adapter is not taken, for the reader of a score; None if nothing is said to be there."""
    saved = values.get("modules_to_save")
    head = values.get("task_type") in ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
    if not saved and not head:
        return None
    what = ", ".join(map(str, saved)) if isinstance(saved, list) else "its head"
    return f"{what} of the PEFT adapter is left out: a setup trains a head of its own"


def _inexpressible(folder: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"{folder} is a LoRA of PEFT with {what}, which the adapters library cannot express",
        remedy=MERGE_IT,
    )
