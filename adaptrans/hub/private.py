"""What must not leave a machine in an artefact: tokens, and paths that name folders and users. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

TOKENS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), "a token of the Hugging Face Hub"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"), "a GitHub token"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
)
_BEFORE = r"(?:(?<=[\s\"'=(\[,:])|^)"
PATHS = (
    re.compile(
        rf"{_BEFORE}(?:file://)?/(?:home|Users|root|tmp|var|mnt|media|data|work|opt|srv|scratch|private|usr)/\S+",
        re.MULTILINE,
    ),
    re.compile(rf"{_BEFORE}~/\S+", re.MULTILINE),
    re.compile(r"\b[A-Za-z]:\\{1,2}\w"),
)


def found_in(text: str, folders: Iterable[Path] = ()) -> str | None:
    """What a text says that is nobody else's business, None if nothing.

    Args:
        text: The text.
        folders: Folders of this machine that must not be named.

    Example:
        >>> found_in('{"name": "/home/ann/xlmr"}')
        'the local path /home/ann/xlmr'
        >>> found_in("see https://example.org/data/home/x") is None
        True
    """
    for pattern, what in TOKENS:
        if pattern.search(text):
            return what
    for pattern in PATHS:
        match = pattern.search(text)
        if match:
            return f"the local path {match[0].rstrip('.,;)]}').partition(chr(34))[0]}"
    for folder in folders:
        if len(folder.parts) > 2 and str(folder) in text:
            return f"the local path {folder}"
    return None
