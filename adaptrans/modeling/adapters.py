"""The one module that touches the `adapters` library."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import adapters as library
import numpy as np
import torch
from adapters import (
    ADAPTER_CONFIG_MAP,
    AdapterConfig,
    ForwardContext,
    Fuse,
    Stack,
    __version__,
)
from adapters.composition import AdapterCompositionBlock
from adapters.heads import ModelWithFlexibleHeadsAdaptersMixin
from adapters.loading import AdapterFusionLoader, AdapterLoader, PredictionHeadLoader
from adapters.methods.lora import LoRALinear as LoRALinear
from adapters.methods.reft import ReftModule as ReftModule
from adapters.model_mixin import EmbeddingAdaptersWrapperMixin
from torch import Tensor, nn
from transformers.modeling_utils import no_init_weights

from adaptrans.errors import ArtifactError, SetupError
from adaptrans.modeling.adapter_methods import (
    ADAPTER_METHODS,
    SUBTRACTS_NOTHING,
    Method,
    check_layers,
    left_out,
)
from adaptrans.modeling.backbone import Backbone, load_tokenizer, weight_files
from adaptrans.modeling.efficiency import vocab_trimming
from adaptrans.modeling.encoder import ENCODERS, EncoderSpec
from adaptrans.modeling.encoder import spec_of as config_spec
from adaptrans.modeling.manifest import subtracts_nothing
from adaptrans.modeling.safetensors_io import (
    StoredTensor,
    copy_tensors,
    fill,
    open_tensors,
    read_tensors,
    write_tensors,
)
from adaptrans.task_types.inputs import WORD, pair_frame
from adaptrans.utils.io import give_usual_mode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Containers of the library whose next name is that of an adapter. Source: AdapterLoader.filter_func. Some
# architectures have one such container inside of another.
_OWNER = re.compile(
    r"(?:^|\.)(?:(?!(?:cross_)?(?:attention|output)_adapters)[A-Za-z_]*adapters"
    r"|prefix_tunings|prefix_gates|loras|refts|prompt_tunings|shared_parameters)\.([^.]+)\."
)
# The library's container of fusions; the next name is the fusion's.
_FUSION = re.compile(r"\.adapter_fusion_layer\.([^.]+)\.")

# Attributes by which this package, the library and transformers tell modules apart: a container that held a
# module of such a name would be taken for another kind.
_TOLD_BY = (
    *("loras", "adapter_fusion_layer", "use_dora", "loaded_embeddings", "gradient_checkpointing"),
    *("gradient_checkpointing_func", "_gradient_checkpointing_func"),
)


def module_name(name: str, taken: Sequence[str] = ()) -> str:
    """A name that a torch module can have, different from those taken.

    Example:
        >>> module_name("tydiqa.gold"), module_name("items"), module_name("mnli", ["mnli"])
        ('tydiqa_gold', 'items_', 'mnli_2')
        >>> module_name("loras")
        'loras_'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"
    if plain in _TOLD_BY or hasattr(nn.ModuleDict(), plain):
        plain += "_"
    free, number = plain, 1
    while free in taken:
        number += 1
        free = f"{plain}_{number}"
    return free


def adapter_name(key: str) -> str | None:
    """The adapter that a tensor of the model belongs to, None for backbone and heads.

    Example:
        >>> adapter_name("roberta.encoder.layer.0.output.adapters.mnli.adapter_up.bias")
        'mnli'
        >>> adapter_name("distilbert.transformer.layer.0.output_adapters.adapters.mnli.adapter_up.bias")
        'mnli'
    """
    match = None if key.startswith("heads.") else _OWNER.search(key)
    return match[1] if match else None


def fusion_of(key: str) -> str | None:
    """The fusion that a tensor of the model belongs to, None for all others.

    Example:
        >>> fusion_of("roberta.encoder.layer.0.output.adapter_fusion_layer.xnli.query.weight")
        'xnli'
    """
    match = _FUSION.search(key)
    return match[1] if match else None


def canonical_name(key: str) -> str:
    """The name of an adapter's tensor without the adapter's own.

    Example:
        >>> canonical_name("roberta.encoder.layer.0.output.adapters.mnli.adapter_up.bias")
        'roberta.encoder.layer.0.output.adapters.*.adapter_up.bias'
    """
    return renamed(key, "*")


def renamed(key: str, name: str) -> str:
    """The name of an adapter's tensor in an adapter of another name."""
    match = _OWNER.search(key)
    return f"{key[: match.start(1)]}{name}{key[match.end(1) :]}" if match else key


Model: TypeAlias = Any
"""A model of the library with heads: `EncoderSpec.adapter_class` of its architecture."""

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter.safetensors"
ADAPTER_SETUP = "adapter_setup.json"
HEAD_WEIGHTS = "model_head.safetensors"


@dataclass(frozen=True)
class Fused:
    """A fusion in a model: its name, and the names of the adapters that it weighs."""

    name: str
    members: tuple[str, ...]


@contextmanager
def seeded(seed: int, part: str) -> Iterator[None]:
    """Draw random weights from a seed of their own; the generator outside is left as it was."""
    number = int.from_bytes(hashlib.sha256(f"{seed}:{part}".encode()).digest()[:7], "big")
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also set the generators of the accelerators.
        torch.default_generator.manual_seed(number)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from warning, while it switches adapters, that none is active."""
    logger = logging.getLogger("adapters.model_mixin")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def tensors(model: Model) -> dict[str, Tensor]:
    """Parameters and saved buffers by name, those with several names once."""
    saved = model.state_dict().keys()
    own = dict(model.named_parameters())
    own |= {key: value for key, value in model.named_buffers() if key in saved}
    return {key: value.detach() for key, value in own.items()}


def bare_model(
    backbone: Backbone, tokens: np.ndarray | None = None, convert: Callable[[nn.Module], None] | None = None
) -> Model:
    """Load the encoder of a backbone in float32, without head or adapter, in evaluation mode.

    Args:
        backbone: The base.
        tokens: Ids of the pieces whose embeddings are loaded, the others by need; None for all.
        convert: Called with each encoder layer when its weights are there, before the next is read.

    Raises:
        ArtifactError: If weights are missing or damaged.
    """
    try:
        model = _outlined(backbone.spec, _config(backbone))
    except Exception as error:  # whatever transformers raises for an impossible config
        raise ArtifactError(
            f"backbone {backbone.name} cannot be loaded: {error}", remedy="fetch it again"
        ) from error
    spec, words = backbone.spec, backbone.spec.word_embeddings
    if not spec.counts_from_padding:
        _follow_tokenizer(model, load_tokenizer(backbone))
    stored: dict[str, StoredTensor] = {}
    for path in weight_files(backbone.path, backbone.name):
        # A masked language model or an adapter model has the encoder under a prefix, a bare one has not.
        stored |= {spec.name_in_model(key): value for key, value in open_tensors(path).items()}
    own = encoder_tensors(model)
    stored = {key: value for key, value in stored.items() if key in own}
    later = [key for key in own if convert is not None and key.startswith(spec.layer_prefix)]
    fill(own, stored, f"backbone {backbone.name}", remedy="fetch it again", but=(words, *later))
    for number, layer in enumerate(layers_of(model)):
        if convert is not None:
            for name in [name for name in own if name.startswith(f"{spec.layer_prefix}{number}.")]:
                stored[name].read_into(own.pop(name))
            convert(layer)
    if tokens is None:
        stored[words].read_into(own[words])
    else:
        spec.require("vocab_trimming")
        vocab_trimming.trim(model, stored[words], tokens)
    for parameter in model.base_model.pooler.parameters() if spec.pooler else ():
        nn.init.zeros_(parameter)
    return model.eval()


def _follow_tokenizer(model: Model, tokenizer: PreTrainedTokenizerFast) -> None:
    """Take the id of the padding, and the types of a pair, from the tokenizer.

    Encoders of BERT's form with XLM-R's tokenizer have 0 as their `pad_token_id`, which is its `<s>`, whose
    embedding would then never be trained; and all of their tokens are of type 0.
    """
    word_embeddings(model).padding_idx = tokenizer.pad_token_id
    if spec_of(model).pair_types:
        types = tokenizer(WORD, WORD, return_token_type_ids=True)["token_type_ids"]
        model.between_texts = pair_frame(tokenizer).between if any(types) else ()


def spec_of(model: Model) -> EncoderSpec:
    """The architecture of a model."""
    return ENCODERS[model.config.model_type]


def layers_of(model: Model) -> nn.ModuleList:
    """The layers of the encoder of a model."""
    return model.base_model.get_submodule(spec_of(model).layers)


def stack_of(model: Model) -> nn.Module:
    """The module that holds the layers of the encoder of a model."""
    return model.base_model.get_submodule(spec_of(model).stack)


def word_embeddings(model: Model) -> nn.Module:
    """The embeddings of the tokens."""
    return model.base_model.get_submodule(spec_of(model).embeddings)


def attention_classes() -> list[type[nn.Module]]:
    """The library's self-attention of every architecture whose attention has a fast form on a CPU."""
    specs = [ENCODERS[name] for name in ENCODERS]
    return [_attention_class(spec) for spec in specs if spec.supports("cpu_attention")]


def _attention_class(spec: EncoderSpec) -> type[nn.Module]:
    module = import_module(f"adapters.models.{spec.module}.modeling_{spec.module}")
    return getattr(module, f"{spec.classes}SdpaSelfAttentionWithAdapters")


def model_inputs(model: Model, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a batch the encoder of a model is given.

    Args:
        model: The model.
        batch: `input_ids` and `attention_mask`, shape (..., tokens); `token_type_ids` where they are known.

    Returns:
        The same, and `token_type_ids` where the architecture tells the texts of a pair apart: 0 up to what
        stands between the two texts, 1 behind it. Running text for masked language modeling is one text.
    """
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {name: batch[name] for name in names if name in batch}
    between = getattr(model, "between_texts", ())
    if between and "token_type_ids" not in inputs:
        one = "hidden" in batch
        ids = inputs["input_ids"]
        inputs["token_type_ids"] = torch.zeros_like(ids) if one else token_types(ids, between)
        if "attention_mask" in inputs:
            inputs["token_type_ids"] *= inputs["attention_mask"]
    return inputs


def token_types(ids: Tensor, between: Sequence[int]) -> Tensor:
    """0 for the first text of a pair and what stands between the two, 1 for all behind it.

    Args:
        ids: Token ids, shape (..., tokens).
        between: The ids between two texts.

    Example:
        >>> token_types(torch.tensor([[2, 7, 7, 3, 8, 3], [2, 7, 3, 0, 0, 0]]), (3,)).tolist()
        [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]]
    """
    length = len(between)
    found = torch.zeros_like(ids)
    if ids.shape[-1] > length:
        windows = ids.unfold(-1, length, 1)
        ends = (windows == torch.tensor(between, device=ids.device)).all(-1)
        found[..., length:] = (ends.cumsum(-1) > 0)[..., :-1].to(ids.dtype)
    return found


def _outlined(spec: EncoderSpec, config: Any) -> Model:
    """A model of a configuration; no numbers are put into it."""
    with no_init_weights():
        return _adapter_class(spec)._from_config(
            config, dtype=torch.float32, attn_implementation=spec.attention
        )


def _adapter_class(spec: EncoderSpec) -> Any:
    """The class of the library with heads that can be added, or one of that form."""
    return (
        getattr(library, spec.adapter_class) if spec.interface is None else _hooked_class(spec.architecture)
    )


@lru_cache
def _hooked_class(architecture: str) -> Any:
    """A class of that form around an encoder of which the library has none, into which it hooks."""
    spec = ENCODERS[architecture]
    encoder: Any = spec.of_transformers("Model")
    parent: Any = spec.of_transformers("PreTrainedModel")
    own = dict(spec.interface or {})
    interface = library.AdapterModelInterface(**own) if own else None
    options = {"add_pooling_layer": False}
    options = {key: value for key, value in options.items() if key in signature(encoder.__init__).parameters}

    class HookedModel(EmbeddingAdaptersWrapperMixin, ModelWithFlexibleHeadsAdaptersMixin, parent):
        head_types = HOOKED_HEADS

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            setattr(self, spec.prefix, encoder(config, **options))
            own = getattr(self, spec.prefix)
            unbiased = [name for name, layer in own.named_modules() if getattr(layer, "bias", self) is None]
            library.init(own, interface=interface)
            # The library gives a merged query, key and value layer without a bias a random one.
            for name in unbiased:
                own.get_submodule(name).bias = None
            self._init_head_modules()
            self.init_weights()

        @ForwardContext.wrap
        def forward(
            self,
            input_ids: Tensor | None = None,
            attention_mask: Tensor | None = None,
            head: str | None = None,
            return_dict: bool | None = None,
            output_hidden_states: bool | None = None,
            **options: Any,
        ) -> Any:
            """As the library's models: what the encoder gives, and what a head makes of it."""
            ids = None if input_ids is None else input_ids.view(-1, input_ids.shape[-1])
            mask = None if attention_mask is None else attention_mask.view(-1, attention_mask.shape[-1])
            output = getattr(self, spec.prefix)(
                ids, attention_mask=mask, output_hidden_states=output_hidden_states, return_dict=True
            )
            return self.forward_head(
                output, head_name=head, attention_mask=mask, return_dict=return_dict, **options
            )

    HookedModel.__name__ = HookedModel.__qualname__ = spec.adapter_class
    return HookedModel


HOOKED_HEADS = ["classification", "tagging", "question_answering", "multiple_choice", "masked_lm"]
"""Heads of such a class, by their names in the library."""


def _config(backbone: Backbone) -> Any:
    """The configuration of a backbone, one object for each model: models change theirs."""
    config = backbone.spec.of_transformers("Config").from_pretrained(
        str(backbone.path), local_files_only=True
    )
    # Traces of an adapter model that was saved in this folder would come back as stray modules.
    for name in ("prediction_heads", "adapters", "adapter_fusion_models"):
        if hasattr(config, name):
            delattr(config, name)
    # Whatever the file says: what it names may be a repository whose code transformers would run.
    config._attn_implementation = backbone.spec.attention
    return config


def empty_model(backbone: Backbone) -> Model:
    """A model of a backbone's form without any numbers in it, for counting."""
    with torch.device("meta"):
        return _adapter_class(backbone.spec)(_config(backbone))


def shaped_model(values: Mapping[str, Any]) -> Model:
    """A model of some shape, by the keys of `config.json` with `model_type`; no numbers are put into it."""
    spec = config_spec(values)
    own = {key: value for key, value in values.items() if key != "model_type"}
    return _outlined(spec, spec.of_transformers("Config")(**own))


def has_adapter(model: Model, name: str) -> bool:
    """Whether the model has an adapter of this name."""
    return name in model.adapters_config.adapters


def add_adapter(model: Model, name: str, method: Method, seed: int) -> None:
    """Add a fresh adapter; its weights depend on `seed` alone.

    Raises:
        SetupError: If the method's options make no adapter for this model.
    """
    spec_of(model).require_method(method.name)
    options = dict(method.options)
    if options.get("leave_out"):
        options["leave_out"] = left_out(options["leave_out"], model.config.num_hidden_layers)
    check_layers(options.get("layers", "all"), model.config.num_hidden_layers)
    try:
        config = _method_config(method.name).replace(**options)
        with seeded(seed, "adapter"):
            model.add_adapter(name, config=config)
        ignore_padding(model)
    except Exception as error:  # whatever the library raises for an impossible value
        raise SetupError(
            f"method {method} makes no adapter for this model: {error}", remedy="change its options"
        ) from error
    if not adapter_tensors(model, name):
        raise SetupError(f"method {method} makes an adapter without weights", remedy="change its options")


def stored_config(folder: Path) -> dict[str, Any]:
    """The configuration of a stored adapter.

    Raises:
        ArtifactError: If it is missing or damaged.
    """
    try:
        return dict(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"the adapter in {folder} cannot be read: {error}", remedy="train or fetch it again")


def load_adapter(model: Model, name: str, folder: Path) -> None:
    """Add a stored adapter under a name, with exactly the weights of its file.

    Raises:
        ArtifactError: If its files are missing, damaged, or of another model.
    """
    config = stored_config(folder)
    try:
        of = ADAPTER_CONFIG_MAP[SUBTRACTS_NOTHING] if subtracts_nothing(folder) else None
        with seeded(0, "overwritten"):
            model.add_adapter(name, config=of.replace(**config) if of else AdapterConfig.load(config))
        ignore_padding(model)
    except Exception as error:  # whatever the library raises for an impossible value
        raise _unreadable(folder, error) from error
    replace_adapter(model, name, folder)


def subtracts_nothing_in(model: Model, name: str) -> bool:
    """Whether an adapter is of the method that its configuration on disk does not tell, `direft`."""
    return getattr(model.adapters_config.get(name), "subtract_projection", True) is False


def replace_adapter(model: Model, name: str, folder: Path) -> None:
    """Replace an adapter's weights by stored ones, whatever name they were stored under.

    Raises:
        ArtifactError: If the file is missing, damaged, or of another model or method.
    """
    stored = {renamed(key, name): value for key, value in read_tensors(folder / ADAPTER_WEIGHTS).items()}
    copy_tensors(adapter_tensors(model, name), stored, f"the adapter in {folder}")


def adapter_tensors(model: Model, name: str) -> dict[str, Tensor]:
    """All tensors of an adapter, by their names in the model."""
    return {key: value for key, value in tensors(model).items() if adapter_name(key) == name}


def fusion_description(model: Model, name: str) -> dict[str, Any]:
    """A fusion's configuration and members as the library's own files hold them."""
    _, members = model.adapters_config.get_fusion(name)
    _, config = AdapterFusionLoader(model).save_to_state_dict(name)
    return {**config, "adapter_names": list(members)}


def inverts(model: Model, name: str) -> bool:
    """Whether an adapter has an invertible part at the embeddings."""
    return name in model.base_model.invertible_adapters


def inverted(model: Model, states: Tensor) -> Tensor:
    """States, shape (pieces, width), with the invertible part of the lowest active adapter undone, if any."""
    return model.base_model.invertible_adapters_forward(states.unsqueeze(0), rev=True).squeeze(0)


def add_head(model: Model, name: str, config: Mapping[str, Any], seed: int) -> None:
    """Add a fresh head as the library describes it; its weights depend on `seed` alone."""
    with seeded(seed, "head"):
        model.add_prediction_head_from_config(name, dict(config))


def head_tensors(model: Model, name: str) -> dict[str, Tensor]:
    """All tensors of a head, by their names in the model."""
    return {key: value for key, value in tensors(model).items() if key.startswith(f"heads.{name}.")}


def encoder_tensors(model: Model) -> dict[str, Tensor]:
    """All tensors of the encoder that a head can see, by their names in the model."""
    spec = spec_of(model)
    return {
        key: value
        for key, value in tensors(model).items()
        if key.startswith(f"{spec.prefix}.")
        # The pooler feeds none of our heads, and checkpoints of masked language models lack it.
        and not key.startswith(spec.unused)
        and not (adapter_name(key) or fusion_of(key))
    }


def composed(layers: Sequence[str | Fused]) -> AdapterCompositionBlock | str | None:
    """A stack of adapters and fusions, lowest first, as the library writes it; None for none."""
    blocks = [
        Fuse(*layer.members, name=layer.name) if isinstance(layer, Fused) else layer for layer in layers
    ]
    return None if not blocks else blocks[0] if len(blocks) == 1 else Stack(*blocks)


def activate(model: Model, layers: Sequence[str | Fused], head: str | None) -> str:
    """Let a stack of adapters and fusions, lowest first, and a head answer, and nothing else.

    Returns:
        The composition as the library prints it, or `none`.
    """
    block = composed(layers)
    with _quiet():
        model.set_active_adapters(block)
    model.active_head = head
    return "none" if block is None else str(block)


def freeze_all_but(
    model: Model, adapter: str | None, heads: Sequence[str], *, whole: bool, fusions: Sequence[str] = ()
) -> tuple[str, ...]:
    """Set what is trained: an adapter, fusions, or the whole encoder, and heads.

    Returns:
        Names of the trained parameters, in the order of the model.
    """
    names: set[str] = set()
    if adapter is not None:
        with _quiet():
            model.train_adapter(adapter)
        # Some methods share random matrices that stay frozen; the library knows which.
        names = {
            key for key, p in model.named_parameters() if p.requires_grad and adapter_name(key) == adapter
        } - _idle_parameters(model)
    model.eval()
    names |= set(encoder_tensors(model)) if whole else set()
    trained = []
    for key, parameter in model.named_parameters():
        own_head = key.startswith(tuple(f"heads.{head}." for head in heads))
        chosen = key in names or own_head or fusion_of(key) in fusions
        parameter.requires_grad_(chosen)
        trained += [key] if chosen else []
    return tuple(trained)


def _idle_parameters(model: Model) -> set[str]:
    """Parameters that the library makes and never uses.

    ReFT has one unit for the first tokens of a text and one for the last, also where it changes none of these
    (`prefix_positions=0`, or `suffix_positions=0`, its default). Source: `ReftModule` of adapters 1.3.0.
    """
    idle: set[str] = set()
    for name, module in model.named_modules():
        if isinstance(module, ReftModule) and not module.tied_weights:
            positions = (module.prefix_positions, module.suffix_positions)
            idle |= {
                f"{name}.units.{number}.{key}"
                for number, changed in enumerate(positions)
                if not changed
                for key, _ in module.units[number].named_parameters()
            }
    return idle


def canonical_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """An adapter's configuration with all its keys, however old the version that wrote it.

    Raises:
        ValueError: Or whatever the library raises, if it makes no adapter.
    """
    return dict(AdapterConfig.load(dict(config)).to_dict())


def _method_config(name: str) -> Any:
    """The library's configuration of a method without options."""
    entry = ADAPTER_METHODS[name]
    return ADAPTER_CONFIG_MAP[entry.library or name].replace(**entry.defaults)


def default_config(method: str) -> dict[str, Any]:
    """The configuration of a method without options."""
    return dict(_method_config(method).to_dict())


def save_adapter(model: Model, name: str, folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write an adapter in the library's own format; `more` as in `save_adapter_config`."""
    save_adapter_config(model, name, folder, more)
    # The library's own writer fails for methods whose layers share a tensor, such as prefix tuning.
    write_tensors(folder / ADAPTER_WEIGHTS, adapter_tensors(model, name))


def save_adapter_config(model: Model, name: str, folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write an adapter's configuration, with further keys that the library does not read."""
    folder.mkdir(parents=True, exist_ok=True)
    _, config = AdapterLoader(model).save_to_state_dict(name)
    text = json.dumps({**config, **(more or {})}, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG).write_text(text + "\n", encoding="utf-8")


class _HeadWriter(PredictionHeadLoader):
    """The library's writer of heads, without tensors that are the backbone's, such as tied embeddings."""

    def filter_func(self, head_name: str) -> Callable[[str], bool]:
        """Which tensors are written."""
        own = head_tensors(self.model, head_name)
        return lambda key: key in own


def save_head(model: Model, name: str, folder: Path) -> None:
    """Write a head in the library's own format."""
    folder.mkdir(parents=True, exist_ok=True)
    _HeadWriter(model, use_safetensors=True).save(str(folder), name)
    give_usual_mode(folder / HEAD_WEIGHTS)


def save_setup(layers: Sequence[str | Fused], heads: Sequence[str], folder: Path) -> None:
    """Write what the library's `load_adapter_setup` reads beside the adapters and heads of a folder."""
    block = composed(layers)
    setup = block if isinstance(block, AdapterCompositionBlock) else Stack(block)
    head = heads[0] if len(heads) == 1 else list(heads) or None
    described = setup.to_dict()
    # The library reads the name of a fusion back, but does not write it.
    parts = [described] if len(layers) == 1 else described["children"]
    for layer, part in zip(layers, parts, strict=True):
        if isinstance(layer, Fused):
            part["kwargs"] = {"name": layer.name}
    values = {"adapter_setup": described, "head_setup": head, "version": f"adapters.{__version__}"}
    text = json.dumps(values, indent=2)
    (folder / ADAPTER_SETUP).write_text(text + "\n", encoding="utf-8")


def layer_outputs(model: Model, layer: nn.Module, inputs: Tensor) -> Tensor:
    """What one linear layer answers with the active adapters in it, in float64.

    Args:
        model: The model, in evaluation mode, with its adapters active.
        layer: One of its layers; a copy of it answers.
        inputs: Shape (rows, inputs), float64.

    Returns:
        Shape (rows, outputs), float64.
    """
    exact = copy.deepcopy(layer).double()
    shared = {
        name: {key: value.double() for key, value in values.items()}
        for name, values in model.base_model.shared_parameters.items()
    }
    with torch.no_grad(), ForwardContext(model, torch.empty(0, 1)):
        ForwardContext.get_context().shared_parameters = shared
        return exact(inputs.unsqueeze(0))[0]


def load_head(model: Model, name: str, folder: Path, stored_as: str | None = None) -> None:
    """Replace a head's weights by stored ones.

    Args:
        model: The model.
        name: Name of the head in it.
        folder: Where the stored one is.
        stored_as: Its name there, if it is another.

    Raises:
        ArtifactError: If the file is missing, damaged, or of another head.
    """
    before, own = f"heads.{stored_as or name}.", f"heads.{name}."
    stored = {
        own + key.removeprefix(before) if key.startswith(before) else key: value
        for key, value in read_tensors(folder / HEAD_WEIGHTS).items()
    }
    copy_tensors(head_tensors(model, name), stored, f"the head in {folder}")


# Answers that do not depend on the padding of a batch, for every method. Three parts of adapters 1.3.0 let
# padding in, so that an answer changed with the inputs beside its own:
#
# - The mask of attention with `sdpa` lets the tokens of prompt tuning see all padding.
# - A gate (`unipelt`, `use_gating=True`) is the mean over all tokens of its input, padding among them.
# - The last positions of ReFT (`suffix_positions`) are wrong in texts that are shorter, or fail.
#
# The parts are replaced by those below where an adapter needs them; names and shapes of all tensors stay.

LEAST = 1e-7
"""A mean gate nearer to 0 or 1 than this counts as so near: about one unit in the last place of float32."""


_GATE = re.compile(r"\.(?:prefix_tuning\.prefix_gates\.[^.]+|(?:adapters|loras)\.[^.]+\.gate)\Z")


def ignore_padding(model: nn.Module) -> None:
    """Let the adapters of a model answer the same whatever padding a batch has.

    Args:
        model: A model of the adapters library; call it again when an adapter has been added.
    """
    # Where prompt tuning is refused there is no such encoder.
    encoder: Any = None if "prompt_tuning" in spec_of(model).refused else stack_of(model)
    for name, module in model.named_modules():
        if module is encoder and not isinstance(module, EncoderOfPrompts):
            encoder.__class__ = _of_prompts(encoder.__class__)
        elif type(module) is ReftModule and module.suffix_positions > 0:
            module.__class__ = ReftOfText
        elif type(module) is nn.Linear and _is_gate(name):
            module.__class__ = GateOfText


def lets_padding_in(model: nn.Module) -> bool:
    """Whether the library itself would answer otherwise in a batch with padding.

    Args:
        model: A model to which `ignore_padding` was applied.
    """
    parts = [module for module in model.modules() if isinstance(module, GateOfText | ReftOfText)]
    return bool(parts) or bool(
        len(getattr(getattr(model.base_model, "prompt_tuning", None), "prompt_tunings", ()))
    )


def _is_gate(name: str) -> bool:
    """Whether a module is the gate of an adapter.

    Example:
        >>> _is_gate("roberta.encoder.layer.0.output.adapters.mnli.gate")
        True
        >>> _is_gate("roberta.encoder.layer.0.attention.self.prefix_tuning.prefix_gates.mnli")
        True
        >>> _is_gate("heads.gate")
        False
    """
    return _GATE.search(name) is not None


def text_of(states: Tensor) -> tuple[Tensor, Tensor] | None:
    """The place of each token in its text, and how many tokens the text has; None where no mask was given.

    Args:
        states: Shape (inputs, tokens, width), of a forward pass that is under way.

    Returns:
        Places, shape (inputs, tokens), below 0 or not below the number where there is padding; and numbers,
        shape (inputs, 1).
    """
    context = ForwardContext.get_context()
    if context is None or not hasattr(context, "seqlens"):
        return None
    places = torch.arange(states.shape[1], device=states.device) - context.offsets.reshape(-1, 1)
    return places, context.seqlens.reshape(-1, 1)


class EncoderOfPrompts(nn.Module):
    """The encoder, whose mask covers the tokens that prompt tuning has put before the text."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *arguments: Any, **options: Any
    ) -> Any:
        """As the library's."""
        context = ForwardContext.get_context()
        length = getattr(context, "prompt_tokens_length", None)
        if length and attention_mask is not None:
            # All tokens see the same: the prompt and the text. Shape (inputs, 1, 1, tokens).
            row = attention_mask[:, :, :1, :]
            row = torch.cat([row.new_zeros(*row.shape[:3], length), row], dim=-1)
            rows = 1 if attention_mask.shape[2] == 1 else row.shape[3]
            attention_mask = row.expand(-1, -1, rows, -1)
            # Each layer would lengthen it again, also when it is computed once more for the gradients.
            context.prompt_tokens_length = None
        return super().forward(hidden_states, attention_mask, *arguments, **options)


@lru_cache
def _of_prompts(kind: type[nn.Module]) -> type[nn.Module]:
    """The encoder of an architecture with that mask."""
    return type(f"{kind.__name__}OfPrompts", (EncoderOfPrompts, kind), {})


class GateOfText(nn.Linear):
    """The gate of an adapter; the mean that the library takes is that over the tokens of the text alone."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape (inputs, 1, gates): what the sigmoid makes the mean of the sigmoids of a text's tokens."""
        scores = super().forward(input)
        found = text_of(scores)
        if found is None:
            return scores
        places, lengths = found
        real = ((places >= 0) & (places < lengths)).unsqueeze(-1)
        shares = torch.where(real, torch.sigmoid(scores.float()), 0.0).sum(dim=1, keepdim=True)
        mean = shares / lengths.clamp_min(1).unsqueeze(-1)
        return torch.logit(mean, eps=LEAST).to(scores.dtype)


class ReftOfText(ReftModule):
    """Interventions at the first and last tokens of a text, however long it is; the last ones win."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """As the library's, where the text has tokens enough."""
        found = text_of(hidden_states)
        if found is None:
            return super().forward(hidden_states)
        places, lengths = found
        first = (places >= 0) & (places < lengths.clamp_max(self.prefix_positions))
        last = (places >= (lengths - self.suffix_positions).clamp_min(0)) & (places < lengths)
        changed = hidden_states
        for where, unit in ((first, self.units[0]), (last, self.units[-1])):
            changed = torch.where(where.unsqueeze(-1), unit(hidden_states).to(hidden_states.dtype), changed)
        return changed
