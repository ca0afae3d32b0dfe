"""From a setup expression to a model that trains or answers, and to its artifact and back.

An artifact is one folder that holds what a setup trained and says what it needs to answer again:

    artifact.json            see `adaptrans.modeling.manifest`
    adapters/NAME/           the trained adapter, in the adapters library's own format
    fusions/NAME/            a trained fusion over frozen adapters, likewise
    heads/NAME/              its head, likewise
    backbone/                for a whole model: the encoder, as transformers reads it

Frozen adapters below the target stay in their own artifacts and are named with the hash of their weights.
Everything is safetensors and JSON.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adaptrans.errors import ArtifactError, ConfigError, SetupError
from adaptrans.modeling import adapter_methods, adapters, composition, encoder_files
from adaptrans.modeling.adapters import Fused, adapter_name, module_name
from adaptrans.modeling.backbone import Backbone, identify
from adaptrans.modeling.efficiency import frozen_weights, quantization
from adaptrans.modeling.heads import HeadSpec, masked_lm_logits, pretrained_head
from adaptrans.modeling.manifest import NAME, OWN_KEYS, Manifest, check_backbone, read_manifest
from adaptrans.modeling.safetensors_io import copy_tensors
from adaptrans.modeling.setup.nodes import (
    LanguageSlot,
    Layer,
    Reference,
    Setup,
    mix_name,
    parent_language,
)
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import UNQUANTIZED, check, check_quantized
from adaptrans.utils.environment import package_versions
from adaptrans.utils.formats import ARTIFACT
from adaptrans.utils.io import atomic_write, write_json

BLOCK_VERBS = {"Stack": "stacked", "Fuse": "fused", "Merge": "merged"}
"""What happens to an adapter in each block."""

BARE = "none"
"""The method of the bare backbone."""

WHOLE_MODEL = (adapter_methods.FULL, BARE)
"""Methods without adapters, so that the encoder's own weights may be replaced or trained."""


class SetupModel(nn.Module):
    """The encoder under a setup: built by `from_setup`, `for_language` or `load`, in evaluation mode.

    Attributes:
        model: The adapters library's model; its composition and head are active. Names of parameters are
            those in it.
        setup: The expression it was built from.
        backbone: Its base.
        method: Canonical adapter method, `full`, or `none` for the bare backbone.
        target: The target task; None for retrieval.
        head: The head; None for retrieval.
        head_name: Name of the head in the model; None when there is none.
        heads: All heads by their names in the model: several for a model of several tasks, which `with_head`
            chooses from.
        adapter: Name of the trained adapter in the model; None when there is none.
        layers: Adapters and fusions that are active, lowest first.
        composition: The same, as the library prints it.
        trained: Names of exactly the parameters that are trained, in the model's order.
        parents: Artifacts it was built from, by reference as in the setup.
        seed: Seed of the fresh weights.
        quantize: `8bit` or `4bit` where the encoder's linear layers are kept so, else `none`.
    """

    def __init__(
        self,
        backbone: Backbone,
        setup: Setup,
        *,
        method: str,
        target: str | None,
        seed: int,
        parents: Mapping[str, Path] | None = None,
        tokens: np.ndarray | None = None,
        quantize: str = UNQUANTIZED,
    ) -> None:
        super().__init__()
        self.backbone, self.setup, self.method, self.target = backbone, setup, method, target
        self.seed, self.parents, self.quantize = seed, dict(parents or {}), quantize
        self.adapter: str | None = None
        self.head: HeadSpec | None = None
        self.head_name: str | None = None
        self.heads: dict[str, HeadSpec] = {}
        self.layers: tuple[str | Fused, ...] = ()
        self.composition = "none"
        self.trained: tuple[str, ...] = ()
        # What may stand below a stored adapter that was trained on top of others; None for a layer that none
        # was trained on.
        self._below: list[Manifest | None] = []
        self._parts = setup.below_target() if target is None else setup.layers
        self._taken = [module_name(target)] if target is not None else []
        self.model = self._encoder(tokens)

    @classmethod
    def from_setup(
        cls,
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
            tokens: Ids of the tokens whose embeddings are loaded, the others by need; None for all. Masked
                language modeling predicts among all of them, and has all.
            quantize: Keep the linear layers of the frozen encoder in `8bit` or `4bit`; `none` as they are.

        Returns:
            The model on the CPU, in evaluation mode; what is trained, and only that, requires gradients.

        Raises:
            SetupError: If the setup cannot run, or not with these parents.
            ArtifactError: If a parent is missing, damaged, or was trained on another backbone.

        Example: for logits of `mnli > target` on XNLI::

            parents = {"mnli": Path("runs/mnli/artifact")}
            head = HeadSpec("xnli", "classification", ("entailment", "neutral", "contradiction"))
            model = SetupModel.from_setup(base, parse("mnli > target"), target="xnli", head=head,
                                          method="seq_bn", parents=parents, seed=1)
            model({"input_ids": ids, "attention_mask": mask})
        """
        if (target is None) != (head is None) or (head is not None and head.name != target):
            raise SetupError(
                f"target {target!r} and head {head.name if head else None!r} differ",
                remedy="a head is named as its target; retrieval has neither",
            )
        check(setup, method, retrieval=target is None)
        heads = () if head is None else (head, *more_heads)
        layers = setup.below_target() if target is None else setup.layers
        if not layers or setup.is_full:
            method = adapter_methods.FULL if layers else BARE
        else:
            parsed = adapter_methods.parse(method)
            method = str(parsed)
            by_token = [item.type for item in heads if item.form.answers_tokens]
            if parsed.lengthens and by_token:
                raise SetupError(
                    f"{parsed.name} puts tokens of its own into the text, {by_token[0]} answers by token",
                    remedy="use another method, for instance seq_bn",
                )
        if heads or method not in WHOLE_MODEL:
            check_quantized(quantize, method, str(setup))
        if any(item.form.fills_masks for item in heads):
            tokens = None
        built = cls(
            backbone, setup, method=method, target=target, seed=seed, parents=parents, tokens=tokens,
            quantize=quantize,
        )  # fmt: skip
        for layer in layers:
            layer.build(built)
        if built._is_whole:
            quantization.quantize(adapters.stack_of(built.model), quantize)
        composition.check_layers(setup, built.model, built.layers)
        built._finish(heads)
        return built

    @classmethod
    def for_language(
        cls, backbone: Backbone, language: str, method: str, seed: int, quantize: str = UNQUANTIZED
    ) -> SetupModel:
        """A fresh language adapter on the frozen backbone, in evaluation mode, without a head.

        Args:
            backbone: The base.
            language: Code of the language, which names the adapter.
            method: Adapter method.
            seed: Seed of the fresh weights.
            quantize: As for `from_setup`.
        """
        check_quantized(quantize, method, f"the language adapter {language}")
        own = str(adapter_methods.parse(method))
        built = cls(backbone, parse("adapter"), method=own, target=language, seed=seed, quantize=quantize)
        built.add_target()
        built._finish(())
        return built

    @classmethod
    def untrained(
        cls,
        backbone: Backbone,
        setup: Setup,
        *,
        head: HeadSpec,
        lent: Path | None,
        method: str,
        parents: Mapping[str, Path],
        seed: int,
        tokens: np.ndarray | None = None,
        quantize: str = UNQUANTIZED,
    ) -> SetupModel:
        """What is below the target of a setup, under a head that is there already; nothing is trained.

        Args:
            backbone: The base.
            setup: What would be trained on what.
            head: The head, named as the target.
            lent: Folder of a stored head of this form; None for that which the backbone was pretrained with.
            method: As for `from_setup`, and so the rest.
            parents: Artifact folders by reference.
            seed: Seed of what is fresh below it.
            tokens: Ids of the tokens whose embeddings are loaded.
            quantize: How the encoder's linear layers are kept.

        Raises:
            ArtifactError: If the backbone has no such head, or a folder holds none.
        """
        tokens = None if head.form.fills_masks else tokens
        built = cls.from_setup(
            backbone, setup, target=None, head=None, method=method, parents=parents, seed=seed,
            tokens=tokens, quantize=quantize,
        )  # fmt: skip
        name = module_name(head.name)
        adapters.add_head(built.model, name, head.library_config(), seed)
        if lent is None:
            built._begin_head(name)
        else:
            adapters.load_head(built.model, name, lent, lent.name)
        built.heads, built.head_name, built.head = {name: head}, name, head
        built.target = head.name
        built.model.requires_grad_(False).eval()
        built._activate()
        return built

    def begin_head(self, lent: Path) -> None:
        """Let the head begin with the weights of a stored one of the same form."""
        assert self.head_name is not None, "a model without a head has none that begins"
        adapters.load_head(self.model, self.head_name, lent, lent.name)

    # What the layers of a setup do to the model; see `adaptrans.modeling.setup.nodes.Builder`.

    @property
    def _is_whole(self) -> bool:
        """Whether there are no adapters."""
        return self.method in WHOLE_MODEL

    def _encoder(self, tokens: np.ndarray | None) -> adapters.Model:
        """The bare encoder."""
        if self._is_whole:
            return adapters.bare_model(self.backbone, tokens)
        return frozen_weights.bare_model(self.backbone, tokens, self.quantize)

    def start_from(self, sources: tuple[Reference, ...]) -> None:
        """Take the encoder that was trained on some tasks."""
        encoder_files.load_encoder(self.model, self._parent(mix_name(sources)).encoder_folder)

    def add_language(self) -> None:
        """Add the language adapter among the parents."""
        own = next((name for name in self.parents if parent_language(name)), str(LanguageSlot()))
        self.layers += (self._load(self._parent(own)),)

    def add_stored(self, layer: Layer) -> None:
        """Add the frozen adapter that was trained on the references of a layer."""
        manifest = self._member(layer, "Stack" if len(self._parts) > 1 else None)
        self.layers += (self._load(manifest),)
        self._below.append(manifest)

    def add_merged(self, terms: Sequence[tuple[Reference, float]]) -> None:
        """Add a frozen adapter whose weights are a weighted sum of stored ones."""
        folders = [self._member(source, "Merge").adapter_folder for source, _ in terms]
        name = self._free_name("merged")
        composition.add_merged(self.model, name, folders, [weight for _, weight in terms])
        self.layers += (name,)
        self._below.append(None)

    def add_fusion(self, sources: Sequence[Reference]) -> None:
        """Add a fresh fusion over stored adapters."""
        members = [self._member(source, "Fuse") for source in sources]
        self._fuse([self._load(manifest) for manifest in members])

    def add_target(self, source: Reference | None = None) -> None:
        """Add the adapter that is trained: a fresh one, or that of a stored run."""
        assert self.target is not None, "what is below the target has no target adapter"
        self.adapter = module_name(self.target)
        if source is None:
            adapters.add_adapter(self.model, self.adapter, adapter_methods.parse(self.method), self.seed)
        else:
            manifest = self._member(source, None)
            if manifest.adapter is not None and manifest.method != self.method:
                raise SetupError(
                    f"{self.setup}: '{source}' was trained with {manifest.method}, not {self.method}",
                    remedy=f"use the method {manifest.method}",
                )
            adapters.load_adapter(self.model, self.adapter, manifest.adapter_folder)
        self.layers += (self.adapter,)

    def _fuse(self, members: Sequence[str]) -> None:
        used = [fused.name for fused in self.fusions]
        fused = Fused(module_name(str(self.target), used), tuple(members))
        composition.add_fusion(self.model, fused, self.seed + len(used))
        self.layers += (fused,)
        self._below.append(None)

    def _load(self, manifest: Manifest) -> str:
        """Load a stored adapter; returns its name in the model."""
        name = self._free_name(manifest.target)
        adapters.load_adapter(self.model, name, manifest.adapter_folder)
        return name

    def _free_name(self, wanted: str) -> str:
        """A free name for an adapter, taken from now on."""
        name = module_name(wanted, self._taken)
        self._taken.append(name)
        return name

    def _parent(self, name: str) -> Manifest:
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

    def _member(self, layer: Layer, block: str | None) -> Manifest:
        """The checked artifact of an adapter that takes part in a block."""
        manifest = self._parent(mix_name(layer.references()))
        self._check_below(layer, manifest)
        if block is not None and manifest.adapter is not None:
            reason = adapter_methods.parse(manifest.method).obstacle(block)
            if reason:
                raise SetupError(
                    f"{self.setup}: '{layer}' cannot be {BLOCK_VERBS[block]}, for {reason}",
                    remedy=f"train it with seq_bn, or write 'continue({layer})'",
                )
        return manifest

    def _check_below(self, layer: Layer, manifest: Manifest) -> None:
        """Refuse an adapter without those that it was trained on top of."""
        if manifest.setup.has_language != self.setup.has_language:
            which = "above" if manifest.setup.has_language else "without"
            raise SetupError(
                f"{self.setup}: '{layer}' was trained {which} a language adapter",
                remedy="use it as it was trained, or name the task alone, which is then trained to fit",
            )
        lower = [item for item in manifest.setup.layers[:-1] if item != LanguageSlot()]
        if not all(item.SINGLE for item in lower):
            raise SetupError(
                f"{self.setup}: '{layer}' was trained as '{manifest.setup}', and works only so",
                remedy="name an adapter that was trained alone or on top of stored adapters",
            )
        own = [str(item) for item in lower]
        contents = [manifest.parents.get(name, {}).get("content") for name in own]
        found = [item.content() if item else None for item in self._below[-len(own) :]] if own else []
        if own and (found != contents or None in found):
            chain = " > ".join([*own, str(layer), "target"])
            raise SetupError(
                f"{self.setup}: '{layer}' was trained as '{manifest.setup}', on that same '{own[-1]}'",
                remedy=f"nearest: '{chain}'",
            )

    def _finish(self, heads: Sequence[HeadSpec]) -> None:
        """Add the heads, freeze what is not trained, activate."""
        for item in heads:
            name = module_name(item.name, list(self.heads))
            adapters.add_head(self.model, name, item.library_config(), self.seed)
            if item.form.fills_masks:
                self._begin_head(name)
            self.heads[name] = item
        if self.heads:
            self.head_name, self.head = next(iter(self.heads.items()))
        fusions = [fused.name for fused in self.fusions]
        whole = bool(heads) and self.adapter is None and not fusions
        self.trained = adapters.freeze_all_but(
            self.model, self.adapter, list(self.heads), whole=whole, fusions=fusions
        )
        self._activate()
        loose = [name for name in self.trained if adapter_name(name) not in (None, self.adapter)]
        if loose:
            raise RuntimeError(f"{self.setup}: {loose[0]} of a frozen adapter would be trained")

    def _begin_head(self, name: str) -> None:
        """Give a head the weights of the pretrained one; its last matrix are the embeddings."""
        own = adapters.head_tensors(self.model, name)
        stored = {f"heads.{name}.{part}": value for part, value in pretrained_head(self.backbone).items()}
        copy_tensors(own, stored, f"the head of backbone {self.backbone.name}")

    def _activate(self) -> None:
        self.composition = adapters.activate(self.model, self.layers, self.head_name)

    @property
    def fusions(self) -> tuple[Fused, ...]:
        """The fusions, lowest first; they are trained with the target."""
        return tuple(layer for layer in self.layers if isinstance(layer, Fused))

    def with_head(self, name: str) -> SetupModel:
        """The same model around the same weights, answering with another of its heads.

        Args:
            name: Name of the head in the model.
        """
        other = copy.copy(self)
        other.head_name, other.head = name, self.heads[name]
        other.target = other.head.name
        return other

    def use_language(self, folder: Path | None) -> None:
        """Put another language adapter below a setup with `{lang}`, or none.

        Args:
            folder: Artifact of the language adapter; None to answer without one.

        Raises:
            ArtifactError: If it is damaged, or was trained on another backbone.
        """
        above = self.layers[len(self.layers) - len(self._parts) + 1 :]
        name = []
        if folder is not None:
            manifest = read_manifest(folder)
            check_backbone(manifest.backbone, self.backbone, str(folder))
            name = [module_name(f"language_{manifest.target}")]
            if not adapters.has_adapter(self.model, name[0]):
                device = self.model.device
                adapters.load_adapter(self.model, name[0], manifest.adapter_folder)
                self.model.requires_grad_(False).to(device).eval()
        self.layers = (*name, *above)
        self._activate()

    def freeze_embeddings(self) -> None:
        """Train the embeddings no more, where they were to be trained.

        Words that the training data do not show then keep their place beside those that they do.
        """
        own = dict(self.model.named_parameters())
        frozen = [name for name in self.trained if ".embeddings." in name]
        for name in frozen:
            own[name].requires_grad_(False)
        self.trained = tuple(name for name in self.trained if name not in frozen)

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters, by name."""
        own = dict(self.model.named_parameters())
        return {name: own[name] for name in self.trained}

    def trained_state(self) -> dict[str, Tensor]:
        """Copies of the trained parameters, by name, where the model is."""
        return {name: value.detach().clone() for name, value in self.trained_parameters().items()}

    def load_trained_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the trained parameters.

        Args:
            tensors: One tensor for each trained parameter, by name.

        Raises:
            ArtifactError: If names or shapes differ; then nothing has changed.
        """
        copy_tensors(self.trained_parameters(), tensors, "the trained state")

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        """What the head answers, without a loss.

        Args:
            batch: `input_ids` and `attention_mask`, shape (batch, tokens), for multiple choice (batch,
                choices, tokens); for masked language modeling also `hidden`. Other tensors, such as labels,
                are not looked at.

        Returns:
            Unnormalized scores: classification (batch, labels), tagging (batch, tokens, labels), multiple
            choice (batch, choices), span QA a pair of start and end, each (batch, tokens), masked language
            modeling (hidden tokens, vocabulary).

        Raises:
            ConfigError: If the model has no head.
        """
        if self.head is None:
            raise ConfigError("this model has no head", remedy="build it with a target and a head")
        if self.head.form.fills_masks:
            own = dict(self.model.heads[self.head_name].named_parameters())
            parts = {part: own[part] for part in self.backbone.spec.lm_head}
            return masked_lm_logits(self.model, parts, batch)
        inputs = adapters.model_inputs(self.model, batch)
        if not self.head.form.picks_rows:
            output = self.model(**inputs, head=self.head_name, return_dict=True)
            return (output.start_logits, output.end_logits) if self.head.form.finds_spans else output.logits
        rows, choices, _ = inputs["input_ids"].shape
        # Prefixes, gates and ReFT count the inputs of a batch before the library makes one of each choice.
        inputs = {name: value.flatten(0, 1) for name, value in inputs.items()}
        with self._choices(choices):
            output = self.model(**inputs, head=self.head_name, return_dict=True)
        return output.logits.reshape(rows, choices)

    @contextmanager
    def _choices(self, choices: int) -> Iterator[None]:
        """Let the head score another number of choices than it was built for.

        Each choice is scored alone; the number only shapes the library's output.
        """
        config = self.model.heads[self.head_name].config
        built = config["num_choices"]
        config["num_choices"] = choices
        try:
            yield
        finally:
            config["num_choices"] = built

    def hidden_states(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Outputs of the embeddings and of every layer, with the active adapters.

        Args:
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
        inputs = adapters.model_inputs(self.model, batch)
        output = self.model.base_model(**inputs, output_hidden_states=True, return_dict=True)
        states = tuple(state.to(torch.float32) for state in output.hidden_states)
        if states[-1].shape[1] != input_ids.shape[1]:
            raise ArtifactError(
                f"the adapters of {self.setup} add tokens to the text, whose vectors then mean nothing",
                remedy="use another method than prompt_tuning",
            )
        return states

    def save(self, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
        """Write what the setup trained; an artifact already in the folder is replaced.

        Args:
            folder: Where to; it appears whole or not at all.
            extra: Further keys for `artifact.json`, such as scores.

        Raises:
            ArtifactError: If nothing was trained, the folder holds something else, or a key of `extra` is
                taken.
        """
        if self.head is None and self.adapter is None:
            raise ArtifactError(
                f"{self.setup} without a target trained nothing", remedy="evaluate it directly"
            )
        taken = sorted(set(extra or {}) & set(OWN_KEYS))
        if taken:
            raise ArtifactError(f"the key {taken[0]!r} of {NAME} is taken", remedy="choose another name")
        if folder.exists() and not (folder / NAME).is_file() and not _is_empty(folder):
            raise ArtifactError(f"{folder} exists and is not an artifact", remedy="choose another folder")
        with atomic_write(folder) as temporary:
            temporary.mkdir(parents=True)
            if self.adapter is not None:
                adapters.save_adapter(self.model, self.adapter, temporary / "adapters" / self.adapter)
            for fused in self.fusions:
                composition.save_fusion(self.model, fused.name, temporary / "fusions" / fused.name)
            if self.adapter is None and not self.fusions:
                encoder_files.save_encoder(self.model, temporary / "backbone")
            for name in self.heads:
                adapters.save_head(self.model, name, temporary / "heads" / name)
            write_json(temporary / NAME, {**self._described(folder), **(extra or {})})

    def _described(self, folder: Path) -> dict[str, Any]:
        """The artifact's own keys."""
        # Starting weights are part of what was trained; frozen adapters answer together with it.
        needed = {name for name in self.parents if parent_language(name)}
        needed |= {mix_name(sources) for sources in self.setup.fresh().parents()}
        heads = [
            {"name": head.name, "module": name, "type": head.type, "labels": list(head.labels)}
            for name, head in self.heads.items()
        ]
        return {
            "format": ARTIFACT,
            "setup": str(self.setup),
            "method": self.method,
            "seed": self.seed,
            "target": self.target,
            "adapter": self.adapter,
            "fusions": [fused.name for fused in self.fusions],
            "head": heads[0] if heads else None,
            "more_heads": heads[1:],
            "backbone": self.backbone.described(),
            "parents": {
                name: {
                    "path": Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix(),
                    "content": read_manifest(path).content() if name in needed else None,
                }
                for name, path in sorted(self.parents.items())
            },
            "versions": package_versions(),
            **({"quantize": self.quantize} if self.quantize != UNQUANTIZED else {}),
        }

    @classmethod
    def load(
        cls,
        folder: Path,
        backbone: Backbone | None = None,
        parents: Mapping[str, Path] | None = None,
        tokens: np.ndarray | None = None,
        quantize: str | None = None,
    ) -> SetupModel:
        """Load an artifact; its logits equal those of the model that was saved.

        Args:
            folder: The artifact.
            backbone: Its base; by default the one that it names.
            parents: Artifacts of the frozen adapters below it, by reference, where they are not at the place
                that it names.
            tokens: As for `from_setup`.
            quantize: As for `from_setup`, and also of a whole model; by default as it was trained.

        Raises:
            ArtifactError: If something is missing, damaged or changed, or the base is another one.
        """
        manifest = read_manifest(folder)
        if manifest.head is None:
            raise ArtifactError(
                f"{folder} is a language adapter and answers nothing alone",
                remedy="use it in a setup, as {lang}",
            )
        base = backbone or identify(manifest.backbone["name"])
        check_backbone(manifest.backbone, base, str(folder))
        how = manifest.quantize if quantize is None else quantize
        whole = manifest.adapter is None and not manifest.fusions
        head, *more_heads = [
            HeadSpec(item["name"], item["type"], tuple(item["labels"]))
            for item in (manifest.head, *manifest.more_heads)
        ]
        found = cls.from_setup(
            base,
            manifest.setup.fresh(),
            target=manifest.target,
            head=head,
            method=manifest.method,
            parents=manifest.frozen_parents(parents or {}),
            seed=manifest.seed,
            more_heads=more_heads,
            tokens=tokens,
            quantize=UNQUANTIZED if whole else how,
        )
        if found.adapter is not None:
            adapters.replace_adapter(found.model, found.adapter, manifest.adapter_folder)
        for fused in found.fusions:
            composition.load_fusion(found.model, fused.name, manifest.fusion_folder(fused.name))
        if whole:
            encoder_files.load_encoder(found.model, manifest.encoder_folder)
            quantization.quantize(adapters.stack_of(found.model), how)
        for name in found.heads:
            adapters.load_head(found.model, name, folder / "heads" / name)
        found.setup, found.quantize = manifest.setup, how
        return found


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
