"""What a perturbation is: a change of the examples of a test set, the same for the same item and seed.

A perturbation is one class and one file, registered by name, as a task type is. It changes examples
after they were read and before they are encoded, so that answers, prediction files and scores keep
their one path; it enters the key of an evaluation only where there is one.
"""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from adaptrans.errors import ConfigError
from adaptrans.task_types.base import TASK_TYPES, Answer
from adaptrans.utils.registry import Registry


class Perturbation(ABC):
    """A change of examples.

    Class attributes:
        NAME: What it is called.
        TITLE: What it does, in words.
        SHARE: Percent of the words that it changes where none is written; None where it has no share.
        NEEDS: The role of a text without which a type of tasks has nothing to change; empty for any role.
        VERSION: Part of the keys of evaluations; raised when what it gives changes.
        SAME_SCORE: Whether no model that works as it should scores anything else, so that it finds faults.

    Args:
        share: Percent of the words, as in `typos:10`.
        seed: Of the draws.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    SHARE: ClassVar[int | None] = None
    NEEDS: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    SAME_SCORE: ClassVar[bool] = False

    def __init__(self, share: int | None = None, seed: int = 0) -> None:
        self.share = self.SHARE if share is None else share
        self.seed = seed

    def __str__(self) -> str:
        return self.NAME if self.share is None else f"{self.NAME}:{self.share}"

    @property
    def inputs(self) -> dict[str, Any]:
        """What of it is in the key of an evaluation."""
        return {"name": str(self), "version": self.VERSION, "seed": self.seed}

    @abstractmethod
    def change(self, example: Any) -> Any:
        """The example as it is put to the model."""

    def restored(self, id: str, gold: Any, answer: Answer) -> tuple[Any, Answer]:  # noqa: ARG002
        """Reference and answer in terms of the example as the data have it, for the prediction file.

        Args:
            id: Of the example.
            gold: The reference of the changed example.
            answer: What was answered to it.
        """
        return gold, answer

    @classmethod
    def changes(cls, kind: str) -> bool:
        """Whether examples of this type of tasks have a text for it."""
        roles = TASK_TYPES[kind].text_roles
        return cls.NEEDS in roles if cls.NEEDS else bool(roles)

    def draws(self, *what: str) -> random.Random:
        """Random numbers that depend on the perturbation, its seed and what is named, and on nothing else."""
        text = "\0".join((str(self), str(self.seed), *what))
        return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))

    def changed(self, examples: Iterable[Any]) -> Iterator[Any]:
        """All examples, one after the other."""
        return map(self.change, examples)

    @classmethod
    def written(cls, share: str, seed: int) -> Self:
        """One with the share that is written behind its name.

        Raises:
            ConfigError: If it takes none, or the text is no percentage.
        """
        if not share:
            return cls(None, seed)
        if cls.SHARE is None:
            raise ConfigError(f'perturbation "{cls.NAME}" takes no share', remedy=f"write {cls.NAME}")
        if not share.isascii() or not share.isdigit() or not 1 <= int(share) <= 100:
            raise ConfigError(
                f'perturbation "{cls.NAME}:{share}": not a percentage from 1 to 100',
                remedy=f"write {cls.NAME}:{cls.SHARE}, for one",
            )
        return cls(int(share), seed)


PERTURBATIONS = Registry[type[Perturbation]]("perturbation", "adaptrans.perturbations")
"""All, by name."""

for _name, _target in (
    ("empty_premise", "deletion:EmptyPremise"),
    ("choices_only", "deletion:ChoicesOnly"),
    ("empty_question", "deletion:EmptyQuestion"),
    ("choice_order", "choice_order:ChoiceOrder"),
    ("typos", "typos:Typos"),
    ("drop_words", "word_dropping:WordDropping"),
):
    PERTURBATIONS.add(_name, f"adaptrans.perturbations.{_target}")


def perturbation_of(text: str, kind: str, seed: int = 0) -> Perturbation:
    """The perturbation that is written so.

    Args:
        text: Its name, with a share where it takes one, such as `typos:10`.
        kind: Type of the task whose examples are changed.
        seed: Of its draws.

    Raises:
        UnknownNameError: If there is none of this name; says the nearest.
        ConfigError: If the share is wrong, or it cannot change examples of this type.

    >>> str(perturbation_of("typos:5", "classification")), str(perturbation_of("typos", "classification"))
    ('typos:5', 'typos:10')
    """
    name, _, share = text.partition(":")
    cls = PERTURBATIONS[name.strip()]
    if not cls.changes(kind):
        fit = [other for other in PERTURBATIONS.names() if PERTURBATIONS[other].changes(kind)]
        raise ConfigError(
            f'perturbation "{name}" changes a {cls.NEEDS or "text"}, which {kind} does not have',
            remedy=f"choose from {', '.join(fit)}" if fit else "there is none for this type",
        )
    return cls.written(share.strip(), seed)
