"""From a setup expression to a model that trains or answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adaptrans.errors import ArtefactError, SetupError
from adaptrans.models import library, methods
from adaptrans.models.backbone import Backbone
from adaptrans.models.checks import check
from adaptrans.models.heads import HeadSpec, logits
from adaptrans.models.manifest import Manifest, check_backbone, read_manifest
from adaptrans.models.nodes import Adapter, Continue, Full, Layer, Reference, Setup, Target, below_target

__all__ = [
    "Assembled",
    "HeadSpec",
    "assemble",
    "hidden_states",
    "load_trained_state",
    "logits",
    "trained_state",
]


@dataclass(frozen=True)
class Assembled:
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
        parents: Artefacts it was built from, by reference as in the setup.
        seed: Seed of the fresh weights.
    """

    model: library.Model
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


def assemble(
    backbone: Backbone,
    setup: Setup,
    *,
    target: str | None,
    head: HeadSpec | None,
    method: str,
    parents: Mapping[str, Path],
    seed: int,
) -> Assembled:
    """Build the model of a setup.

    Args:
        backbone: The base.
        setup: What is trained on what.
        target: Name of the target task; None for retrieval, when everything below the target answers and
            nothing is trained.
        head: The fresh head, named as the target; None for retrieval.
        method: Adapter method of the target adapter. A setup that trains the whole model ignores it.
        parents: Artefact folders by reference, written as in the setup.
        seed: Seed of the fresh weights, the only thing that they depend on.

    Returns:
        The model on the CPU, in evaluation mode; what is trained, and only that, requires gradients.

    Raises:
        SetupError: If the setup cannot run, or not with these parents.
        ArtefactError: If a parent is missing, damaged, or was trained on another backbone.

    Example: for logits of `mnli > target` on XNLI::

        parents = {"mnli": Path("runs/mnli/artefact")}
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
    layers = below_target(setup) if target is None else setup.layers
    builder = _Builder(backbone, setup, parents, seed)
    if any(isinstance(layer, Full) for layer in layers) or not layers:
        return builder.whole(layers, head)
    return builder.stacked(layers, target, head, methods.parse(method))


@dataclass(frozen=True)
class _Builder:
    """What all ways to build a model share."""

    backbone: Backbone
    setup: Setup
    parents: Mapping[str, Path]
    seed: int

    def parent(self, reference: Reference) -> Manifest:
        """The checked artefact of a reference."""
        if str(reference) not in self.parents:
            raise SetupError(
                f"{self.setup}: no artefact is given for '{reference}'",
                remedy="train it, or give its address",
            )
        manifest = read_manifest(self.parents[str(reference)])
        check_backbone(manifest.backbone, self.backbone, str(reference))
        return manifest

    def whole(self, layers: Sequence[Layer], head: HeadSpec | None) -> Assembled:
        """The whole model, or the bare backbone."""
        model = library.bare_model(self.backbone)
        for layer in layers:
            for source in layer.sources if isinstance(layer, Full) else ():
                library.load_encoder(model, self.parent(source).encoder_folder)
        return self.finish(model, [], None, head, methods.FULL if layers else "none")

    def stacked(
        self, layers: Sequence[Layer], target: str | None, head: HeadSpec | None, method: methods.Method
    ) -> Assembled:
        """Frozen adapters in their order, and on top the target adapter unless this is for retrieval."""
        if method.lengthens and head is not None and head.type in ("tagging", "span_qa"):
            raise SetupError(
                f"{method.name} puts tokens of its own into the text, {head.type} answers token by token",
                remedy="use another method, for instance seq_bn",
            )
        model = library.bare_model(self.backbone)
        adapter = library.module_name(target) if target is not None else None
        names: list[str] = []
        taken = [adapter] if adapter else []
        below: list[Manifest] = []
        for layer in layers:
            match layer:
                case Reference():
                    manifest = self.parent(layer)
                    self.check_below(layer, manifest, below)
                    if len(layers) > 1:
                        self.check_stack(layer, manifest)
                    name = library.module_name(manifest.target, taken)
                    library.load_adapter(model, name, manifest.adapter_folder)
                    below.append(manifest)
                    taken.append(name)
                    names.append(name)
                case Continue(source) if adapter is not None:
                    manifest = self.parent(source)
                    self.check_below(source, manifest, below)
                    self.check_method(source, manifest, method)
                    library.load_adapter(model, adapter, manifest.adapter_folder)
                    names.append(adapter)
                case Adapter() | Target() if adapter is not None:
                    library.add_adapter(model, adapter, method, self.seed)
                    names.append(adapter)
        for name in names[1:]:
            if library.inverts(model, name):
                raise SetupError(
                    f"{self.setup}: the invertible part of '{name}' has no effect above another adapter",
                    remedy="use a method without it, for instance seq_bn",
                )
        return self.finish(model, names, adapter, head, str(method))

    def check_below(self, reference: Reference, manifest: Manifest, below: Sequence[Manifest]) -> None:
        """Refuse an adapter without those that it was trained on top of."""
        own = [str(item) for item in manifest.below]
        contents = [manifest.parents.get(name, {}).get("content") for name in own]
        if own and [item.content() for item in below[-len(own) :]] != contents:
            chain = " > ".join([*own, str(reference), "target"])
            raise SetupError(
                f"{self.setup}: '{reference}' was trained as '{manifest.setup}', on that same '{own[-1]}'",
                remedy=f"nearest: '{chain}'",
            )

    def check_stack(self, reference: Reference, manifest: Manifest) -> None:
        """Refuse an adapter of a method that does not stack."""
        reason = None
        if manifest.adapter is not None:
            reason = methods.parse(manifest.method).obstacle("Stack")
        if reason:
            raise SetupError(
                f"{self.setup}: '{reference}' cannot be stacked, for {reason}",
                remedy=f"train it with seq_bn, or write 'continue({reference})'",
            )

    def check_method(self, reference: Reference, manifest: Manifest, method: methods.Method) -> None:
        """Refuse to go on training an adapter as if it were of another method."""
        if manifest.adapter is not None and manifest.method != str(method):
            raise SetupError(
                f"{self.setup}: '{reference}' was trained with {manifest.method}, not {method}",
                remedy=f"use the method {manifest.method}",
            )

    def finish(
        self,
        model: library.Model,
        stack: Sequence[str],
        adapter: str | None,
        head: HeadSpec | None,
        method: str,
    ) -> Assembled:
        """Add the head, freeze what is not trained, activate."""
        head_name = library.module_name(head.name) if head is not None else None
        if head is not None and head_name is not None:
            library.add_head(model, head_name, head, self.seed)
        whole = head is not None and adapter is None
        trained = library.freeze_all_but(model, adapter, head_name, whole=whole)
        composition = library.activate(model, stack, head_name)
        loose = [name for name in trained if library.owner(name) not in (None, adapter)]
        if loose:
            raise RuntimeError(f"{self.setup}: {loose[0]} of a frozen adapter would be trained")
        target = head.name if head is not None else None
        return Assembled(
            model,
            self.setup,
            self.backbone,
            method,
            target,
            head,
            adapter,
            head_name,
            trained,
            composition,
            dict(self.parents),
            self.seed,
        )


def trained_state(assembled: Assembled) -> dict[str, Tensor]:
    """Copies of the trained parameters, by name, where the model is."""
    own = dict(assembled.model.named_parameters())
    return {name: own[name].detach().clone() for name in assembled.trained}


def load_trained_state(assembled: Assembled, tensors: Mapping[str, Tensor]) -> None:
    """Replace the trained parameters.

    Args:
        assembled: The model.
        tensors: One tensor for each trained parameter, by name.

    Raises:
        ArtefactError: If names or shapes differ; then nothing has changed.
    """
    own = dict(assembled.model.named_parameters())
    library.copy_tensors({name: own[name] for name in assembled.trained}, tensors, "the trained state")


def hidden_states(assembled: Assembled, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
    """Outputs of the embeddings and of every layer, with the active adapters.

    Args:
        assembled: The model.
        input_ids: Shape (batch, tokens).
        attention_mask: Shape (batch, tokens), 1 = real token.

    Returns:
        One float32 tensor of shape (batch, tokens, width) for the embeddings, then one for each layer.

    Raises:
        ArtefactError: If the adapters change the number of tokens.
    """
    output = assembled.model.base_model(
        input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, return_dict=True
    )
    states = tuple(state.to(torch.float32) for state in output.hidden_states)
    if states[-1].shape[1] != input_ids.shape[1]:
        raise ArtefactError(
            f"the adapters of {assembled.setup} add tokens to the text, whose vectors then mean nothing",
            remedy="use another method than prompt_tuning",
        )
    return states
