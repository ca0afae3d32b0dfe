"""How much memory training takes, before anything is loaded: by arithmetic, or by a dry run."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adaptrans.errors import SetupError
from adaptrans.modeling import adapter_methods, adapters, composition
from adaptrans.modeling.adapter_methods import FULL, Method
from adaptrans.modeling.adapters import Fused, module_name
from adaptrans.modeling.backbone import ABSENT, Backbone
from adaptrans.modeling.efficiency import frozen_weights
from adaptrans.modeling.efficiency.cpu_attention import use_fast_dropout
from adaptrans.modeling.efficiency.memory_case import Case, Forecast
from adaptrans.modeling.efficiency.quantization import OUTLINES, quantize
from adaptrans.modeling.heads import HEADS, HeadSpec
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.utils.devices import autocast


@lru_cache(maxsize=256)
def forecast(case: Case) -> Forecast:
    """The memory of one way to train; seconds of work on first asking.

    Raises:
        SetupError: If setup or method cannot be read or built.
    """
    return dry_run_step(case)


def most_items(case: Case, budget: int) -> int:
    """How many inputs fit into one forward pass under a budget; 0 if not even one does.

    Memory grows by the same amount with each input, so two forecasts tell.

    Args:
        case: The way to train; its `items` are the most that are wanted.
        budget: Bytes.
    """
    whole = forecast(case).peak
    if whole <= budget or case.items == 1:
        return case.items if whole <= budget else 0
    few = max(1, case.items // 4)
    low = forecast(replace(case, items=few)).peak
    slope = (whole - low) / (case.items - few)
    found = int(few + (budget - low) / slope) if slope > 0 else 0
    while found > 0 and forecast(replace(case, items=found)).peak > budget:
        found -= 1
    return max(found, 0)


SHALLOW = 2
"""Layers of the small encoders from which the memory of deep ones follows."""

OVERHEAD, UNUSED = {"fp32": 40_000_000, "bf16": 130_000_000}, 0.05
"""Bytes, and share of what is alive, by which a process on a CPU takes more than its tensors.

What operations take inside of themselves, and what lies between tensors; see the figures that
`tests/benchmarks/memory_forecast.py` measures."""

MASKED = 0.15
"""Share of the pieces that are hidden in masked language modelling (Devlin et al. 2019)."""


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that were made inside and are still held.

    Args:
        model: Whose own tensors are not counted, nor what is a view of them.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.bytes = 0
        self.peak = 0
        own = (*model.parameters(), *model.buffers())
        self._held: dict[int, Any] = {value.untyped_storage()._cdata: value for value in own}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out one operation, and count what it made."""
        if func is torch.ops.aten._local_scalar_dense.default:
            # A number of a tensor is asked for only where it decides nothing about memory: whether a batch
            # is without padding, or how many labels it has.
            return args[0].dtype is not torch.bool and 1
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, Tensor):
                self._count(value)
        return found

    def _count(self, value: Tensor) -> None:
        storage = value.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return

        def gone(_: object) -> None:
            self._held.pop(key)
            self.bytes -= size

        self._held[key] = weakref.ref(storage, gone)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)


def dry_run_step(case: Case) -> Forecast:
    """Count the bytes of one step.

    Layers that are alike take equal amounts, so that two small encoders tell of a deep one.

    Raises:
        SetupError: If setup or method cannot be read or built.
    """
    options = adapter_methods.parse(case.method).options
    depth = case.shape.depth
    left = adapter_methods.left_out(options["leave_out"], depth) if options.get("leave_out") else []
    # Of a whole model the peak is before the gradients are there or after, and which of them, depth decides.
    alike = "layers" not in options and left == list(range(len(left))) and not parse(case.setup).is_full
    if not alike or depth - len(left) <= SHALLOW or 0 < len(left) < SHALLOW:
        return _counted(case)
    # Layers without an adapter at the bottom are alike, and those above them.
    below = SHALLOW if left else 0
    few = _of_depth(case, below, SHALLOW)
    total = few + (_of_depth(case, below, SHALLOW + 1) - few) * (depth - len(left) - SHALLOW)
    if left:
        total += (_of_depth(case, below + 1, SHALLOW) - few) * (len(left) - SHALLOW)
    return Forecast(*total.tolist())


def _of_depth(case: Case, below: int, above: int) -> np.ndarray:
    """The numbers of a forecast with so many layers, the lowest of which are left out."""
    method = adapter_methods.parse(case.method)
    if below:
        method = replace(method, options={**method.options, "leave_out": list(range(below))})
    shape = replace(case.shape, depth=below + above)
    return np.array(astuple(_counted(replace(case, shape=shape, method=str(method)))), dtype=np.int64)


def _counted(case: Case) -> Forecast:
    """Count the bytes of one step, layer by layer."""
    model = _model(case)
    with torch.device("meta"):
        frozen_weights.keep_frozen_in(model.model, case.precision if case.training else "fp32")
    if case.checkpointing and case.training:
        frozen_weights.checkpoint_activations(model.model)
    use_fast_dropout(model)
    with FakeTensorMode(), torch.random.fork_rng(devices=[]):
        _place(model)
        weights = _bytes({**dict(model.named_parameters()), **dict(model.named_buffers())})
        own = model.trained_parameters()
        learnt = _bytes(own) if case.training else 0
        model.train(case.training)
        with Alive(model) as alive:
            _step(model, case)
        # The gradients are alive in the step itself, those of its end at least.
        passing = max(alive.peak - learnt, 0)
    overhead = OVERHEAD[case.precision] + int(UNUSED * alive.peak)
    trained = sum(value.numel() for value in own.values())
    return Forecast(weights, learnt, 2 * learnt, passing, overhead, trained)


@dataclass(frozen=True)
class _Outline(Backbone):
    """A backbone of which nothing but the shape is known."""

    case: Case = field(kw_only=True)


class _OutlinedModel(SetupModel):
    """A model of a setup without any numbers: what would be read from files is fresh here."""

    def _encoder(self, tokens: np.ndarray | None) -> adapters.Model:  # noqa: ARG002 - rows are counted alone
        assert isinstance(self.backbone, _Outline)
        case = self.backbone.case
        model = adapters.shaped_model(case.shape.as_config(case.vocabulary))
        quantize(adapters.stack_of(model), self.quantize, OUTLINES)
        return model

    def _fresh(self) -> str:
        """A fresh adapter in the place of a stored one; returns its name."""
        name = self._free_name("stored")
        adapters.add_adapter(self.model, name, adapter_methods.parse(self.method), self.seed)
        return name

    def start_from(self, sources: object) -> None:
        """Leave the encoder as it is."""

    def add_language(self) -> None:
        """Add a frozen adapter."""
        self.layers += (self._fresh(),)

    def add_stored(self, layer: object) -> None:  # noqa: ARG002 - all adapters count alike
        """Add a frozen adapter."""
        self.add_language()

    def add_merged(self, terms: object) -> None:  # noqa: ARG002 - a merge is one adapter
        """Add a frozen adapter."""
        self.add_language()

    def add_fusion(self, sources: Sequence[object]) -> None:
        """Add a fusion over so many adapters."""
        self._fuse([self._fresh() for _ in sources])

    def add_target(self, source: object = None) -> None:  # noqa: ARG002 - it counts as a fresh one
        """Add a fresh target adapter."""
        super().add_target()

    def _begin_head(self, name: str) -> None:
        """Leave a masked language model head as it is."""


def _model(case: Case) -> SetupModel:
    """A model of the case, without numbers."""
    shape = case.shape
    outline = _Outline(
        "outline", Path(), None, shape.architecture, shape.depth, shape.width, shape.vocabulary, ABSENT,
        fetched=False, case=case,
    )  # fmt: skip
    labels = tuple(map(str, range(case.labels))) if HEADS[case.head].least else ()
    with torch.device("meta"):
        return _OutlinedModel.from_setup(
            outline,
            parse(case.setup),
            target="target",
            head=HeadSpec("target", case.head, labels),
            method=str(adapter_methods.parse(case.method).quick),
            parents={},
            seed=0,
            quantize=case.quantize,
        )


def _place(model: nn.Module) -> None:
    """Let the tensors of a model be those of a CPU, still without content.

    It is built on another device, because the library moves some adapters to the device of their layer.
    """
    known: dict[int, Tensor] = {}
    for module in model.modules():
        for name, value in module.named_parameters(recurse=False):
            new = nn.Parameter(torch.empty(value.shape, dtype=value.dtype), value.requires_grad)
            module._parameters[name] = known.setdefault(id(value), new)
        for name, value in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(value.shape, dtype=value.dtype)
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                setattr(module, name, torch.empty(value.shape, dtype=value.dtype))


def _step(model: SetupModel, case: Case) -> None:
    """One forward pass and, in training, the gradients of it."""
    rows = (case.items, case.labels) if HEADS[case.head].picks_rows else (case.items,)
    batch = {
        "input_ids": torch.ones(*rows, case.length, dtype=torch.long),
        "attention_mask": torch.ones(*rows, case.length, dtype=torch.long),
    }
    with torch.set_grad_enabled(case.training):
        with autocast(torch.device("cpu"), case.precision):
            found = model({**batch, **_hidden(case, batch)})
        if case.training:
            scores = found if isinstance(found, tuple) else (found,)
            sum(map(_loss, scores), torch.zeros(())).backward()


def _hidden(case: Case, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """Which tokens a masked language model predicts, by their places.

    Of tensors without content a mask does not tell how many it chooses.
    """
    if not HEADS[case.head].fills_masks:
        return {}
    places = torch.ones(round(MASKED * batch["input_ids"].numel()), dtype=torch.long)
    return {"hidden": (places, places)}


def _loss(scores: Tensor) -> Tensor:
    """The loss of scores, shape (..., classes)."""
    rows = scores.flatten(0, -2)
    return functional.cross_entropy(rows.float(), torch.ones(len(rows), dtype=torch.long), reduction="sum")


def _bytes(values: dict[str, Tensor]) -> int:
    """Bytes of some tensors, shared storage once."""
    storages = {value.untyped_storage()._cdata: value.untyped_storage().nbytes() for value in values.values()}
    return sum(storages.values())


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


def encoder_parameters(config: Mapping[str, Any]) -> int:
    """How many parameters an encoder has, without pooler and head; nothing is loaded.

    Args:
        config: The keys of `config.json` that decide its shape.

    Example:
        >>> sizes = {"num_hidden_layers": 1, "hidden_size": 4, "num_attention_heads": 2, "vocab_size": 9}
        >>> further = {"intermediate_size": 8, "max_position_embeddings": 6}
        >>> encoder_parameters({"model_type": "bert", **sizes, **further})
        248
    """
    with torch.device("meta"):
        return _parameters(adapters.encoder_tensors(adapters.shaped_model(config)))


def sizes(backbone: Backbone, further: Sequence[str] = ()) -> list[Size]:
    """The cost of every method with its default options, of the whole model, and of a fusion over seq_bn.

    Args:
        backbone: The encoder.
        further: Methods with options, such as `seq_bn[reduction_factor=8]`.

    Nothing is loaded or computed: the model has no numbers in it. A fusion costs the same over any number of
    adapters.
    """
    model = adapters.empty_model(backbone)
    encoder = adapters.encoder_tensors(model)
    found = [Size(FULL, _parameters(encoder), _adapter_bytes(encoder))]
    found += [_adapter(model, adapter_methods.parse(name)) for name in (*adapter_methods.names(), *further)]
    members = ("one", "two")
    with torch.device("meta"):
        for name in members:
            adapters.add_adapter(model, name, adapter_methods.parse("seq_bn"), seed=0)
        composition.add_fusion(model, Fused(FUSION, members), seed=0)
    own = composition.fusion_tensors(model, FUSION)
    return [*found, Size(FUSION, _parameters(own), _adapter_bytes(own))]


def _adapter(model: adapters.Model, method: Method) -> Size:
    name = module_name(f"method_{len(model.adapters_config.adapters)}")
    try:
        with torch.device("meta"):
            adapters.add_adapter(model, name, method.quick, seed=0)
    except SetupError as problem:
        return Size(str(method), None, None, problem.message)
    trained = adapters.freeze_all_but(model, name, [], whole=False)
    parameters = dict(model.named_parameters())
    own = adapters.adapter_tensors(model, name)
    return Size(str(method), sum(parameters[key].numel() for key in trained), _adapter_bytes(own))


def _parameters(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() for value in tensors.values())


def _adapter_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors.values())
