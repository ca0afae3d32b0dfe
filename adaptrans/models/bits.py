"""Which bases in few bits there are, and what is refused of them. Torch-free."""

from __future__ import annotations

from importlib.util import find_spec

from adaptrans.errors import ConfigError, SetupError
from adaptrans.models import methods

FLOAT = "none"
"""A base as it is in its file."""

QUANTISED = ("8bit", "4bit")
"""Linear layers of the frozen encoder in 8-bit integers with a scale for each row, or in 4-bit floats of
blocks: the `nf4` of QLoRA (Dettmers et al. 2023, arXiv 2305.14314) without its second quantisation."""


def require_bitsandbytes(quantise: str) -> None:
    """Refuse a base in few bits where the package that makes it is missing.

    Args:
        quantise: `none`, `8bit` or `4bit`.

    Raises:
        ConfigError: If it is.
    """
    if quantise != FLOAT and find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"a base in {quantise} needs bitsandbytes",
            remedy='pip install "adaptrans[quant]", or say --quantise none',
        )


def check_quantised(quantise: str, method: str, what: str) -> None:
    """Refuse to train on a base in few bits what reads or changes the base's own weights.

    Args:
        quantise: `none`, `8bit` or `4bit`.
        method: `full`, or an adapter method.
        what: What is to be trained, for the message.

    Raises:
        ConfigError: If the whole model is trained.
        SetupError: If the method computes with the weights themselves.

    Example:
        >>> check_quantised("4bit", "lora", "mnli (adapter)")
        >>> check_quantised("4bit", "full", "mnli (full)")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        adaptrans.errors.ConfigError: mnli (full) trains the encoder, which stays as it is in 4bit; ...
    """
    if quantise == FLOAT:
        return
    if method == methods.FULL:
        raise ConfigError(
            f"{what} trains the encoder, which stays as it is in {quantise}",
            remedy="train an adapter, or leave quantise out",
        )
    parsed = methods.parse(method)
    if parsed.reads_weights:
        raise SetupError(
            f"{what}: {parsed.name} computes with the encoder's weights themselves, which {quantise} rounds",
            remedy="take lora or seq_bn, or leave quantise out",
        )
