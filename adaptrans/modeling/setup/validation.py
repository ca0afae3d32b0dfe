"""Whether a setup can run: what the library composes, and what this version trains. Torch-free."""

from __future__ import annotations

from importlib.util import find_spec

from adaptrans.errors import ConfigError, SetupError
from adaptrans.modeling import adapter_methods
from adaptrans.modeling.setup.nodes import Adapter, Full, LanguageSlot, Layer, Reference, Setup, Target


def check(setup: Setup, method: str, *, retrieval: bool = False) -> None:
    """Refuse a setup that cannot run, before any data or model is loaded.

    Args:
        setup: The parsed expression.
        method: What is trained: `full` or an adapter method such as `seq_bn[reduction_factor=8]`. A setup
            that trains the whole model ignores it.
        retrieval: Whether the target has no training (bitext retrieval); then only what is below the
            target counts.

    Raises:
        SetupError: With the reason and the nearest setup that runs.
        UnknownNameError: If the method or one of its options is unknown.

    Example:
        >>> from adaptrans.modeling.setup.parser import parse
        >>> check(parse("fuse(a, b)"), "lora")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        adaptrans.errors.SetupError: fuse(a, b): the adapters library does not implement Fuse of lora; ...
    """
    if setup.is_full:
        _refuse(setup, _untrained(setup), nearest_full(setup))
        return
    if method == adapter_methods.FULL:
        _refuse(setup, "the method 'full' trains the whole model, not an adapter", nearest_full(setup))
    parsed = adapter_methods.parse(method)
    layers = setup.below_target() if retrieval else setup.layers
    nearest = nearest_adapter(setup, parsed, retrieval)
    for block in blocks(layers):
        _refuse(setup, parsed.obstacle(block), nearest)
    if parsed.inverts and len(layers) > 1:
        reason = f"the invertible part of {parsed.name} has no effect above another adapter"
        _refuse(setup, reason, nearest)
    if retrieval and setup.fusions:
        reason = "a fusion is trained with its target, and a retrieval target has no training"
        _refuse(setup, reason, nearest)
    _refuse(setup, _untrained(setup), nearest)


def _refuse(setup: Setup, reason: str | None, nearest: str) -> None:
    if reason:
        raise SetupError(f"{setup}: {reason}", remedy=f"nearest that runs: '{nearest}'")


def blocks(layers: tuple[Layer, ...]) -> list[str]:
    """The blocks of the table in `adaptrans.modeling.adapter_methods` that a chain of layers needs."""
    last = len(layers) - 1
    needed = [block for place, layer in enumerate(layers) for block in layer.blocks(place < last, place > 0)]
    return [*needed, *(["Stack"] if last > 0 else [])]


def _untrained(setup: Setup) -> str | None:
    """Why this version does not train a setup, or None."""
    if any(_has_stored_run(sources) for sources in setup.parents()):
        return "a mix is trained from tasks, not from stored runs"
    if setup.policy and not setup.has_language:
        return f"the policy '{setup.policy}' has no language adapter to act on"
    return None


def _has_stored_run(sources: tuple[Reference, ...]) -> bool:
    """Whether a mix names one run, not a task."""
    return len(sources) > 1 and any(source.is_run for source in sources)


def nearest_full(setup: Setup) -> str:
    """The nearest setup that trains the whole model."""
    sources = next(iter(setup.parents()), ())
    return str(Setup((Full(sources[:1] if _has_stored_run(sources) else sources),)))


def nearest_adapter(setup: Setup, method: adapter_methods.Method, retrieval: bool) -> str:
    """The nearest adapter setup that the library composes and this version trains."""
    merges = method.obstacle("Merge") is None
    stacks = method.obstacle("Stack") is None and not method.inverts
    kept = [near for layer in setup.layers if (near := layer.nearest(merges)) is not None]
    if not kept or kept[0].ALONE:
        return str(kept[0] if kept else Adapter())
    if setup.has_language and stacks:
        kept = [LanguageSlot(), *kept]
    if not stacks and not (retrieval and len(kept) == 1):
        return str(kept[-1].continued())
    return str(Setup((*kept, Target())))


UNQUANTIZED = "none"
"""The value of `quantize` that leaves the base in the float type of its file."""

QUANTIZED = ("8bit", "4bit")
"""Linear layers of the frozen encoder in 8-bit integers with a scale for each row, or in 4-bit floats of
blocks: the `nf4` of QLoRA (Dettmers et al. 2023, arXiv 2305.14314) without its second quantization."""


def require_bitsandbytes(quantize: str) -> None:
    """Refuse a base in few bits where the package that makes it is missing.

    Args:
        quantize: `none`, `8bit` or `4bit`.

    Raises:
        ConfigError: If it is.
    """
    if quantize != UNQUANTIZED and find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"a base in {quantize} needs bitsandbytes",
            remedy='pip install "adaptrans[quant]", or say --quantize none',
        )


def check_quantized(quantize: str, method: str, what: str) -> None:
    """Refuse to train on a base in few bits what reads or changes the base's own weights.

    Args:
        quantize: `none`, `8bit` or `4bit`.
        method: `full`, or an adapter method.
        what: What is to be trained, for the message.

    Raises:
        ConfigError: If the whole model is trained.
        SetupError: If the method computes with the weights themselves.

    Example:
        >>> check_quantized("4bit", "lora", "mnli (adapter)")
        >>> check_quantized("4bit", "full", "mnli (full)")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        adaptrans.errors.ConfigError: mnli (full) trains the encoder, which stays as it is in 4bit; ...
    """
    if quantize == UNQUANTIZED:
        return
    if method == adapter_methods.FULL:
        raise ConfigError(
            f"{what} trains the encoder, which stays as it is in {quantize}",
            remedy="train an adapter, or leave quantize out",
        )
    parsed = adapter_methods.parse(method)
    if parsed.reads_weights:
        raise SetupError(
            f"{what}: {parsed.name} computes with the encoder's weights themselves, which {quantize} rounds",
            remedy="take lora or seq_bn, or leave quantize out",
        )
