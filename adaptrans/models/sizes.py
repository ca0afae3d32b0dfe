"""How many parameters each method trains on a backbone, and how many bytes its adapter takes on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaptrans.errors import SetupError
from adaptrans.models import fusing, library, methods
from adaptrans.models.backbone import Backbone
from adaptrans.models.library import Fused
from adaptrans.models.methods import FULL, Method
from adaptrans.models.names import module_name

FUSION = "fusion"


@dataclass(frozen=True)
class Size:
    """What one method costs on one backbone.

    Args:
        name: The method, `full`, or `fusion`.
        trained: Parameters that are trained, without the head; None if the method does not fit the backbone.
        stored: Bytes of its weights on disk: more than it trains where some are frozen.
        problem: Why it does not fit; empty if it does.
    """

    name: str
    trained: int | None
    stored: int | None
    problem: str = ""


def sizes(backbone: Backbone, further: Sequence[str] = ()) -> list[Size]:
    """The cost of every method with its default options, of the whole model, and of a fusion over seq_bn.

    Args:
        backbone: The encoder.
        further: Methods with options, such as `seq_bn[reduction_factor=8]`.

    Nothing is loaded or computed: the model has no numbers in it. A fusion costs the same over any number of
    adapters.
    """
    model = library.empty_model(backbone)
    encoder = library.encoder_tensors(model)
    found = [Size(FULL, _parameters(encoder), _bytes(encoder))]
    found += [_adapter(model, methods.parse(name)) for name in (*methods.names(), *further)]
    members = ("one", "two")
    with torch.device("meta"):
        for name in members:
            library.add_adapter(model, name, methods.parse("seq_bn"), seed=0)
        fusing.add_fusion(model, Fused(FUSION, members), seed=0)
    own = fusing.fusion_tensors(model, FUSION)
    return [*found, Size(FUSION, _parameters(own), _bytes(own))]


def _adapter(model: library.Model, method: Method) -> Size:
    name = module_name(f"method_{len(model.adapters_config.adapters)}")
    try:
        with torch.device("meta"):
            library.add_adapter(model, name, light(method), seed=0)
    except SetupError as problem:
        return Size(str(method), None, None, problem.message)
    trained = library.freeze_all_but(model, name, [], whole=False)
    parameters = dict(model.named_parameters())
    own = library.adapter_tensors(model, name)
    return Size(str(method), sum(parameters[key].numel() for key in trained), _bytes(own))


def light(method: Method) -> Method:
    """A method of the same size that is quick to build: orthogonal matrices take minutes to draw."""
    if method.name != "loreft":
        return method
    return replace(method, options={**method.options, "orthogonality": False})


def _parameters(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() for value in tensors.values())


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors.values())
