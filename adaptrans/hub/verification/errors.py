"""Why an artifact is not loaded: every reason by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaptrans.errors import ArtifactError

REASONS = {
    "address": "its name is not the one that was asked for",
    "base": "it contradicts itself about its base",
    "class": "a configuration names another class than the ones it may, or makes a library run code",
    "content": "its weights are not those that it was scored with",
    "depth": "it belongs to a base of another depth",
    "file type": "a file is none of those that an artifact may hold",
    "fingerprint": "it belongs to a base with other weights",
    "hash": "a file is not the one that the manifest lists",
    "header": "a file of weights is damaged, or claims what it does not hold",
    "json": "a JSON file cannot be read",
    "key": "its run's inputs do not make its run's key",
    "link": "a file is a link",
    "look-alike": "a name has a character that looks like another one",
    "manifest": "the manifest cannot be read",
    "missing": "a file is missing",
    "name": "setups cannot say the name of its task",
    "not finite": "weights are infinite or not a number",
    "parent": "what it was built on is missing or another one",
    "path": "a path leads out of the artifact",
    "pickle": "a file is a pickle, which can run code",
    "shape": "a tensor has another shape than its configuration implies",
    "size": "a file is larger than it says, or than it may be",
    "tensors": "tensors are missing or too many for its configuration",
    "unlisted": "a file is not in the manifest",
    "vocabulary": "it belongs to a base of another vocabulary",
    "width": "it belongs to a base of another width",
}
"""Every reason for a refusal."""


def printable(text: str) -> str:
    """A text of unknown origin without what would steer a terminal.

    Example:
        >>> printable("a\\x1b[2Jb")
        'a?[2Jb'
    """
    return "".join(char if char.isprintable() else "?" for char in text)


@dataclass(frozen=True)
class Refusal:
    """Why a package is not loaded.

    Args:
        reason: A key of `REASONS`.
        place: The file or key concerned.
        message: What is wrong with it.
    """

    reason: str
    place: str
    message: str

    def __str__(self) -> str:
        return printable(f"[{self.reason}] {self.place}: {self.message}")


class Refused(ArtifactError):
    """A package that is not loaded, with all refusals."""

    def __init__(self, what: str, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(
            f"{what} is refused: {refusals[0]}{more}",
            remedy="see adaptrans hub verify; nothing of it was loaded",
        )
