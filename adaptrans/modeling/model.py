"""From a setup expression to a model that trains or answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adaptrans.errors import ArtifactError, ConfigError, SetupError
from adaptrans.modeling import adapter_methods, adapters, encoder_files
from adaptrans.modeling.adapters import Fused, adapter_name, module_name
from adaptrans.modeling.backbone import Backbone, weight_files
from adaptrans.modeling.efficiency import quantization, weight_sharing
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.layer_chain import Chain, check_layers
from adaptrans.modeling.manifest import Manifest, check_backbone, read_manifest
from adaptrans.modeling.safetensors_io import copy_tensors, read_tensors
from adaptrans.modeling.setup.nodes import (
    Adapter,
    Arithmetic,
    Average,
    Continue,
    Full,
    Fuse,
    LanguageSlot,
    Layer,
    Mix,
    Reference,
    Setup,
    Target,
    mix_name,
)
from adaptrans.modeling.setup.validation import UNQUANTIZED, check, check_quantized


def pretrained(backbone: Backbone) -> dict[str, Tensor]:
    """The head that the backbone was pretrained with, in float32, by the library's names.

    Raises:
        ArtifactError: If the backbone comes without it.
    """
    stored: dict[str, Tensor] = {}
    for path in weight_files(backbone.path, backbone.name):
        stored |= read_tensors(path)
    parts, spec = backbone.spec.lm_head, backbone.spec
    stored = {spec.current(key): value for key, value in stored.items()}
    if parts["3.bias"] in stored:
        width = stored[parts["0.weight"]].shape[0] if parts["0.weight"] in stored else backbone.width
        stored |= {parts[bare]: torch.zeros(width) for bare in spec.lm_bare if parts[bare] not in stored}
    lacking = [name for name in parts.values() if name not in stored]
    if lacking:
        raise ArtifactError(
            f"backbone {backbone.name} has no masked language model head ({lacking[0]})",
            remedy="train on text with a backbone that was saved with it",
        )
    return {own: stored[name].to(torch.float32) for own, name in parts.items()}


def begin(model: adapters.Model, name: str, backbone: Backbone) -> None:
    """Give a head of the model the weights of the pretrained one; its last matrix are the embeddings."""
    own = adapters.head_tensors(model, name)
    stored = {f"heads.{name}.{part}": value for part, value in pretrained(backbone).items()}
    copy_tensors(own, stored, f"the head of backbone {backbone.name}")


def guesses(model: adapters.Model, head: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Logits of the hidden pieces alone, shape (hidden pieces, vocabulary).

    Args:
        model: The model with its adapters active.
        head: The head's tensors, by the names of `EncoderSpec.lm_head`.
        batch: `input_ids` and `attention_mask`, shape (batch, tokens); `hidden` is true where a piece is to
            be guessed.
    """
    base = model.base_model
    output = base(**adapters.model_inputs(model, batch), return_dict=True)
    states = output.last_hidden_state[batch["hidden"]]
    states = functional.gelu(functional.linear(states, head["0.weight"], head["0.bias"]))
    eps = getattr(base.config, adapters.spec_of(model).key("layer_norm_eps"), UNNAMED_EPS)
    states = functional.layer_norm(states, states.shape[-1:], head["2.weight"], head["2.bias"], eps)
    # What an invertible adapter did to the embeddings is undone before they are compared with.
    states = adapters.inverted(model, states)
    return functional.linear(states, adapters.word_embeddings(model).weight, head["3.bias"])


UNNAMED_EPS = 1e-12
"""Epsilon of the layer norms of an architecture whose configuration does not name it, DistilBERT's."""


def masked_lm_logits(assembled: SetupModel, batch: Mapping[str, Tensor]) -> Tensor:
    """What the active head of a model guesses; see `guesses`."""
    own = dict(assembled.model.heads[assembled.head_name].named_parameters())
    return guesses(assembled.model, {part: own[part] for part in assembled.backbone.spec.lm_head}, batch)


def logits(assembled: SetupModel, batch: Mapping[str, Tensor]) -> Tensor | tuple[Tensor, Tensor]:
    """What the head of a setup answers, without a loss.

    Args:
        assembled: A model with a head.
        batch: `input_ids` and `attention_mask`, shape (batch, tokens), for multiple choice (batch, choices,
            tokens); for masked language modelling also `hidden`. Other tensors, such as labels, are not
            looked at.

    Returns:
        Unnormalized scores: classification (batch, labels), tagging (batch, tokens, labels), multiple choice
        (batch, choices), span QA a pair of start and end, each (batch, tokens), masked language modelling
        (hidden pieces, vocabulary).

    Raises:
        ConfigError: If the model has no head.
    """
    head = assembled.head
    if head is None:
        raise ConfigError("this model has no head", remedy="assemble it with a target and a head")
    if head.form.fills_masks:
        return masked_lm_logits(assembled, batch)
    inputs = adapters.model_inputs(assembled.model, batch)
    if not head.form.picks_rows:
        output = assembled.model(**inputs, head=assembled.head_name, return_dict=True)
        return (output.start_logits, output.end_logits) if head.form.finds_spans else output.logits
    rows, choices, _ = inputs["input_ids"].shape
    # Prefixes, gates and ReFT count the inputs of a batch before the library makes one of each choice.
    inputs = {name: value.flatten(0, 1) for name, value in inputs.items()}
    with _choices(assembled, choices):
        output = assembled.model(**inputs, head=assembled.head_name, return_dict=True)
    return output.logits.reshape(rows, choices)


@contextmanager
def _choices(assembled: SetupModel, choices: int) -> Iterator[None]:
    """Let the head score another number of choices than it was built for.

    Each choice is scored alone; the number only shapes the library's output.
    """
    config = assembled.model.heads[assembled.head_name].config
    built = config["num_choices"]
    config["num_choices"] = choices
    try:
        yield
    finally:
        config["num_choices"] = built


@dataclass(frozen=True)
class SetupModel:
    """A model under its setup, in evaluation mode.

    Args:
        model: The library's model; its composition and head are active.
        setup: The expression it was built from.
        backbone: Its base.
        method: Canonical adapter method, or `full`.
        target: The target task; None for retrieval.
        head: The head; None for retrieval.
        adapter: Name of the trained adapter in the model; None when there is none.
        head_name: Name of the head in the model; None when there is none.
        trained: Names of exactly the parameters that are trained, in the model's order.
        composition: What is active, as the library prints it.
        parents: Artifacts it was built from, by reference as in the setup.
        seed: Seed of the fresh weights.
        fusions: The fusions, lowest first; they are trained with the target.
        layers: What is active, lowest first.
        heads: All heads by their names in the model: several for a model of several tasks, which `with_head`
            chooses from.
        quantize: `8bit` or `4bit` where the encoder's linear layers are kept so, else `none`.
    """

    model: adapters.Model
    setup: Setup
    backbone: Backbone
    method: str
    target: str | None
    head: HeadSpec | None
    adapter: str | None
    head_name: str | None
    trained: tuple[str, ...]
    composition: str
    parents: Mapping[str, Path]
    seed: int
    fusions: tuple[Fused, ...] = ()
    heads: Mapping[str, HeadSpec] = field(default_factory=dict)
    layers: tuple[str | Fused, ...] = ()
    quantize: str = UNQUANTIZED


def with_head(assembled: SetupModel, name: str) -> SetupModel:
    """The same model, answering with another of its heads.

    Args:
        assembled: A model of several tasks.
        name: Name of the head in the model.
    """
    head = assembled.heads[name]
    return replace(assembled, target=head.name, head=head, head_name=name)


def assemble(
    backbone: Backbone,
    setup: Setup,
    *,
    target: str | None,
    head: HeadSpec | None,
    method: str,
    parents: Mapping[str, Path],
    seed: int,
    more_heads: Sequence[HeadSpec] = (),
    tokens: np.ndarray | None = None,
    quantize: str = UNQUANTIZED,
) -> SetupModel:
    """Build the model of a setup.

    Args:
        backbone: The base.
        setup: What is trained on what.
        target: Name of the target task; None for retrieval, when everything below the target answers and
            nothing is trained.
        head: The fresh head, named as the target; None for retrieval.
        method: Adapter method of the target adapter. A setup that trains the whole model ignores it.
        parents: Artifact folders by reference, written as in the setup.
        seed: Seed of the fresh weights, the only thing that they depend on.
        more_heads: Heads of the further tasks of a multi-task run.
        tokens: Ids of the pieces whose embeddings are loaded, the others by need; None for all. Masked
            language modelling guesses among all of them, and has all.
        quantize: Keep the linear layers of the frozen encoder in `8bit` or `4bit`; `none` as they are.

    Returns:
        The model on the CPU, in evaluation mode; what is trained, and only that, requires gradients.

    Raises:
        SetupError: If the setup cannot run, or not with these parents.
        ArtifactError: If a parent is missing, damaged, or was trained on another backbone.

    Example: for logits of `mnli > target` on XNLI::

        parents = {"mnli": Path("runs/mnli/artifact")}
        head = HeadSpec("xnli", "classification", ("entailment", "neutral", "contradiction"))
        model = assemble(base, parse("mnli > target"), target="xnli", head=head, method="seq_bn",
                         parents=parents, seed=1)
    """
    if (target is None) != (head is None) or (head is not None and head.name != target):
        raise SetupError(
            f"target {target!r} and head {head.name if head else None!r} differ",
            remedy="a head is named as its target; retrieval has neither",
        )
    check(setup, method, retrieval=target is None)
    layers = setup.below_target() if target is None else setup.layers
    if any(item is not None and item.form.fills_masks for item in (head, *more_heads)):
        tokens = None
    builder = _Builder(backbone, setup, parents, seed, tuple(more_heads), tokens, quantize)
    if any(layer.FULL for layer in layers) or not layers:
        if head is not None:
            check_quantized(quantize, adapter_methods.FULL, str(setup))
        return builder.whole(layers, head)
    return builder.stacked(layers, target, head, adapter_methods.parse(method))


@dataclass(frozen=True)
class _Builder:
    """What all ways to build a model share."""

    backbone: Backbone
    setup: Setup
    parents: Mapping[str, Path]
    seed: int
    more_heads: tuple[HeadSpec, ...] = ()
    tokens: np.ndarray | None = None
    quantize: str = UNQUANTIZED

    def parent(self, name: str) -> Manifest:
        """The checked artifact of a reference, or of a mix, by its text."""
        if name not in self.parents:
            raise SetupError(
                f"{self.setup}: no artifact is given for '{name}'",
                remedy="train it, or give its address",
            )
        manifest = read_manifest(self.parents[name])
        check_backbone(manifest.backbone, self.backbone, name)
        if manifest.adapter is not None:
            check_quantized(self.quantize, manifest.method, f"{self.setup}: '{name}'")
        return manifest

    def whole(self, layers: Sequence[Layer], head: HeadSpec | None) -> SetupModel:
        """The whole model, or the bare backbone."""
        model = adapters.bare_model(self.backbone, self.tokens)
        for layer in layers:
            if isinstance(layer, Full) and layer.sources:
                encoder_files.load_encoder(model, self.parent(mix_name(layer.sources)).encoder_folder)
        quantization.quantize(adapters.stack_of(model), self.quantize)
        return self.finish(model, [], None, head, adapter_methods.FULL if layers else "none")

    def stacked(
        self,
        layers: Sequence[Layer],
        target: str | None,
        head: HeadSpec | None,
        method: adapter_methods.Method,
    ) -> SetupModel:
        """Frozen adapters in their order, and on top the target adapter unless this is for retrieval."""
        for item in (head, *self.more_heads):
            if method.lengthens and item is not None and item.form.answers_tokens:
                raise SetupError(
                    f"{method.name} puts tokens of its own into the text, {item.type} answers token by token",
                    remedy="use another method, for instance seq_bn",
                )
        check_quantized(self.quantize, str(method), str(self.setup))
        model = weight_sharing.bare_model(self.backbone, self.tokens, self.quantize)
        adapter = module_name(target) if target is not None else None
        stack = Chain(model, target, [adapter] if adapter else [])
        for layer in layers:
            match layer:
                case LanguageSlot():
                    manifest = self.parent(next((name for name in self.parents if name[:1] == "{"), "{lang}"))
                    stack.layers.append(stack.load(manifest))
                case Reference() | Mix():
                    manifest = self.member(layer, "Stack" if len(layers) > 1 else None, stack.below)
                    stack.layers.append(stack.load(manifest))
                    stack.below.append(manifest)
                case Fuse(sources):
                    members = [self.member(source, "Fuse", stack.below) for source in sources]
                    stack.fuse([stack.load(manifest) for manifest in members], self.seed)
                case Average() | Arithmetic():
                    terms = layer.terms()
                    members = [self.member(source, "Merge", stack.below) for source, _ in terms]
                    stack.merge(members, [weight for _, weight in terms])
                case Continue(source) if adapter is not None:
                    manifest = self.member(source, None, stack.below)
                    self.check_method(source, manifest, method)
                    adapters.load_adapter(model, adapter, manifest.adapter_folder)
                    stack.layers.append(adapter)
                case Adapter() | Target() if adapter is not None:
                    adapters.add_adapter(model, adapter, method, self.seed)
                    stack.layers.append(adapter)
        check_layers(self.setup, stack)
        own = adapter if adapter in stack.layers else None
        return self.finish(model, stack.layers, own, head, str(method))

    def member(self, reference: Layer, block: str | None, below: Sequence[Manifest | None]) -> Manifest:
        """The checked artifact of an adapter that takes part in a block."""
        manifest = self.parent(mix_name(reference.references()))
        self.check_below(reference, manifest, below)
        if block is not None and manifest.adapter is not None:
            reason = adapter_methods.parse(manifest.method).obstacle(block)
            if reason:
                raise SetupError(
                    f"{self.setup}: '{reference}' cannot be {DONE[block]}, for {reason}",
                    remedy=f"train it with seq_bn, or write 'continue({reference})'",
                )
        return manifest

    def check_below(self, reference: Layer, manifest: Manifest, below: Sequence[Manifest | None]) -> None:
        """Refuse an adapter without those that it was trained on top of."""
        lower = manifest.setup.layers[:-1]
        if (LanguageSlot() in lower) != self.setup.has_language:
            which = "above" if LanguageSlot() in lower else "without"
            raise SetupError(
                f"{self.setup}: '{reference}' was trained {which} a language adapter",
                remedy="use it as it was trained, or name the task alone, which is then trained to fit",
            )
        lower = tuple(layer for layer in lower if layer != LanguageSlot())
        if not all(layer.SINGLE for layer in lower):
            raise SetupError(
                f"{self.setup}: '{reference}' was trained as '{manifest.setup}', and works only so",
                remedy="name an adapter that was trained alone or on top of stored adapters",
            )
        own = [str(layer) for layer in lower]
        contents = [manifest.parents.get(name, {}).get("content") for name in own]
        found = [item.content() if item else None for item in below[-len(own) :]] if own else []
        if own and (found != contents or None in found):
            chain = " > ".join([*own, str(reference), "target"])
            raise SetupError(
                f"{self.setup}: '{reference}' was trained as '{manifest.setup}', on that same '{own[-1]}'",
                remedy=f"nearest: '{chain}'",
            )

    def check_method(self, reference: Reference, manifest: Manifest, method: adapter_methods.Method) -> None:
        """Refuse to go on training an adapter as if it were of another method."""
        if manifest.adapter is not None and manifest.method != str(method):
            raise SetupError(
                f"{self.setup}: '{reference}' was trained with {manifest.method}, not {method}",
                remedy=f"use the method {manifest.method}",
            )

    def finish(
        self,
        model: adapters.Model,
        stack: Sequence[str | Fused],
        adapter: str | None,
        head: HeadSpec | None,
        method: str,
    ) -> SetupModel:
        """Add the head, freeze what is not trained, activate."""
        heads: dict[str, HeadSpec] = {}
        for item in (head, *self.more_heads) if head is not None else ():
            name = module_name(item.name, list(heads))
            adapters.add_head(model, name, item, self.seed)
            if item.form.fills_masks:
                begin(model, name, self.backbone)
            heads[name] = item
        head_name = next(iter(heads), None)
        fusions = tuple(layer for layer in stack if isinstance(layer, Fused))
        whole = head is not None and adapter is None and not fusions
        trained = adapters.freeze_all_but(
            model, adapter, list(heads), whole=whole, fusions=[fused.name for fused in fusions]
        )
        composition = adapters.activate(model, stack, head_name)
        loose = [name for name in trained if adapter_name(name) not in (None, adapter)]
        if loose:
            raise RuntimeError(f"{self.setup}: {loose[0]} of a frozen adapter would be trained")
        return SetupModel(
            model,
            self.setup,
            self.backbone,
            method,
            head.name if head is not None else None,
            head,
            adapter,
            head_name,
            trained,
            composition,
            dict(self.parents),
            self.seed,
            fusions,
            heads,
            tuple(stack),
            self.quantize,
        )


DONE = {"Stack": "stacked", "Fuse": "fused", "Merge": "merged"}
"""What happens to an adapter in each block."""


def without_embeddings(assembled: SetupModel) -> SetupModel:
    """The same model with its embeddings frozen, where they were to be trained.

    Words that the training data do not show then keep their place beside those that they do.
    """
    own = dict(assembled.model.named_parameters())
    frozen = [name for name in assembled.trained if ".embeddings." in name]
    for name in frozen:
        own[name].requires_grad_(False)
    return replace(assembled, trained=tuple(name for name in assembled.trained if name not in frozen))


def trained_state(assembled: SetupModel) -> dict[str, Tensor]:
    """Copies of the trained parameters, by name, where the model is."""
    own = dict(assembled.model.named_parameters())
    return {name: own[name].detach().clone() for name in assembled.trained}


def load_trained_state(assembled: SetupModel, tensors: Mapping[str, Tensor]) -> None:
    """Replace the trained parameters.

    Args:
        assembled: The model.
        tensors: One tensor for each trained parameter, by name.

    Raises:
        ArtifactError: If names or shapes differ; then nothing has changed.
    """
    own = dict(assembled.model.named_parameters())
    copy_tensors({name: own[name] for name in assembled.trained}, tensors, "the trained state")


def hidden_states(
    assembled: SetupModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Outputs of the embeddings and of every layer, with the active adapters.

    Args:
        assembled: The model.
        input_ids: Shape (batch, tokens).
        attention_mask: Shape (batch, tokens), 1 = real token.
        token_type_ids: Shape (batch, tokens); by default as `adapters.model_inputs` finds them.

    Returns:
        One float32 tensor of shape (batch, tokens, width) for the embeddings, then one for each layer.

    Raises:
        ArtifactError: If the adapters change the number of tokens.
    """
    batch = {"input_ids": input_ids, "attention_mask": attention_mask}
    if token_type_ids is not None:
        batch["token_type_ids"] = token_type_ids
    inputs = adapters.model_inputs(assembled.model, batch)
    output = assembled.model.base_model(**inputs, output_hidden_states=True, return_dict=True)
    states = tuple(state.to(torch.float32) for state in output.hidden_states)
    if states[-1].shape[1] != input_ids.shape[1]:
        raise ArtifactError(
            f"the adapters of {assembled.setup} add tokens to the text, whose vectors then mean nothing",
            remedy="use another method than prompt_tuning",
        )
    return states
