"""Every failure a user can cause, each with what to do about it.

Library code raises; only commands print. A command prints `str(error)` as one
line and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class AdaptransError(Exception):
    """An expected failure: what is wrong, where, and what to do.

    `exit_code` is what a command ends with.

    Args:
        message: What is wrong, without a final full stop.
        remedy: What to do about it, as a command or an instruction.

    Example:
        >>> print(AdaptransError("no backbone given", remedy="add --backbone FOLDER"))
        no backbone given; add --backbone FOLDER
    """

    exit_code = 2

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as they are: the constructors of subclasses take other arguments than the message.
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        text = f"{self.message}; {self.remedy}" if self.remedy else self.message
        return " ".join(text.split())


def _restored(kind: type[AdaptransError], args: tuple[Any, ...], state: dict[str, Any]) -> AdaptransError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device has no memory left.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
        True
        >>> is_out_of_memory(RuntimeError("size mismatch"))
        False
    """
    words = ("can't allocate memory", "DefaultCPUAllocator: not enough memory", "MPS backend out of memory")
    named = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, RuntimeError) and (named or any(word in str(error) for word in words))


_NETWORK = (
    *("socket", "requests", "urllib", "urllib3", "http", "httpx", "httpcore", "aiohttp", "botocore"),
    "huggingface_hub",
)
"""Modules whose errors, many of them OSErrors, come from the network."""


def _is_of_network(error: BaseException) -> bool:
    """Whether an OSError is one of the network: a closed pipe is not, a host without an address is."""
    if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
        return False
    named = any(kind.__module__.partition(".")[0] in _NETWORK for kind in type(error).__mro__)
    return named or isinstance(error, (ConnectionError, TimeoutError))


def one_line(error: BaseException) -> str | None:
    """What a failure is told in one line with its remedy; None for a failure that nobody expected.

    Args:
        error: The failure: one of this module, or one of the machine, after which the same command goes on.

    Example:
        >>> one_line(OSError("No space left on device"))
        'No space left on device; check the path, its permissions and the space left'
        >>> one_line(TimeoutError("timed out"))
        'timed out; check the network and the address, or add --offline and use what is on this machine'
        >>> one_line(KeyError("a fault of ours")) is None
        True
    """
    if isinstance(error, AdaptransError):
        return str(error)
    if _is_of_network(error):
        remedy = "check the network and the address, or add --offline and use what is on this machine"
    elif isinstance(error, MemoryError):
        remedy = "free memory, or lower tokens_per_batch with --set tokens_per_batch=2048"
    elif isinstance(error, OSError):
        remedy = "check the path, its permissions and the space left"
    elif is_out_of_memory(error):
        remedy = "lower tokens_per_batch with --set tokens_per_batch=2048, or take --device cpu"
    else:
        return None
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text[:300]}; {remedy}"


class UnknownNameError(AdaptransError):
    """A name that is not among the known ones; the nearest is suggested.

    Args:
        noun: What the name stands for.
        name: The name.
        known: The names that there are.
        remedy: What else to do.
        near: The name to suggest, "" for none; by default the one with the most letters in common, if
            six of ten are.

    Example:
        >>> print(UnknownNameError("task", "xnil", ["xnli", "panx"]))
        unknown task "xnil"; did you mean "xnli"?
    """

    def __init__(
        self,
        noun: str,
        name: str,
        known: Iterable[str],
        *,
        remedy: str | None = None,
        near: str | None = None,
    ) -> None:
        self.name = name
        choices = sorted(known)
        nearest = _nearest(name, choices) if near is None else near
        if nearest:
            hint = f'did you mean "{nearest}"?'
        elif near is not None and remedy and len(choices) > 20:
            hint, remedy = remedy, None
        elif not choices:
            hint = "none is known"
        elif len(choices) <= 20:
            hint = f"choose from {', '.join(choices)}"
        else:
            hint = f"{len(choices)} are known"
        if remedy:
            hint = f"{hint} ({remedy})"
        super().__init__(f'unknown {noun} "{name}"', remedy=hint)


def _nearest(name: str, choices: Iterable[str]) -> str:
    """The choice with the most letters in common, "" if fewer than six of ten are."""
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else ""


class DataError(AdaptransError):
    """A data file that cannot be read as its task says, with file and line.

    Example:
        >>> print(DataError("expected 3 columns, found 2", Path("dev-de.tsv"), 7))
        dev-de.tsv:7: expected 3 columns, found 2
    """

    def __init__(
        self, message: str, path: Path | str, line: int | None = None, *, remedy: str | None = None
    ) -> None:
        self.path = Path(path)
        self.line = line
        place = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{place}: {message}", remedy=remedy)


class NoRowError(DataError):
    """A whole data file without any row, which may be one of several files."""


class MissingDataError(AdaptransError):
    """Data that is neither in the data folder nor on the hub."""


class SetupError(AdaptransError):
    """A setup expression that cannot be parsed, or that nothing can run."""


class ConfigError(AdaptransError):
    """A configuration with an unknown key or an impossible value."""


class ArtifactError(AdaptransError):
    """A stored run or artifact that is missing, damaged or does not fit its base."""


class BusyError(ArtifactError):
    """A run that another process is at work on."""


class TrainingError(AdaptransError):
    """Training that cannot go on, for instance because the loss is not a number."""


class RunError(AdaptransError):
    """A run of an experiment that could not be computed, or an engine that could not compute it."""


class FailedRunsError(RunError):
    """Runs of an experiment failed; all that does not build on them is done.

    Args:
        message: How many.
        outcome: What there is: an `adaptrans.api.Outcome`.
        unexpected: Whether one of them met a fault of the program.
        remedy: What to do about it.
    """

    def __init__(self, message: str, outcome: Any, *, unexpected: bool, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.outcome = outcome
        self.exit_code = 1 if unexpected else 2
