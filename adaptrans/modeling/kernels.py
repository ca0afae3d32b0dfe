"""Configurations that name an attention implementation, which may be a repository of code. Torch-free.

Transformers before 5.3.0, with the package `kernels` installed, fetches and runs the code of a repository
that the configuration of a model names as its attention, whatever `trust_remote_code` says: CVE-2026-4372.
Here `sdpa` computes whatever a configuration says; the name of a repository is refused before anything is
loaded, and in a shared artifact the key itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adaptrans.errors import ArtifactError

ATTENTION_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
PLAIN = re.compile(r"[A-Za-z0-9_|]+")
"""A name of an implementation that transformers itself has, such as `eager`; a repository has a slash."""


def named_attention(values: Any) -> Iterator[tuple[str, Any]]:
    """Keys that name an attention implementation, at every depth, with what they name.

    Example:
        >>> list(named_attention({"a": [{"_attn_implementation": "eager"}], "attn_implementation": None}))
        [('_attn_implementation', 'eager'), ('attn_implementation', None)]
    """
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key in ATTENTION_KEYS:
                yield key, value
            else:
                yield from named_attention(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from named_attention(value)


def refuse_repositories(config: Mapping[str, Any], what: str) -> None:
    """Refuse the configuration of an encoder that names a repository as its attention.

    A name that transformers itself has is left alone: it has no effect.

    Args:
        config: The configuration.
        what: What it belongs to, for the message.

    Raises:
        ArtifactError: With the key.
    """
    for key, value in named_attention(config):
        if value is not None and not (isinstance(value, str) and PLAIN.fullmatch(value)):
            raise ArtifactError(
                f"{what}: config.json names the attention {str(value)[:80]!r}, which transformers would fetch"
                " and run",
                remedy=f"delete the key {key!r}, if you trust the rest; sdpa is used whatever it says",
            )
