"""The tree of a setup expression: small immutable nodes that say all that differs from one to the next.

A kind of layer is one class here and its word in `adaptrans.modeling.setup.parser`. Torch-free: what a layer
does to a model it does through `Builder`, which `adaptrans.modeling.model.SetupModel` is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, TypeAlias

Policy: TypeAlias = Literal["swap", "keep-source", "none"]
POLICIES: tuple[Policy, ...] = ("swap", "keep-source", "none")

# A character of an address that needs no quotes: none that the grammar gives a meaning to.
BARE_ADDRESS = re.compile(
    r"(?:\.{1,2}/|~/|/|[A-Za-z][A-Za-z0-9+.\-]*://)[^\s\x00-\x1f\x7f-\x9f,()<>\"'{}@\[\]*]*"
)


class Builder(Protocol):
    """What a model lets the layers of its setup do to it, lowest first; see `SetupModel`."""

    def start_from(self, sources: tuple[Reference, ...]) -> None: ...
    def add_language(self) -> None: ...
    def add_stored(self, layer: Layer) -> None: ...
    def add_merged(self, terms: Sequence[tuple[Reference, float]]) -> None: ...
    def add_fusion(self, sources: Sequence[Reference]) -> None: ...
    def add_target(self, source: Reference | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a setup; by default one that names no stored run and needs nothing but the library.

    Class attributes:
        ALONE: Whether it is the only layer of its setup.
        FULL: Whether it trains the whole model, not an adapter.
        ENDS: Whether it is trained on the target, so that a setup can end with it.
        SINGLE: Whether it is one stored run.
    """

    ALONE: ClassVar[bool] = False
    FULL: ClassVar[bool] = False
    ENDS: ClassVar[bool] = False
    SINGLE: ClassVar[bool] = False

    def references(self) -> tuple[Reference, ...]:
        """The stored runs that it names, in the order written."""
        return ()

    def with_references(self, change: Callable[[Reference], Reference]) -> Layer:
        """The same layer with every reference changed."""
        return self

    def parents(self) -> tuple[tuple[Reference, ...], ...]:
        """The stored runs that it builds on: a task each, or several for a mix."""
        return tuple((source,) for source in self.references())

    def below_target(self) -> tuple[Layer, ...]:
        """What of it answers for a target without training."""
        return (self,)

    def fresh(self) -> Layer:
        """The same layer without its starting weights, which trained ones replace."""
        return self

    def blocks(self, above: bool, below: bool) -> tuple[str, ...]:
        """The blocks of the table in `adaptrans.modeling.adapter_methods` that it needs.

        Args:
            above: Whether another layer stands above it.
            below: Whether one stands below it.
        """
        return ()

    def nearest(self, merges: bool) -> Layer | None:
        """The nearest layer that the library composes; None for one that a nearest setup gets anew.

        Args:
            merges: Whether adapters of the method can be merged.
        """
        return None

    def continued(self) -> Layer:
        """The nearest setup that needs no stack."""
        return Adapter()

    def build(self, builder: Builder) -> None:
        """Add it to a model."""
        raise NotImplementedError(type(self).__name__)


@dataclass(frozen=True, slots=True)
class Reference(Layer):
    """A stored run: by task name, or by the address of an artifact.

    Args:
        name: Task name; empty for an address.
        languages: Training languages, in the order written; empty for the task's own.
        run: Key, or start of a key, of one stored run of the task.
        address: Folder or remote (`./runs/a`, `hf://user/name`, `s3://bucket/x`).

    Example:
        >>> str(Reference("mnli", ("de", "ru"))), str(Reference(address="hf://ann/mnli"))
        ('mnli[de,ru]', 'hf://ann/mnli')
    """

    SINGLE = True

    name: str = ""
    languages: tuple[str, ...] = ()
    run: str | None = None
    address: str | None = None

    def __str__(self) -> str:
        if self.address is not None:
            return self.address if BARE_ADDRESS.fullmatch(self.address) else f'"{self.address}"'
        languages = f"[{','.join(self.languages)}]" if self.languages else ""
        return f"{self.name}{languages}{f'#{self.run}' if self.run else ''}"

    @property
    def is_run(self) -> bool:
        """Whether it names one run, not a task."""
        return self.run is not None or self.address is not None

    def references(self) -> tuple[Reference, ...]:
        return (self,)

    def with_references(self, change: Callable[[Reference], Reference]) -> Layer:
        return change(self)

    def nearest(self, merges: bool) -> Layer | None:
        return self

    def continued(self) -> Layer:
        return Continue(self)

    def build(self, builder: Builder) -> None:
        builder.add_stored(self)


NINE = ("anli_plus", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa")
"""What `nine` stands for: the intermediate tasks of Phang et al. 2020 (arXiv 2005.13013, second version)."""

NINE_REFERENCES = tuple(Reference(name) for name in NINE)


def listed(sources: tuple[Reference, ...], separator: str) -> str:
    """Stored runs one after the other; the nine tasks of the study, in their order, as one word.

    Example:
        >>> listed((*NINE_REFERENCES, Reference("mlm")), " + ")
        'nine + mlm'
    """
    words: list[str] = []
    place = 0
    while place < len(sources):
        nine = sources[place : place + len(NINE)] == NINE_REFERENCES
        words.append("nine" if nine else str(sources[place]))
        place += len(NINE) if nine else 1
    return separator.join(words)


def mix_name(sources: tuple[Reference, ...]) -> str:
    """The name of a run that trains several tasks at once, as a setup writes it.

    Example:
        >>> mix_name((Reference("mnli"), Reference("squad", ("de",))))
        'mnli + squad[de]'
    """
    return listed(sources, " + ")


@dataclass(frozen=True, slots=True)
class _Several(Layer):
    """A layer of several stored runs."""

    sources: tuple[Reference, ...]

    def references(self) -> tuple[Reference, ...]:
        return self.sources

    def with_references(self, change: Callable[[Reference], Reference]) -> Layer:
        return replace(self, sources=tuple(map(change, self.sources)))


@dataclass(frozen=True, slots=True)
class Full(_Several):
    """The whole model; first on `sources`, if any, then on the target."""

    ALONE = FULL = ENDS = True

    sources: tuple[Reference, ...] = ()

    def __str__(self) -> str:
        return f"full({mix_name(self.sources)})" if self.sources else "full"

    def parents(self) -> tuple[tuple[Reference, ...], ...]:
        return (self.sources,) if self.sources else ()

    def below_target(self) -> tuple[Layer, ...]:
        return (self,) if self.sources else ()

    def fresh(self) -> Layer:
        return Full()

    def build(self, builder: Builder) -> None:
        if self.sources:
            builder.start_from(self.sources)


@dataclass(frozen=True, slots=True)
class Adapter(Layer):
    """One fresh target adapter on the frozen backbone."""

    ALONE = ENDS = True

    def __str__(self) -> str:
        return "adapter"

    def below_target(self) -> tuple[Layer, ...]:
        return ()

    def build(self, builder: Builder) -> None:
        builder.add_target()


@dataclass(frozen=True, slots=True)
class Continue(Layer):
    """The adapter of `source`, trained further on the target."""

    ALONE = ENDS = True

    source: Reference

    def __str__(self) -> str:
        return f"continue({self.source})"

    def references(self) -> tuple[Reference, ...]:
        return (self.source,)

    def with_references(self, change: Callable[[Reference], Reference]) -> Layer:
        return Continue(change(self.source))

    def below_target(self) -> tuple[Layer, ...]:
        return (self.source,)

    def fresh(self) -> Layer:
        return Adapter()

    def nearest(self, merges: bool) -> Layer | None:
        return self

    def build(self, builder: Builder) -> None:
        builder.add_target(self.source)


@dataclass(frozen=True, slots=True)
class Mix(_Several):
    """One adapter that is trained on several tasks at once."""

    def __str__(self) -> str:
        return f"mix({mix_name(self.sources)})"

    def parents(self) -> tuple[tuple[Reference, ...], ...]:
        return (self.sources,)

    def nearest(self, merges: bool) -> Layer | None:
        return self.sources[0] if any(source.is_run for source in self.sources) else self

    def build(self, builder: Builder) -> None:
        builder.add_stored(self)


@dataclass(frozen=True, slots=True)
class Fuse(_Several):
    """AdapterFusion over frozen adapters."""

    ENDS = True

    def __str__(self) -> str:
        return f"fuse({listed(self.sources, ', ')})"

    def blocks(self, above: bool, below: bool) -> tuple[str, ...]:
        return ("Fuse", *(["Stack(l, Fuse)"] if below else []), *(["Stack(Fuse, t)"] if above else []))

    def nearest(self, merges: bool) -> Layer | None:
        return Average(self.sources) if merges else self.sources[0]

    def build(self, builder: Builder) -> None:
        builder.add_fusion(self.sources)


class _Merge(Layer):
    """One adapter whose weights are a weighted sum of others'."""

    __slots__ = ()

    def terms(self) -> list[tuple[Reference, float]]:
        """The references with their weights."""
        raise NotImplementedError

    def blocks(self, above: bool, below: bool) -> tuple[str, ...]:
        return ("Merge",)

    def nearest(self, merges: bool) -> Layer | None:
        return self.references()[0]

    def build(self, builder: Builder) -> None:
        builder.add_merged(self.terms())


@dataclass(frozen=True, slots=True)
class Average(_Merge, _Several):
    """One adapter whose weights are the mean of others; equal shares when `weights` is None.

    Example:
        >>> [weight for _, weight in Average((Reference("a"), Reference("b")), (3.0, 1.0)).terms()]
        [0.75, 0.25]
    """

    weights: tuple[float, ...] | None = None

    def __str__(self) -> str:
        if self.weights is None:
            return f"average({listed(self.sources, ', ')})"
        pairs = zip(self.weights, self.sources, strict=True)
        return f"average({', '.join(f'{weight!r}*{source}' for weight, source in pairs)})"

    def terms(self) -> list[tuple[Reference, float]]:
        weights = self.weights or (1.0,) * len(self.sources)
        return [(source, weight / sum(weights)) for source, weight in zip(self.sources, weights, strict=True)]


@dataclass(frozen=True, slots=True)
class Arithmetic(_Merge):
    """One adapter whose weights are a sum of others; each sign is 1 or -1."""

    signed: tuple[tuple[int, Reference], ...]

    def __str__(self) -> str:
        first, *rest = self.signed
        return str(first[1]) + "".join(f" {'+' if sign > 0 else '-'} {source}" for sign, source in rest)

    def references(self) -> tuple[Reference, ...]:
        return tuple(source for _, source in self.signed)

    def with_references(self, change: Callable[[Reference], Reference]) -> Layer:
        return Arithmetic(tuple((sign, change(source)) for sign, source in self.signed))

    def terms(self) -> list[tuple[Reference, float]]:
        return [(source, float(sign)) for sign, source in self.signed]


@dataclass(frozen=True, slots=True)
class LanguageSlot(Layer):
    """The place of a language adapter, swapped for each test language."""

    def __str__(self) -> str:
        return "{lang}"

    def build(self, builder: Builder) -> None:
        builder.add_language()


@dataclass(frozen=True, slots=True)
class Target(Layer):
    """The fresh adapter that is trained on the target task."""

    ENDS = True

    def __str__(self) -> str:
        return "target"

    def below_target(self) -> tuple[Layer, ...]:
        return ()

    def build(self, builder: Builder) -> None:
        builder.add_target()


@dataclass(frozen=True, slots=True)
class Setup:
    """Which trained pieces answer together, lowest first.

    Args:
        layers: From the layer nearest the backbone to the last one.
        policy: Which language adapter is used at test time; None when not written.

    Example:
        >>> str(Setup((Reference("mnli"), Target()), "keep-source"))
        'mnli > target @ keep-source'
    """

    layers: tuple[Layer, ...]
    policy: Policy | None = None

    def __str__(self) -> str:
        chain = " > ".join(map(str, self.layers))
        return f"{chain} @ {self.policy}" if self.policy else chain

    def references(self) -> tuple[Reference, ...]:
        """Every stored run that it needs, lowest layer first.

        Example:
            >>> [str(item) for item in Setup((Fuse((Reference("a"), Reference("b"))), Target())).references()]
            ['a', 'b']
        """
        return tuple(source for layer in self.layers for source in layer.references())

    def with_references(self, change: Callable[[Reference], Reference]) -> Setup:
        """The same setup with every reference changed.

        Example:
            >>> setup = Setup((Fuse((Reference("mnli"), Reference("qqp"))), Target()))
            >>> str(setup.with_references(lambda item: replace(item, run="1f")))
            'fuse(mnli#1f, qqp#1f) > target'
        """
        return replace(self, layers=tuple(layer.with_references(change) for layer in self.layers))

    def parents(self) -> tuple[tuple[Reference, ...], ...]:
        """The stored runs that it builds on, lowest layer first: a task each, or several for a mix.

        Example:
            >>> [mix_name(item) for item in Setup((Full((Reference("a"), Reference("b"))),)).parents()]
            ['a + b']
            >>> [mix_name(item) for item in Setup((Fuse((Reference("a"), Reference("b"))),)).parents()]
            ['a', 'b']
        """
        return tuple(group for layer in self.layers for group in layer.parents())

    def fresh(self) -> Setup:
        """The same setup without its starting weights, which trained ones replace."""
        return replace(self, layers=tuple(layer.fresh() for layer in self.layers))

    def below_target(self) -> tuple[Layer, ...]:
        """What of it answers for a target without training, lowest first.

        `full` and `adapter` leave the bare backbone, an empty tuple; `full(mnli)` leaves the model trained on
        mnli and `continue(mnli)` the mnli adapter.

        Example:
            >>> [str(layer) for layer in Setup((Reference("mnli"), Target())).below_target()]
            ['mnli']
        """
        return tuple(kept for layer in self.layers for kept in layer.below_target())

    @property
    def is_full(self) -> bool:
        """Whether the whole model is trained, not an adapter."""
        return any(layer.FULL for layer in self.layers)

    @property
    def has_language(self) -> bool:
        """Whether a language adapter stands at the bottom."""
        return LanguageSlot() in self.layers

    @property
    def fusions(self) -> tuple[Fuse, ...]:
        """Its fusions, lowest first, which take a target to train them on."""
        return tuple(layer for layer in self.layers if isinstance(layer, Fuse))


def language_parent(language: str) -> str:
    """The name under which a setup's parents hold a language adapter.

    Example:
        >>> language_parent("sw")
        '{sw}'
    """
    return "{" + language + "}"


def parent_language(name: str) -> str | None:
    """The language whose adapter a parent of a setup is; None for any other run.

    Example:
        >>> parent_language("{sw}"), parent_language("mnli")
        ('sw', None)
    """
    return name[1:-1] if name.startswith("{") else None
