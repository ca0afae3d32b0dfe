"""LoRA of the PEFT library: the same function under the names of the `adapters` library.

Both compute W x + (alpha / r) B A x. What differs is which layers have a LoRA and how the tensors are called:

    base_model.model.roberta.encoder.layer.0.attention.self.query.lora_A.weight       (PEFT)
    roberta.encoder.layer.0.attention.self.query.loras.NAME.lora_A                    (adapters)

Torch-free but for the tensors themselves. What the `adapters` library cannot express is refused; PEFT's own
`merge_and_unload` makes a backbone of it, which this package takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ArtifactError
from adaptrans.modeling.encoder import EncoderSpec

if TYPE_CHECKING:
    from torch import Tensor


WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
TYPE = "peft_type"
WAY_OUT = "merge it into its base with PEFT's merge_and_unload() and save that: it is a backbone (--backbone)"

# Of a configuration, what the adapters library has no place for: the value that means "not used".
# Source: peft 0.18, `LoraConfig`.
UNUSED: Mapping[str, tuple[Any, ...]] = {
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

_LORA = re.compile(
    r"base_model\.model\.(?:[a-z]+\.)?encoder\.layer\.(\d+)\.(.+)\.lora_([AB])(?:\.default)?\.weight"
)
_ENCODER = re.compile(r"base_model\.model\.(?:[a-z]+\.)?(?:encoder|embeddings)\.")
# Where the adapters library has a LoRA on XLM-R, and what switches it on: an entry of `attn_matrices`, or a
# key. Source: adapters 1.3.0, `adapters/models/bert/mixin_bert.py`.
MATRICES = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v"}
SWITCHES = {"intermediate.dense": "intermediate_lora", "output.dense": "output_lora"}


def is_peft(values: Mapping[str, Any]) -> bool:
    """Whether an `adapter_config.json` is one that PEFT's `save_pretrained` writes."""
    return TYPE in values


def check(values: Mapping[str, Any], folder: Path) -> Path:
    """Refuse what is no LoRA that the adapters library can express.

    Args:
        values: What its `adapter_config.json` says.
        folder: Where it lies.

    Returns:
        Its file of weights.

    Raises:
        ArtifactError: With the first thing that cannot be expressed.
    """
    kind = values[TYPE]
    if kind != "LORA":
        raise ArtifactError(f"{folder} is a {kind} of PEFT, only LORA can be taken as it is", remedy=WAY_OUT)
    for key, plain in UNUSED.items():
        value = values.get(key)
        if value is not None and value not in plain:
            raise _inexpressible(folder, f"{key}={value!r}"[:100])
    begun = values.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(REBASED):
        raise _inexpressible(folder, f"init_lora_weights={begun!r}, which changes the base")
    for key in ("r", "lora_alpha"):
        if isinstance(values.get(key), bool) or not isinstance(values.get(key), int | float):
            raise ArtifactError(f"{folder}: adapter_config.json has no {key}", remedy="fetch it again")
    if not (folder / WEIGHTS).is_file():
        old = (folder / PICKLE).is_file()
        what = f"has its weights only in {PICKLE}, a pickle" if old else f"has no {WEIGHTS}"
        raise ArtifactError(
            f"{folder} {what}",
            remedy="load it with PEFT and save it again, safe_serialization=True",
        )
    return folder / WEIGHTS


def renamed(stored: Mapping[str, Tensor], name: str, path: Path, spec: EncoderSpec) -> dict[str, Tensor]:
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
        match = _LORA.fullmatch(key)
        if match is None and _ENCODER.match(key):
            raise _inexpressible(path.parent, f"trained {key.removeprefix('base_model.model.')[:100]}")
        if match is None:
            continue
        if match[2] not in {*MATRICES, *SWITCHES}:
            raise _inexpressible(path.parent, f"a LoRA in {match[2][:100]}")
        found[f"{spec.layer_prefix}{match[1]}.{match[2]}.loras.{name}.lora_{match[3]}"] = value
    if not found:
        raise ArtifactError(f"{path} holds no LoRA of an encoder", remedy="fetch it again")
    return found


def configuration(values: Mapping[str, Any], tensors: Mapping[str, Tensor], depth: int, folder: Path) -> dict:
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
    matrices = [short for place, short in MATRICES.items() if place in first]
    return {
        "architecture": "lora",
        "selfattn_lora": bool(matrices),
        "attn_matrices": matrices or ["q", "v"],
        **{key: place in first for place, key in SWITCHES.items()},
        "r": rank,
        # Rank-stabilized LoRA divides by the root of the rank. Source: Kalajdzievski 2023 (2312.03732).
        "alpha": alpha * math.sqrt(rank) if values.get("use_rslora") else alpha,
        "dropout": values.get("lora_dropout") or 0.0,
        "leave_out": sorted({*range(depth)} - {*places}) if chosen else [],
    }


def left_out(values: Mapping[str, Any]) -> str | None:
    """What of a PEFT adapter is not taken, for the reader of a score; None if nothing is said to be there."""
    saved = values.get("modules_to_save")
    head = values.get("task_type") in ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
    if not saved and not head:
        return None
    what = ", ".join(map(str, saved)) if isinstance(saved, list) else "its head"
    return f"{what} of the PEFT adapter is left out: a setup trains a head of its own"


def _inexpressible(folder: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"{folder} is a LoRA of PEFT with {what}, which the adapters library cannot express", remedy=WAY_OUT
    )
