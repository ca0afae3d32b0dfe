"""The tree of a setup expression: small immutable nodes that print themselves.

Torch-free. `adaptrans.modeling.setup.parser` parses text to these nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Policy: TypeAlias = Literal["swap", "keep-source", "none"]
POLICIES: tuple[Policy, ...] = ("swap", "keep-source", "none")

# A character of an address that needs no quotes: none that the grammar gives a meaning to.
BARE_ADDRESS = re.compile(
    r"(?:\.{1,2}/|~/|/|[A-Za-z][A-Za-z0-9+.\-]*://)[^\s\x00-\x1f\x7f-\x9f,()<>\"'{}@\[\]*]*"
)


@dataclass(frozen=True, slots=True)
class Reference:
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

    name: str = ""
    languages: tuple[str, ...] = ()
    run: str | None = None
    address: str | None = None

    def __str__(self) -> str:
        if self.address is not None:
            return self.address if BARE_ADDRESS.fullmatch(self.address) else f'"{self.address}"'
        languages = f"[{','.join(self.languages)}]" if self.languages else ""
        return f"{self.name}{languages}{f'#{self.run}' if self.run else ''}"


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


@dataclass(frozen=True, slots=True)
class Full:
    """The whole model; first on `sources`, if any, then on the target."""

    sources: tuple[Reference, ...] = ()

    def __str__(self) -> str:
        return f"full({mix_name(self.sources)})" if self.sources else "full"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One fresh target adapter on the frozen backbone."""

    def __str__(self) -> str:
        return "adapter"


@dataclass(frozen=True, slots=True)
class Continue:
    """The adapter of `source`, trained further on the target."""

    source: Reference

    def __str__(self) -> str:
        return f"continue({self.source})"


@dataclass(frozen=True, slots=True)
class Mix:
    """One adapter that is trained on several tasks at once."""

    sources: tuple[Reference, ...]

    def __str__(self) -> str:
        return f"mix({mix_name(self.sources)})"


@dataclass(frozen=True, slots=True)
class Fuse:
    """AdapterFusion over frozen adapters."""

    sources: tuple[Reference, ...]

    def __str__(self) -> str:
        return f"fuse({listed(self.sources, ', ')})"


@dataclass(frozen=True, slots=True)
class Average:
    """One adapter whose weights are the mean of others; equal shares when `weights` is None."""

    sources: tuple[Reference, ...]
    weights: tuple[float, ...] | None = None

    def __str__(self) -> str:
        if self.weights is None:
            return f"average({listed(self.sources, ', ')})"
        pairs = zip(self.weights, self.sources, strict=True)
        return f"average({', '.join(f'{weight!r}*{source}' for weight, source in pairs)})"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """One adapter whose weights are a sum of others; each term is (+1 or -1, reference)."""

    terms: tuple[tuple[int, Reference], ...]

    def __str__(self) -> str:
        first, *rest = self.terms
        return str(first[1]) + "".join(f" {'+' if sign > 0 else '-'} {source}" for sign, source in rest)


@dataclass(frozen=True, slots=True)
class LanguageSlot:
    """The place of a language adapter, swapped for each test language."""

    def __str__(self) -> str:
        return "{lang}"


@dataclass(frozen=True, slots=True)
class Target:
    """The fresh adapter that is trained on the target task."""

    def __str__(self) -> str:
        return "target"


Trained: TypeAlias = Reference | Mix
"""A layer that one stored adapter stands for."""

Layer: TypeAlias = (
    Reference | Full | Adapter | Continue | Mix | Fuse | Average | Arithmetic | LanguageSlot | Target
)


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


def sources_of(layer: Layer) -> tuple[Reference, ...]:
    """The stored runs that one layer names, in the order written."""
    match layer:
        case Reference():
            return (layer,)
        case Continue(source):
            return (source,)
        case Full(sources) | Mix(sources) | Fuse(sources) | Average(sources):
            return sources
        case Arithmetic(terms):
            return tuple(source for _, source in terms)
    return ()


def references(setup: Setup) -> tuple[Reference, ...]:
    """Every stored run that a setup needs, lowest layer first.

    Example:
        >>> [str(item) for item in references(Setup((Fuse((Reference("mnli"), Reference("qqp"))), Target())))]
        ['mnli', 'qqp']
    """
    return tuple(source for layer in setup.layers for source in sources_of(layer))


def mix_name(sources: tuple[Reference, ...]) -> str:
    """The name of a run that trains several tasks at once, as a setup writes it.

    Example:
        >>> mix_name((Reference("mnli"), Reference("squad", ("de",))))
        'mnli + squad[de]'
    """
    return listed(sources, " + ")


def parents_of(setup: Setup) -> tuple[tuple[Reference, ...], ...]:
    """The stored runs that a setup builds on, lowest layer first: a task each, or several for a mix.

    Example:
        >>> [mix_name(item) for item in parents_of(Setup((Full((Reference("a"), Reference("b"))),)))]
        ['a + b']
        >>> [mix_name(item) for item in parents_of(Setup((Fuse((Reference("a"), Reference("b"))),)))]
        ['a', 'b']
    """
    found: list[tuple[Reference, ...]] = []
    for layer in setup.layers:
        match layer:
            case Full((_, *_) as sources) | Mix(sources):
                found.append(tuple(sources))
            case _:
                found += [(source,) for source in sources_of(layer)]
    return tuple(found)


def is_full(setup: Setup) -> bool:
    """Whether the whole model is trained, not an adapter."""
    return any(isinstance(layer, Full) for layer in setup.layers)


def has_language(setup: Setup) -> bool:
    """Whether a language adapter stands at the bottom."""
    return LanguageSlot() in setup.layers


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


def has_fusion(setup: Setup) -> bool:
    """Whether a fusion is trained, which takes a target to train it on."""
    return any(isinstance(layer, Fuse) for layer in setup.layers)


def below_target(setup: Setup) -> tuple[Layer, ...]:
    """What of a setup answers for a target without training, lowest first.

    `full` and `adapter` leave the bare backbone, an empty tuple; `full(mnli)` leaves the model trained on
    mnli and `continue(mnli)` the mnli adapter.

    Example:
        >>> [str(layer) for layer in below_target(Setup((Reference("mnli"), Target())))]
        ['mnli']
    """
    layers: list[Layer] = []
    for layer in setup.layers:
        match layer:
            case Target() | Adapter() | Full(()):
                continue
            case Continue(source):
                layers.append(source)
            case _:
                layers.append(layer)
    return tuple(layers)
