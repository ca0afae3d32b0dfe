"""Other references in the place of those that a setup names. Torch-free."""

from __future__ import annotations

from collections.abc import Callable

from adaptrans.models.nodes import Arithmetic, Average, Continue, Full, Fuse, Layer, Mix, Reference, Setup


def with_references(setup: Setup, change: Callable[[Reference], Reference]) -> Setup:
    """The same setup with every reference changed.

    Example:
        >>> from adaptrans.models.setup import parse
        >>> setup = parse("fuse(hf://ann/mnli, qqp) > target")
        >>> str(with_references(setup, lambda item: Reference("mnli", run="1f") if item.address else item))
        'fuse(mnli#1f, qqp) > target'
    """

    def changed(layer: Layer) -> Layer:
        match layer:
            case Reference():
                return change(layer)
            case Continue(source):
                return Continue(change(source))
            case Full(sources):
                return Full(tuple(map(change, sources)))
            case Mix(sources):
                return Mix(tuple(map(change, sources)))
            case Fuse(sources):
                return Fuse(tuple(map(change, sources)))
            case Average(sources, weights):
                return Average(tuple(map(change, sources)), weights)
            case Arithmetic(terms):
                return Arithmetic(tuple((sign, change(source)) for sign, source in terms))
        return layer

    return Setup(tuple(map(changed, setup.layers)), setup.policy)
